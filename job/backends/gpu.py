"""torch's view of the CUDA devices, and which of them this process uses."""


def why_torch_cannot() -> str | None:
    """Why torch cannot use the CUDA device that the driver reports; None where it can."""
    import torch

    if torch.cuda.is_available():
        return None
    return f"torch {torch.__version__} cannot use the CUDA device (a driver too old for it, or no permission)"


def select_gpu(local: int) -> None:
    """Make CUDA device `local`, modulo their number, this process's current one; nothing without a CUDA device.

    `local`: which of this machine's processes this is, so that each takes a GPU of its own.
    """
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(local % torch.cuda.device_count())
