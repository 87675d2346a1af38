"""An encoder's forward pass on the CPU through oneDNN: packed weights, fused GELU, attention as two matrix products.

torch sends float32 products to MKL, which on an AMD processor reaches 40% of oneDNN's speed (190 against 440 GFLOP/s on
2 cores), and it repacks bfloat16 weights at every call. The results equal those of torch's own layers up to rounding.
"""

from typing import Any

from job.backends.torch_import import import_torch

# the operators that torch's own compiler emits for a frozen model on the CPU
_OPERATORS = ("_reorder_linear_weight", "_linear_pointwise")
_ATTENTION_NAME = "job_two_products"
# for longer texts (in tokens), and in float32 for wider heads, torch's fused attention is faster or takes less memory
_MAX_LENGTH, _MAX_FLOAT32_HEAD_WIDTH = 128, 32


def use_onednn(module: Any, tokens: int) -> bool:
    """Change a transformers encoder in place for batches of about `tokens` tokens; False if torch has no oneDNN."""
    torch = import_torch()
    if not _has_onednn(torch):
        return False
    _replace_linear_layers(module, tokens, torch)
    _replace_attention(module, torch)
    return True


def why_unsupported(precision: str) -> str | None:
    """The reason why oneDNN cannot compute in `bf16` or `fp16` on this CPU; None if it can or is not used."""
    torch = import_torch()
    if not _has_onednn(torch):
        return None
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    try:
        # a trial, since what each operator needs differs between versions of torch
        layer = _packed_layer(torch.nn.Linear(16, 16, dtype=dtype), 1, "none", torch)
        layer(torch.zeros(1, 16, dtype=dtype))
    except RuntimeError as error:
        return str(error).splitlines()[0].rpartition("mkldnn_reorder_linear_weight: ")[2]
    return None


def _has_onednn(torch: Any) -> bool:
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS)


def _replace_linear_layers(module: Any, tokens: int, torch: Any) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, torch.nn.Linear):
            fuse_gelu = name == "dense" and is_exact_gelu(getattr(module, "intermediate_act_fn", None), torch)
            if fuse_gelu:
                module.intermediate_act_fn = torch.nn.Identity()
            setattr(module, name, _packed_layer(child, tokens, "gelu" if fuse_gelu else "none", torch))
        else:
            _replace_linear_layers(child, tokens, torch)


def is_exact_gelu(activation: Any, torch: Any) -> bool:
    if isinstance(activation, torch.nn.GELU):
        return bool(activation.approximate == "none")
    return type(activation).__name__ == "GELUActivation" and activation.act is torch.nn.functional.gelu


def _packed_layer(linear: Any, tokens: int, activation: str, torch: Any) -> Any:
    """A module that computes `activation(x W^T + b)` from the weights in oneDNN's own order, without the plain ones."""
    weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), tokens)
    bias = None if linear.bias is None else linear.bias.detach()
    approximation = "none" if activation == "gelu" else ""  # "none" selects the exact GELU

    class PackedLinear(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], approximation)

    return PackedLinear()


def _replace_attention(module: Any, torch: Any) -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    def two_products(
        layer: Any, q: Any, k: Any, v: Any, mask: Any, scaling: float | None = None, **_: Any
    ) -> tuple[Any, None]:
        """softmax(q k^T / sqrt(d)) v for [batch, heads, length, d]; `mask` bool, True = present, or None."""
        batch, heads, length, d = q.shape
        if k.shape[1] != heads:
            # groups of heads share a key and a value
            k, v = (x.repeat_interleave(heads // k.shape[1], dim=1) for x in (k, v))
        if length > _MAX_LENGTH or (q.dtype == torch.float32 and d > _MAX_FLOAT32_HEAD_WIDTH):
            fused = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling)
            return fused.transpose(1, 2).contiguous(), None
        q, k, v = (x.reshape(batch * heads, length, d) for x in (q, k, v))
        scores = torch.baddbmm(
            q.new_zeros(1, 1, 1).expand(batch * heads, length, length),
            q,
            k.transpose(1, 2),
            beta=0,
            alpha=d**-0.5 if scaling is None else scaling,
        )
        if mask is not None:
            by_head = scores.view(batch, heads, length, length)
            # not -inf: padding outside of a window sees nothing, and NaN would spread
            scores = by_head.masked_fill(~mask, torch.finfo(scores.dtype).min).view_as(scores)
        mixed = torch.bmm(torch.softmax(scores, -1), v).view(batch, heads, length, d)
        return mixed.transpose(1, 2).contiguous(), None

    if module.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(_ATTENTION_NAME, two_products)
    AttentionMaskInterface.register(_ATTENTION_NAME, sdpa_mask)
    module.config._attn_implementation = _ATTENTION_NAME
