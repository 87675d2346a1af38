"""HDBSCAN on vectors, and the layout: our adapters, cuML alone, and the RAPIDS recipe (UMAP, then HDBSCAN)."""

from functools import partial
from typing import Any

import numpy as np

from gpu_parts.measure import Bench, has_rapids
from gpu_parts.neighbors import graph_of
from gpu_parts.texts import clustered
from job.data import Floats, KnnGraph

MIN_SAMPLES = 3
MIN_CLUSTER_SIZE = 10
N_NEIGHBORS = 15
# brute force on all columns grows with the square of the rows: small first, so that the limit finds figures there
SHARES = (0.1, 0.3, 1.0)
_SETTINGS: dict[str, Any] = {
    "selection": "eom",
    "epsilon": 0.0,
    "max_cluster_size": 0,
    "allow_single_cluster": False,
}


def cluster(bench: Bench) -> None:
    """cuML's HDBSCAN on 5-d and on all columns, and the RAPIDS recipe; on a CPU our adapter of `hdbscan` on 5-d."""
    rapids = has_rapids(bench)
    vectors = clustered(bench.rows, bench.dim, bench.device, bench.seed)
    graph = KnnGraph(*graph_of(bench), bench.k)
    reduced = bench.attempt("UMAP of the graph to 5-d", lambda: _umap(rapids, graph, vectors, 5))
    if reduced is not None:
        bench.add("UMAP of the graph to 5-d", reduced[0], rows=bench.rows)
        _one(bench, "HDBSCAN on 5-d", partial(_hdbscan, rapids, reduced[1]))
    if not rapids:
        return
    _one(bench, "recipe: cuML UMAP 15-d + HDBSCAN", partial(_recipe, vectors))
    _one(bench, "cuML HDBSCAN nn_descent, all columns", partial(_plain, vectors, "nn_descent"))
    for share in SHARES:
        part = vectors[: int(share * len(vectors))]
        _one(bench, f"cuML HDBSCAN brute force, {len(part)} x {bench.dim}", partial(_plain, part, "brute_force"))


def layout(bench: Bench) -> None:
    """UMAP to 2-d from the graph by our adapter, with other settings of cuML, and by cuML from the vectors."""
    rapids = has_rapids(bench)
    vectors = clustered(bench.rows, bench.dim, bench.device, bench.seed)
    graph = KnnGraph(*graph_of(bench), bench.k)
    _one(bench, "ours: UMAP 2-d from the graph, seeded", lambda: _umap(rapids, graph, vectors, 2))
    if not rapids:
        return
    for init in ("random", "spectral"):
        for seed in (None, 42):
            name = f"cuML from the graph, init {init}, {'seeded' if seed else 'no seed'}"
            _one(bench, name, partial(_cuml_umap, vectors, 2, graph=graph, init=init, random_state=seed))
    _one(bench, "cuML from the vectors", partial(_cuml_umap, vectors, 2))


def _one(bench: Bench, name: str, work: Any) -> None:
    found = bench.attempt(name, work)
    if found is None:
        return
    result = np.asarray(found[1])
    if result.ndim == 1:
        facts = {"clusters": int(result.max()) + 1, "noise": round(float((result < 0).mean()), 4)}
    else:
        facts = {"finite": bool(np.isfinite(result).all()), "shape": list(result.shape)}
    bench.add(name, found[0], **facts)


def _umap(rapids: bool, graph: KnnGraph, vectors: Floats, dimensions: int) -> Floats:
    from job.backends.reduce import cpu, gpu

    return (gpu if rapids else cpu).umap_from_graph(graph, vectors, dimensions, N_NEIGHBORS, 0.0, 42)


def _hdbscan(rapids: bool, vectors: Floats) -> Any:
    if rapids:
        from job.backends.reduce.gpu import hdbscan_vectors

        return hdbscan_vectors(vectors, MIN_SAMPLES, MIN_CLUSTER_SIZE, **_SETTINGS).labels
    from job.backends.graph_hdbscan import cut
    from job.backends.reduce.cpu import linkage_of_vectors

    return cut(linkage_of_vectors(vectors, MIN_SAMPLES), min_cluster_size=MIN_CLUSTER_SIZE).labels


def _plain(vectors: Any, algorithm: str) -> Any:
    import cupy
    from cuml.cluster import HDBSCAN

    sizes = {"min_samples": MIN_SAMPLES, "min_cluster_size": MIN_CLUSTER_SIZE}
    model = HDBSCAN(**sizes, build_algo=algorithm, output_type="numpy")
    return model.fit(cupy.asarray(vectors)).labels_


def _recipe(vectors: Floats) -> Any:
    import cupy
    from cuml.manifold import UMAP

    reduced = UMAP(n_components=15, n_neighbors=15, min_dist=0.0, output_type="cupy").fit_transform(
        cupy.asarray(vectors)
    )
    return _plain(reduced, "brute_force")


def _cuml_umap(vectors: Floats, dimensions: int, graph: KnnGraph | None = None, **settings: Any) -> Any:
    import cupy
    from cuml.manifold import UMAP

    from job.backends.reduce.cpu import self_first

    if graph is not None:
        indices, distances = self_first(graph, N_NEIGHBORS)
        settings["precomputed_knn"] = (cupy.asarray(indices, dtype=cupy.int64), cupy.asarray(distances))
    model = UMAP(n_components=dimensions, n_neighbors=N_NEIGHBORS, output_type="numpy", **settings)
    return model.fit_transform(cupy.asarray(vectors))
