"""Whether this machine can compute in a precision, before a model is loaded."""

from job.backends.embedding import onednn
from job.runtime.errors import BadInput


def check_precision(precision: str, device: str) -> None:
    """Raise `BadInput` if the CPU lacks the instructions for `precision`: `fp32`, `bf16` or `fp16`.

    It imports torch only for half precision on the CPU. Every CUDA device computes in all three.
    """
    if device == "cuda" or precision == "fp32":
        return
    reason = onednn.why_unsupported(precision)
    if reason is not None:
        raise BadInput(
            f"embed.precision = '{precision}': this CPU cannot compute in it ({reason}); set embed.precision=fp32"
        )
