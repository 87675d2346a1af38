"""The dot product that other kernels contain, in a file of its own.

numba's cache only notices changes in a kernel's own file. So each file whose kernels contain those of another one holds
that file's checksum: its change makes one here too, and the kernels are compiled again (a test compares the checksums).
"""

import numba as nb
import numpy as np


# the products of float32 are exact in float64, and the sum is rounded afterwards: its order does not matter
@nb.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def dot(a, b):  # type: ignore[no-untyped-def]
    """The dot product float64 of two float32 vectors."""
    total = 0.0
    for c in range(len(a)):
        total += np.float64(a[c]) * np.float64(b[c])
    return total
