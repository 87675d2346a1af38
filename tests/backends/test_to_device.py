"""Arrays that go to a device: with NumPy in CuPy's place."""

import numpy as np
import pytest
from device_arrays import DeviceArray, xp

from job.backends.arrays import to_device, to_host
from job.backends.reduce.gpu import load_cuml
from job.runtime.errors import BadInput


@pytest.mark.parametrize("dtype", [None, np.float32, np.int64])
def test_an_array_of_the_host_is_copied_in_one_piece_and_in_the_type_asked_for(dtype: type | None) -> None:
    array = np.arange(12.0).reshape(3, 4).T
    there = to_device(xp, array, dtype)
    assert isinstance(there, DeviceArray)
    assert there.dtype == (dtype or np.float64)
    np.testing.assert_array_equal(to_host(there), array)


def test_what_is_on_the_device_stays_there_and_numpy_copies_nothing() -> None:
    there = xp.asarray(np.arange(3))
    assert isinstance(to_device(xp, there), DeviceArray)
    array = np.arange(3)
    assert to_device(np, array) is array


def test_a_cuml_that_cannot_be_loaded_is_said_with_what_to_do() -> None:
    try:
        import cuml  # noqa: F401
    except ImportError:
        with pytest.raises(BadInput, match=r"^cuML cannot be loaded: No module named 'cu.*umap-learn and hdbscan"):
            load_cuml()
    else:
        pytest.skip("cuML is installed")
