"""Importing torch with the settings and the speed that the job wants. Everything here that needs torch asks here."""

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


def import_torch() -> Any:
    """The module `torch`."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with collector_paused():
        import torch
    return torch


@contextmanager
def collector_paused() -> Iterator[None]:
    """Import large libraries without the garbage collector, which would search their 400,000 objects many times.

    They stay until the process ends, so it does not search them later either. That saves 1 of 5 seconds of CPU time.
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
