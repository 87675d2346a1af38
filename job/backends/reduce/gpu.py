"""HDBSCAN on vectors and UMAP from the neighbor graph on a GPU, with cuML 26.10.

Written from cuML's sources; not yet run on a GPU.
"""

from typing import Literal

import numpy as np

from job.backends.arrays import to_device
from job.backends.graph_hdbscan import Result, by_size
from job.backends.reduce.cpu import neighbors_with_self
from job.backends.reduce.start import start_of
from job.data import CondensedTree, Floats, KnnGraph
from job.runtime.errors import BadInput


def load_cuml() -> None:
    """Import cuML. After that CuPy would ask CUDA for the memory of each array: here it gets its pool back.

    Raises:
        BadInput: cuML is installed, but cannot be loaded.
    """
    try:
        import cuml  # noqa: F401
        import cupy
    except (ImportError, OSError, RuntimeError) as error:
        lines = str(error).strip().splitlines()
        raise BadInput(
            f"cuML cannot be loaded: {lines[0] if lines else type(error).__name__}; `python -m job doctor` says what "
            "does not fit; without cuML (pip uninstall cuml-cu13) umap-learn and hdbscan are used"
        ) from error
    cupy.cuda.set_allocator(cupy.get_default_memory_pool().malloc)


def hdbscan_vectors(
    vectors: Floats,
    min_samples: int,
    min_cluster_size: int = 5,
    selection: Literal["eom", "leaf"] = "eom",
    epsilon: float = 0.0,
    max_cluster_size: int = 0,
    allow_single_cluster: bool = False,
) -> Result:
    """cuML's HDBSCAN on float32 vectors [n, d]: exact, by brute force. The result's condensed tree is empty.

    `min_samples` is as in `graph_hdbscan.linkage_of`; the other parameters and their defaults are as in
    `graph_hdbscan.cut`.
    """
    if len(vectors) < 2:
        zeros = np.zeros(len(vectors), np.float32)
        return Result(zeros.astype(np.int32) - 1, zeros, zeros[:0], CondensedTree.empty(), np.zeros(0, np.int64))
    load_cuml()
    import cupy
    from cuml.cluster import HDBSCAN

    # a device array: given a host array, cuML may connect the remaining components at random
    found = HDBSCAN(
        min_samples=min(min_samples, len(vectors) - 1),
        min_cluster_size=min_cluster_size,
        cluster_selection_method=selection,
        cluster_selection_epsilon=epsilon,
        max_cluster_size=max_cluster_size,
        allow_single_cluster=allow_single_cluster,
        build_algo="brute_force",
        output_type="numpy",
    ).fit(to_device(cupy, vectors, cupy.float32))
    # in cuML the lambda of equal points is so large that a cluster's stability may overflow float32
    persistence = np.nan_to_num(np.asarray(found.cluster_persistence_, np.float32), nan=1.0, posinf=1.0).clip(0, 1)
    labels, order = by_size(np.asarray(found.labels_), len(persistence))
    probabilities = np.nan_to_num(np.asarray(found.probabilities_, np.float32)).clip(0, 1)
    return Result(labels, probabilities, persistence[order], CondensedTree.empty(), order)


def umap_from_graph(
    graph: KnnGraph, vectors: Floats, dimensions: int, n_neighbors: int, min_dist: float, seed: int
) -> Floats:
    """cuML's UMAP from our neighbor graph: float32 [n, dimensions]. It is seeded, so its kernels are deterministic.

    `n_neighbors` counts the point itself, as UMAP does: the graph must have `n_neighbors` - 1 neighbors of every row.
    """
    load_cuml()
    import cupy
    from cuml.manifold import UMAP

    indices, distances = neighbors_with_self(graph, n_neighbors)
    reducer = UMAP(
        n_components=dimensions,
        n_neighbors=n_neighbors,
        min_dist=min_dist,
        random_state=seed,
        precomputed_knn=(to_device(cupy, indices, cupy.int64), to_device(cupy, distances)),
        # given positions, cuML's kernels are the parallel ones
        init=start_of(vectors, dimensions, seed),
        output_type="numpy",
    )
    return np.asarray(reducer.fit_transform(to_device(cupy, vectors, cupy.float32)), np.float32)
