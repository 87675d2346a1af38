"""Reading BGE-M3's lexical weights back from the shards of a finished embed stage."""

from pathlib import Path
from typing import Any

import numpy as np

from job.runtime.errors import BadInput
from job.runtime.shards import array_files


def load_lexical_weights(run_folder: Path) -> Any:
    """The weights as a SciPy CSR array, float32 [n, vocabulary]; None where none were made.

    `run_folder` has `sparse/00042.npy`, arrays of `lexical_weights.ENTRY` whose rows count from the shard's first, and
    `embeddings/00042.npy`, whose lengths say where each shard starts.

    Raises:
        BadInput: a shard is missing in one of the two.
    """
    from scipy.sparse import csr_array

    paths, of_vectors = array_files(run_folder / "sparse"), array_files(run_folder / "embeddings")
    if not paths:
        return None
    if [path.name for path in paths] != [path.name for path in of_vectors]:
        raise BadInput(
            f"'{run_folder}': sparse/ has {len(paths)} shards and embeddings/ has {len(of_vectors)}, other ones: "
            "`run` again makes them"
        )
    sizes = [len(np.load(path, mmap_mode="r")) for path in of_vectors]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    shards = [np.load(path) for path in paths]
    rows = np.concatenate([one["row"].astype(np.int64) + start for one, start in zip(shards, starts[:-1], strict=True)])
    tokens = np.concatenate([one["token"] for one in shards])
    counts = np.bincount(rows, minlength=int(starts[-1]))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    shape = (int(starts[-1]), int(tokens.max(initial=-1)) + 1)
    return csr_array((np.concatenate([one["weight"] for one in shards]), tokens, offsets), shape=shape)
