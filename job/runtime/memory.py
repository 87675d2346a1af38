"""Giving memory back to the system."""

import ctypes
import gc
import sys


def give_back() -> None:
    """Return what is no longer used: what refers to each other only, and what the C library keeps for later.

    The second is half a gigabyte after BGE-M3 on a CPU, whose packed weights are small enough for the C library's heap.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        # glibc has it, other C libraries give memory back by themselves
        if trim is not None:
            trim(0)
