"""One code for arrays on the host and on a CUDA device: the module of array operations is a parameter, `xp`."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Device = Literal["cpu", "cuda"]
# of a length that was 1 before it was rounded, to float16 at most
_UNIT_TOLERANCE = 1e-3


def array_module(device: Device) -> Any:
    """CuPy for `cuda`, NumPy for `cpu`. Arrays of CuPy are on the device that is current in the calling thread."""
    if device == "cpu":
        return np
    import cupy

    return cupy


def to_device(xp: Any, array: Any, dtype: npt.DTypeLike | None = None) -> Any:
    """The array as one of `xp`, of `dtype` if it is given.

    For a large array of the host, `cupy.asarray` takes page-locked memory of the next power of two of its size: 8 GiB
    for 4.1 GiB. Here CUDA copies it through a small buffer.
    """
    if xp is np or not isinstance(array, np.ndarray):
        return xp.asarray(array, dtype=dtype)
    there = xp.empty(array.shape, dtype or array.dtype)
    there.set(np.ascontiguousarray(array, dtype))
    return there


def to_host(array: Any) -> Any:
    """The array as NumPy's."""
    return array.get() if hasattr(array, "get") else array


def lengths_of(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The lengths of vectors [n, d], float64 [n], and exactly 1 where they are 1 up to rounding: a unit vector that was
    stored in another precision, divided by its length, stays as it is."""
    lengths: npt.NDArray[np.float64] = np.linalg.norm(vectors.astype(np.float64), axis=1)
    lengths[abs(lengths - 1) < _UNIT_TOLERANCE] = 1.0
    return lengths


def distinct(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """`np.unique` on the host, several times faster for integers >= 0; sorts `keys` itself."""
    keys.sort()
    return keys[np.diff(keys, prepend=-1) > 0]


def free_bytes(xp: Any) -> int:
    """Bytes of memory that are free on the current CUDA device; of the host nothing is known here: 1 TiB."""
    return 1 << 40 if xp is np else int(xp.cuda.runtime.memGetInfo()[0])
