"""The layers of a BERT or XLM-R encoder on a CUDA device: seven kernels a layer; transformers' own take twelve.

On such a device the time between the matrix products is that of reading and writing the states. So GELU is part of the
product before it (cuBLASLt's epilogue, which is GELU's tanh form; in float32 the exact one, on its own), query, key and
value are one product, and the residual sum is part of the product that it is added to: C += A W^T in place.

That product adds no bias b. The layer norm before it does: it gives x + b instead of x, which is what the product is
added to; and the product V x + c that reads x becomes V (x + b) + (c - V b).

Of a model whose vectors are its first tokens' states, the last layer computes these alone.
"""

from dataclasses import dataclass
from typing import Any

from job.backends.embedding.onednn import is_exact_gelu
from job.backends.torch_import import import_torch

_ARCHITECTURES = ("bert", "camembert", "roberta", "xlm-roberta")


@dataclass(frozen=True)
class _Linear:
    weight: Any
    bias: Any


@dataclass(frozen=True)
class _Norm:
    weight: Any
    bias: Any
    eps: float


@dataclass(frozen=True)
class _Layer:
    """`qkv`: query, key and value, one below the other. `norm_1` follows the weight `out`, `norm_2` `down`."""

    qkv: _Linear
    out: Any
    norm_1: _Norm
    up: _Linear
    down: Any
    norm_2: _Norm


class FusedEncoder:
    """Last hidden states from token ids, with the weights of a transformers encoder, whose own layers are given up.

    `first_only`: only the first token's. See `is_supported`.
    """

    def __init__(self, module: Any, first_only: bool) -> None:
        self._torch = import_torch()
        self._first_only = first_only
        self._heads = int(module.config.num_attention_heads)
        self._embeddings = module.embeddings
        with self._torch.inference_mode():
            layers = list(module.encoder.layer)
            norm = self._embeddings.LayerNorm
            norm.bias.copy_(norm.bias.float() + layers[0].attention.output.dense.bias.float())
            following = [layer.attention.output.dense.bias for layer in layers[1:]]
            self._layers = [self._fold(layer, next) for layer, next in zip(layers, [*following, None], strict=True)]
        module.encoder = None

    def _fold(self, layer: Any, next_bias: Any) -> _Layer:
        """The layer's weights. `next_bias`: of the product that the layer's output is added to, None after the last."""
        torch, own = self._torch, layer.attention.self
        parts = (own.query, own.key, own.value)
        qkv = _Linear(torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]))
        out, up, down = layer.attention.output.dense, layer.intermediate.dense, layer.output.dense
        return _Layer(
            _without(qkv, out.bias),
            out.weight.detach(),
            _norm(layer.attention.output.LayerNorm, down.bias),
            _without(_Linear(up.weight, up.bias), down.bias),
            down.weight.detach(),
            _norm(layer.output.LayerNorm, next_bias),
        )

    def __call__(self, ids: Any, attention_mask: Any = None) -> Any:
        """States [m, length, d] of `ids` [m, length], or [m, 1, d] of the first tokens.

        `attention_mask` bool [m, 1, 1, length]: which tokens are there; None = all.
        """
        states = self._embeddings(input_ids=ids)
        texts, stream = len(ids), states.view(-1, states.shape[-1])
        for number, layer in enumerate(self._layers, 1):
            stream = self._step(layer, stream, texts, attention_mask, self._first_only and number == len(self._layers))
        return stream.view(texts, -1, stream.shape[-1])

    def _step(self, layer: _Layer, stream: Any, texts: int, mask: Any, first_only: bool) -> Any:
        """The stream [tokens, d] after a layer, or [texts, d] of the first tokens. Its argument is overwritten."""
        torch, width = self._torch, stream.shape[1]
        kept = stream.view(texts, -1, width)[:, 0].contiguous() if first_only else stream
        weight, bias = layer.qkv.weight, layer.qkv.bias
        linear = torch.nn.functional.linear
        if first_only:
            both = linear(stream, weight[width:], bias[width:]).view(-1, 2, width)
            parts = linear(kept, weight[:width], bias[:width]), *both.unbind(1)
        else:
            parts = linear(stream, weight, bias).view(-1, 3, width).unbind(1)
        q, k, v = (part.view(texts, -1, self._heads, width // self._heads).transpose(1, 2) for part in parts)
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        kept.addmm_(mixed.transpose(1, 2).reshape(len(kept), width), layer.out.t())
        kept = self._normalized(kept, layer.norm_1)
        kept.addmm_(self._activated(kept, layer.up), layer.down.t())
        return self._normalized(kept, layer.norm_2)

    def _activated(self, stream: Any, up: _Linear) -> Any:
        torch = self._torch
        if stream.dtype == torch.float32:
            return torch.nn.functional.gelu(torch.nn.functional.linear(stream, up.weight, up.bias))
        return torch._addmm_activation(up.bias, stream, up.weight.t(), use_gelu=True)

    def _normalized(self, stream: Any, norm: _Norm) -> Any:
        layer_norm = self._torch.nn.functional.layer_norm
        return layer_norm(stream, norm.weight.shape, norm.weight, norm.bias, norm.eps)


def is_supported(module: Any) -> bool:
    """Whether `FusedEncoder` computes what this transformers encoder does, and torch has the operator for it."""
    torch = import_torch()
    config = module.config
    return (
        hasattr(torch, "_addmm_activation")
        and config.model_type in _ARCHITECTURES
        and not config.is_decoder
        and config._attn_implementation == "sdpa"
        and getattr(config, "position_embedding_type", "absolute") in ("absolute", None)
        and all(is_exact_gelu(layer.intermediate.intermediate_act_fn, torch) for layer in module.encoder.layer)
    )


def why_unusable(module: Any) -> str | None:
    """The reason why this device does not compute the layers' operators in the module's precision; None if it does."""
    torch, width, heads = import_torch(), module.config.hidden_size, module.config.num_attention_heads
    some = next(module.encoder.parameters())
    try:
        with torch.inference_mode(), attention_kernels():
            states, weight = some.new_zeros(8, width), some.new_zeros(width, width)
            states.addmm_(torch._addmm_activation(weight[0], states, weight.t(), use_gelu=True), weight.t())
            split = states.view(1, 8, heads, width // heads).transpose(1, 2)
            torch.nn.functional.scaled_dot_product_attention(split, split, split)
            # an error of a kernel is raised when the host waits for it
            torch.nn.functional.layer_norm(states, weight[0].shape, weight[0], weight[0]).sum().item()
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, NotImplementedError) as error:
        return str(error).strip().partition("\n")[0]
    return None


def attention_kernels() -> Any:
    """A context in which torch's attention on a GPU is not cuDNN's.

    torch prefers that one on Hopper and Blackwell, and it plans anew, in a tenth of a second, for every shape of a
    batch; ours have hundreds.
    """
    attention = import_torch().nn.attention
    kernel = attention.SDPBackend
    return attention.sdpa_kernel([kernel.FLASH_ATTENTION, kernel.EFFICIENT_ATTENTION, kernel.MATH])


def _without(linear: _Linear, added: Any) -> _Linear:
    """The product of x from x + `added`."""
    bias = linear.bias.float() - linear.weight.float() @ added.float()
    return _Linear(linear.weight.detach(), bias.to(linear.bias.dtype))


def _norm(norm: Any, added: Any) -> _Norm:
    bias = norm.bias if added is None else (norm.bias.float() + added.float()).to(norm.bias.dtype)
    return _Norm(norm.weight.detach(), bias.detach(), norm.eps)
