"""Importing torch: with the job's settings, and quickly."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# the libraries read these when they are loaded. oneDNN and torch's layer above it cache compiled kernels and scratch
# memory for a thousand shapes; every length in tokens is a shape and occurs once. Sixteen entries are enough for one
# length: 640 MB instead of 1,090 MB on 849 headlines, as fast. OpenMP's threads spin long while they wait for each
# other: with another busy process on 2 cores that gives 130 to 540 texts/s, and 810 to 860 if they soon sleep; 3% less
# on an idle machine
_ENVIRONMENT = {
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",
    "LRU_CACHE_CAPACITY": "16",
    "GOMP_SPINCOUNT": "2000",
    "TOKENIZERS_PARALLELISM": "true",
}


def set_environment() -> None:
    """Set the variables that torch's libraries read when they are loaded, except those that the user has set."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def import_torch() -> Any:
    """The module `torch`; the first call takes seconds."""
    set_environment()
    with collector_paused():
        import torch
    return torch


@contextmanager
def collector_paused() -> Iterator[None]:
    """Import large libraries within this block without the garbage collector, which would search their objects often.

    The 400,000 objects stay until the process ends, so the collector is told to ignore them afterwards too. That saves
    0.3 of 4.3 seconds, and more where `job/__main__.py` does not make the collector run rarely.
    """
    modules, enabled = len(sys.modules), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > modules:
            gc.freeze()
        if enabled:
            gc.enable()
