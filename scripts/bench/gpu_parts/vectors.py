"""HDBSCAN on vectors and the map's layout: our adapters, plain cuML, and the RAPIDS recipe (UMAP, then HDBSCAN)."""

from functools import partial
from typing import Any

import numpy as np

from gpu_parts.measure import Bench, has_rapids
from gpu_parts.neighbors import graph_of
from gpu_parts.texts import clustered
from job.backends.arrays import to_device
from job.data import Floats, KnnGraph

MIN_SAMPLES = 3
MIN_CLUSTER_SIZE = 10
N_NEIGHBORS = 15
# brute force takes time quadratic in the rows: small shares first, so that there are results when the time limit comes
SHARES = (0.1, 0.3, 1.0)
# where minutes are too long
FEW_SHARES = (0.05, 0.1, 0.2)


def cluster(bench: Bench) -> None:
    """cuML's HDBSCAN on 5 dimensions and on all, and the RAPIDS recipe; on a CPU our `hdbscan` adapter on 5."""
    rapids = has_rapids(bench)
    vectors = clustered(bench.rows, bench.dim, bench.device, bench.seed)
    graph = KnnGraph(*graph_of(bench), bench.k)
    reduced = bench.attempt("UMAP of the graph to 5-d", lambda: _umap(rapids, graph, vectors, 5))
    if reduced is not None:
        bench.add("UMAP of the graph to 5-d", reduced[0], rows=bench.rows)
        _measure(bench, "HDBSCAN on 5-d", partial(_hdbscan, rapids, reduced[1]))
    if not rapids:
        return
    _measure(bench, "recipe: cuML UMAP 15-d + HDBSCAN", partial(_recipe, vectors))
    _measure(bench, "cuML HDBSCAN nn_descent, all columns", partial(_cuml_hdbscan, vectors, "nn_descent"))
    for share in SHARES:
        _brute_force(bench, vectors[: int(share * len(vectors))])


def brute(bench: Bench) -> None:
    """Only cuML's HDBSCAN by brute force, on a fifth of the vectors at most, and what follows for all of them."""
    if not has_rapids(bench):
        return
    vectors = clustered(bench.rows, bench.dim, bench.device, bench.seed)
    seconds = None
    for share in FEW_SHARES:
        seconds = _brute_force(bench, vectors[: int(share * len(vectors))])
    if seconds is not None:
        by_square = round(seconds / FEW_SHARES[-1] ** 2, 1)
        bench.add(f"cuML HDBSCAN brute force, {bench.rows} x {bench.dim}", estimated_seconds=by_square)


def _brute_force(bench: Bench, vectors: Floats) -> float | None:
    """The seconds, None if it failed."""
    name = f"cuML HDBSCAN brute force, {len(vectors)} x {bench.dim}"
    return _measure(bench, name, partial(_cuml_hdbscan, vectors, "brute_force"))


def layout(bench: Bench) -> None:
    """UMAP to 2 dimensions: from the graph by our adapter and by cuML with other settings, from the vectors by cuML."""
    rapids = has_rapids(bench)
    vectors = clustered(bench.rows, bench.dim, bench.device, bench.seed)
    graph = KnnGraph(*graph_of(bench), bench.k)
    _measure(bench, "ours: UMAP 2-d from the graph, seeded", lambda: _umap(rapids, graph, vectors, 2))
    if not rapids:
        return
    for init in ("random", "spectral"):
        for seed in (None, 42):
            name = f"cuML from the graph, init {init}, {'seeded' if seed else 'no seed'}"
            _measure(bench, name, partial(_cuml_umap, vectors, 2, graph=graph, init=init, random_state=seed))
    _measure(bench, "cuML from the vectors", partial(_cuml_umap, vectors, 2))


def _measure(bench: Bench, name: str, work: Any) -> float | None:
    """Time `work`, and write what its result looks like: labels [n], or points [n, d]. Returns the seconds, None if it
    failed."""
    found = bench.attempt(name, work)
    if found is None:
        return None
    result = np.asarray(found[1])
    if result.ndim == 1:
        facts = {"clusters": int(result.max()) + 1, "noise": round(float((result < 0).mean()), 4)}
    else:
        facts = {"finite": bool(np.isfinite(result).all()), "shape": list(result.shape)}
    bench.add(name, found[0], **facts)
    return found[0]


def _umap(rapids: bool, graph: KnnGraph, vectors: Floats, dimensions: int) -> Floats:
    from job.backends.reduce import cpu, gpu

    library = gpu if rapids else cpu
    return library.umap_from_graph(graph, vectors, dimensions, N_NEIGHBORS, 0.0, 42)


def _hdbscan(rapids: bool, vectors: Floats) -> Any:
    if rapids:
        from job.backends.reduce.gpu import hdbscan_vectors

        return hdbscan_vectors(vectors, MIN_SAMPLES, MIN_CLUSTER_SIZE).labels
    from job.backends.graph_hdbscan import cut
    from job.backends.reduce.cpu import linkage_of_vectors

    return cut(linkage_of_vectors(vectors, MIN_SAMPLES), min_cluster_size=MIN_CLUSTER_SIZE).labels


def _cuml_hdbscan(vectors: Any, algorithm: str) -> Any:
    import cupy
    from cuml.cluster import HDBSCAN

    sizes = {"min_samples": MIN_SAMPLES, "min_cluster_size": MIN_CLUSTER_SIZE}
    model = HDBSCAN(**sizes, build_algo=algorithm, output_type="numpy")
    return model.fit(to_device(cupy, vectors)).labels_


def _recipe(vectors: Floats) -> Any:
    import cupy
    from cuml.manifold import UMAP

    reduced = UMAP(n_components=15, n_neighbors=15, min_dist=0.0, output_type="cupy").fit_transform(
        to_device(cupy, vectors)
    )
    return _cuml_hdbscan(reduced, "brute_force")


def _cuml_umap(vectors: Floats, dimensions: int, graph: KnnGraph | None = None, **settings: Any) -> Any:
    import cupy
    from cuml.manifold import UMAP

    from job.backends.reduce.cpu import neighbors_with_self

    if graph is not None:
        indices, distances = neighbors_with_self(graph, N_NEIGHBORS)
        settings["precomputed_knn"] = (to_device(cupy, indices, cupy.int64), to_device(cupy, distances))
        # otherwise cuML takes the vectors back to the host for another search, which it then does not make
        settings["build_algo"] = "brute_force_knn"
    model = UMAP(n_components=dimensions, n_neighbors=N_NEIGHBORS, output_type="numpy", **settings)
    return model.fit_transform(to_device(cupy, vectors))
