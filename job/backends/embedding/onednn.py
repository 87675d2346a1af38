"""An encoder's forward pass on the CPU through oneDNN: packed weights, GELU in the product, attention as two products.

torch sends float32 products to MKL, which on an AMD processor reaches 40% of what oneDNN does (190 against 440
GFLOP/s on 2 cores), and repacks bfloat16 weights at every call. The results are those of torch's own layers to
rounding.
"""

from typing import Any

# the operators that torch's own compiler emits for a frozen model on the CPU
_OPERATORS = ("_reorder_linear_weight", "_linear_pointwise")
_NAME = "job_two_products"
# beyond these torch's fused attention is the faster, or takes the lesser memory: tokens a text, and in float32 a
# head's width
_LONG, _WIDE = 128, 32


def speed_up(module: Any, tokens: int) -> bool:
    """Change a transformers encoder in place for batches of about `tokens` tokens; False where torch cannot."""
    import torch

    if not torch.backends.mkldnn.is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS):  # type: ignore[no-untyped-call]
        return False
    _pack(module, tokens, torch)
    _attention(module, torch)
    return True


def _pack(module: Any, tokens: int, torch: Any) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, torch.nn.Linear):
            gelu = name == "dense" and _is_exact_gelu(getattr(module, "intermediate_act_fn", None), torch)
            if gelu:
                module.intermediate_act_fn = torch.nn.Identity()
            setattr(module, name, _packed(child, tokens, "gelu" if gelu else "none", torch))
        else:
            _pack(child, tokens, torch)


def _is_exact_gelu(activation: Any, torch: Any) -> bool:
    if isinstance(activation, torch.nn.GELU):
        return bool(activation.approximate == "none")
    return type(activation).__name__ == "GELUActivation" and activation.act is torch.nn.functional.gelu


def _packed(linear: Any, tokens: int, then: str, torch: Any) -> Any:
    """A module that computes `then(x W^T + b)` from the weights in oneDNN's own order; the plain ones are let go."""
    weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), tokens)
    bias = None if linear.bias is None else linear.bias.detach()
    how = "none" if then == "gelu" else ""  # which gelu: none is the exact one

    class PackedLinear(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return torch.ops.mkldnn._linear_pointwise(x, weight, bias, then, [], how)

    return PackedLinear()


def _attention(module: Any, torch: Any) -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    def two_products(
        layer: Any, q: Any, k: Any, v: Any, mask: Any, scaling: float | None = None, **_: Any
    ) -> tuple[Any, None]:
        """softmax(q k^T / sqrt(d)) v for [batch, heads, length, d]; `mask` bool, True = present, or None."""
        batch, heads, length, d = q.shape
        if length > _LONG or (q.dtype == torch.float32 and d > _WIDE):
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
            scores = by_head.masked_fill(~mask, float("-inf")).view_as(scores)
        mixed = torch.bmm(torch.softmax(scores, -1), v).view(batch, heads, length, d)
        return mixed.transpose(1, 2).contiguous(), None

    if module.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(_NAME, two_products)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    module.config._attn_implementation = _NAME
