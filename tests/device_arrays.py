"""NumPy in CuPy's place, as strict as CuPy: an array of the host and one of the device do not mix.

`xp.asarray` makes a device array, and operations on device arrays give device arrays. Operations on arrays of both
kinds raise TypeError, as do functions of `xp` that are given an array of the host; only `get` brings an array back.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

# functions that may be given a host array: they copy it to the device
_SENDING = ("asarray", "array")


class DeviceArray(np.ndarray[Any, Any]):
    """An array that stands for one in the memory of a device."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = (), **options: Any) -> Any:
        check([*inputs, *out])
        if out:
            options["out"] = tuple(map(plain, out))
        result = device(getattr(ufunc, method)(*map(plain, inputs), **options))
        return out[0] if out else result

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        check([*args, *kwargs.values()])
        return device(function(*map(plain, args), **{name: plain(value) for name, value in kwargs.items()}))

    def __getitem__(self, key: Any) -> Any:
        check([key])
        return device(plain(self)[plain(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        check([key, value])
        plain(self)[plain(key)] = plain(value)

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("a device array is not iterated over: each element would be copied to the host by itself")

    def set(self, array: Any) -> None:
        """Copies from the host what has the same shape and type, and lies in one piece."""
        if isinstance(array, DeviceArray) or (array.shape, array.dtype) != (self.shape, self.dtype):
            raise ValueError(f"an array of the host, {self.shape} {self.dtype}, is expected")
        if not array.flags.c_contiguous:
            raise RuntimeError("the array is not contiguous")
        plain(self)[...] = array

    def get(self) -> Any:
        return plain(self).copy()


def plain(value: Any) -> Any:
    """The same with NumPy's own arrays in place of device arrays."""
    if isinstance(value, DeviceArray):
        return value.view(np.ndarray)
    if isinstance(value, tuple | list):
        return type(value)(plain(part) for part in value)
    return value


def device(value: Any) -> Any:
    """The same with device arrays; CuPy's results are arrays even where they have no dimension."""
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value).view(DeviceArray)
    return type(value)(device(part) for part in value) if isinstance(value, tuple | list) else value


def check(values: Any) -> None:
    """Raise TypeError if there is an array of the host among the values."""
    for value in values:
        if isinstance(value, tuple | list):
            check(value)
        elif isinstance(value, np.ndarray) and not isinstance(value, DeviceArray):
            raise TypeError(f"an array {value.shape} of the host is used on the device")


class StandIn:
    """NumPy's functions, whose arguments and results are device arrays; dtypes and constants are NumPy's."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if isinstance(found, type) or not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if name in _SENDING:
                return np.array(plain(args[0]), *args[1:], **kwargs).view(DeviceArray)
            check([*args, *kwargs.values()])
            return device(found(*map(plain, args), **{key: plain(value) for key, value in kwargs.items()}))

        return call


def scatter_min(array: Any, places: Any, values: Any) -> None:
    """`cupyx.scatter_min`."""
    check([array, places, values])
    np.minimum.at(plain(array), plain(places), plain(values))


xp = StandIn()
