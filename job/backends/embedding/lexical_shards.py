"""Reading BGE-M3's lexical weights back from the shards of a finished embed stage."""

from pathlib import Path
from typing import Any

import numpy as np


def load_lexical_weights(run_folder: Path) -> Any:
    """The weights as a SciPy CSR array, float32 [n, vocabulary]; None where none were made.

    `run_folder` has `sparse/00042.npy`, arrays of `lexical_weights.ENTRY` whose rows count from the shard's first, and
    `embeddings/00042.npy`, whose lengths say where each shard starts.
    """
    from scipy.sparse import csr_array

    paths = sorted((run_folder / "sparse").glob("[0-9]*.npy"))
    if not paths:
        return None
    sizes = [len(np.load(path, mmap_mode="r")) for path in sorted((run_folder / "embeddings").glob("[0-9]*.npy"))]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    shards = [np.load(path) for path in paths]
    rows = np.concatenate([one["row"].astype(np.int64) + start for one, start in zip(shards, starts, strict=False)])
    tokens = np.concatenate([one["token"] for one in shards])
    counts = np.bincount(rows, minlength=int(starts[-1]))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    shape = (int(starts[-1]), int(tokens.max(initial=-1)) + 1)
    return csr_array((np.concatenate([one["weight"] for one in shards]), tokens, offsets), shape=shape)
