"""Exact neighbor search: ours, a plain float32 loop, cuVS brute force, cuML; on a CPU scikit-learn."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gpu_parts.measure import Bench, has_rapids
from gpu_parts.texts import clustered
from job.backends.arrays import to_device
from job.data import Floats, Ints

# candidates per row beyond k, as in `job.config.SPARE_HITS`
SPARE = 9
# rows whose recall is measured
CHECKED = 1_000
# rows that the slow contenders search for
QUERIES = 100_000


def run(bench: Bench) -> None:
    vectors = clustered(bench.rows, bench.dim, bench.device, bench.seed)
    candidates(bench, vectors[:1_000])  # kernels are compiled or loaded
    found = bench.attempt("ours: candidates", lambda: candidates(bench, vectors))
    work = 2.0 * bench.rows**2 * bench.dim
    if found is not None:
        seconds, near = found
        bench.add(
            "ours: candidates",
            seconds,
            rows=bench.rows,
            dim=bench.dim,
            k=bench.k,
            tflops=round(work / seconds / 1e12, 3),
            share_of_peak=round(work / seconds / bench.peak("bf16"), 4),
            floor_s=round(work / bench.peak("bf16"), 4),
        )
        measured(bench, vectors, near)
        _add_recall(bench, "ours", vectors, near)
    ours = found[0] / bench.rows if found else None
    for name, queries, search in _contenders(bench, vectors):
        other = bench.attempt(name, search)
        if other is not None:
            times = round(other[0] / queries / ours, 2) if ours else None
            bench.add(name, other[0], queries=queries, rows=bench.rows, ours_times_faster=times)
            _add_recall(bench, name, vectors, other[1])


def _add_recall(bench: Bench, name: str, vectors: Floats, near: Ints) -> None:
    found = bench.attempt(f"{name}: recall", lambda: recall(bench, vectors, near))
    if found is not None:
        bench.add(f"{name}: recall", found[0], recall=found[1])


def candidates(bench: Bench, vectors: Floats) -> Ints:
    from job.backends.knn.exact import ExactSearch

    exact_search = ExactSearch(vectors, bench.device)
    return exact_search.find(np.arange(len(vectors)), min(bench.k + SPARE, len(vectors) - 1))


def measured(bench: Bench, vectors: Floats, near: Ints) -> tuple[Ints, Floats]:
    """The graph with distances from the vectors, on the host; saved for the parts that run later."""
    from job.backends.knn.distances import pair_distances, sort_rows

    rows = np.arange(len(vectors))
    pair_distances(vectors, rows[:2], near[:2])
    seconds, distances = bench.timed(lambda: pair_distances(vectors, rows, near))
    bench.add("ours: distances from the vectors, on the host", seconds, pairs=near.size)
    seconds, graph = bench.timed(lambda: sort_rows(near, distances, min(bench.k, near.shape[1])))
    bench.add("ours: rows sorted, on the host", seconds)
    np.savez(_file(bench), indices=graph[0], distances=graph[1])
    return graph


def graph_of(bench: Bench) -> tuple[Ints, Floats]:
    """The graph of the vectors of `clustered`: the one that part `knn` saved on this machine, or a new one."""
    if _file(bench).exists():
        with np.load(_file(bench)) as file:
            return file["indices"], file["distances"]
    vectors = clustered(bench.rows, bench.dim, bench.device, bench.seed)
    return measured(bench, vectors, candidates(bench, vectors))


def recall(bench: Bench, vectors: Floats, near: Ints) -> float:
    """The share of found neighbors that are no farther than the true k-th (float64), on a sample of the rows that were
    searched, which are the first."""
    import torch

    rows = np.random.default_rng(1).choice(len(near), min(CHECKED, len(near)), replace=False)
    device = torch.device(bench.device)
    k = min(bench.k, near.shape[1])
    queries = torch.from_numpy(vectors[rows]).to(device).double()
    best = torch.full((len(rows), k), torch.inf, dtype=torch.float64, device=device)
    own = torch.from_numpy(rows).to(device)
    for start in range(0, len(vectors), 50_000):
        block = torch.from_numpy(vectors[start : start + 50_000]).to(device).double()
        far = torch.cdist(queries, block, compute_mode="donot_use_mm_for_euclid_dist")
        inside = (own >= start) & (own < start + len(block))
        far[inside, own[inside] - start] = torch.inf
        best = torch.cat([best, far], 1).topk(k, largest=False).values
    names = torch.from_numpy(near[rows].astype(np.int64)).to(device)
    theirs = torch.from_numpy(vectors[near[rows].clip(0)]).to(device).double()
    mine = (theirs - queries[:, None]).norm(dim=2).masked_fill(names < 0, torch.inf)
    nearest = mine.topk(k, largest=False).values
    return round(float((nearest <= best[:, -1:] + 1e-9).double().mean()), 5)


def _contenders(bench: Bench, vectors: Floats) -> list[tuple[str, int, Callable[[], Ints]]]:
    """Name, number of queries and search. Brute force is asked for the first rows only: its rate is constant."""
    k, some = bench.k, min(QUERIES, bench.rows)
    if not bench.cuda:
        return [
            ("torch float32, a plain loop", some, lambda: _plain_loop(bench, vectors, some)),
            ("scikit-learn brute", some, lambda: _scikit_learn(vectors, some, k)),
        ]
    rapids: list[tuple[str, int, Callable[[], Ints]]] = []
    if has_rapids(bench):
        rapids = [
            ("cuVS brute force, float32", some, lambda: _cuvs(vectors, some, k)),
            ("cuML NearestNeighbors brute", some, lambda: _cuml(vectors, some, k)),
            ("cuVS nn_descent (approximate)", bench.rows, lambda: _nn_descent(vectors, k)),
        ]
    return [*rapids, ("torch float32, a plain loop", some, lambda: _plain_loop(bench, vectors, some))]


def _plain_loop(bench: Bench, vectors: Floats, queries: int) -> Ints:
    """The search that one would write without a library: float32 products and top-k, one block of queries at a time."""
    import torch

    everything = torch.from_numpy(vectors).to(bench.device)
    blocks = []
    for start in range(0, queries, 4096):
        scores = everything[start : min(start + 4096, queries)] @ everything.T
        scores[torch.arange(len(scores)), torch.arange(start, start + len(scores))] = -torch.inf
        blocks.append(scores.topk(bench.k, dim=1).indices.int().cpu())
    return torch.cat(blocks).numpy()


def _scikit_learn(vectors: Floats, queries: int, k: int) -> Ints:
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(vectors)
    return _without_self(model.kneighbors(vectors[:queries], return_distance=False), 0, k)


def _cuvs(vectors: Floats, queries: int, k: int) -> Ints:
    import cupy
    from cuvs.neighbors import brute_force

    data = to_device(cupy, vectors)
    index = brute_force.build(data, metric="sqeuclidean")
    blocks = []
    for start in range(0, queries, 16_384):
        _, near = brute_force.search(index, data[start : min(start + 16_384, queries)], k + 1)
        blocks.append(_without_self(cupy.asnumpy(cupy.asarray(near)), start, k))
    return np.concatenate(blocks)


def _nn_descent(vectors: Floats, k: int) -> Ints:
    import cupy
    from cuvs.neighbors import all_neighbors, nn_descent

    degree = max(64, k + 1)
    inner = nn_descent.IndexParams(metric="sqeuclidean", graph_degree=degree, intermediate_graph_degree=2 * degree)
    parameters = all_neighbors.AllNeighborsParams(algo="nn_descent", metric="sqeuclidean", nn_descent_params=inner)
    distances = cupy.empty((len(vectors), k + 1), cupy.float32)
    near, _ = all_neighbors.build(to_device(cupy, vectors), k + 1, parameters, distances=distances)
    return _without_self(cupy.asnumpy(cupy.asarray(near)), 0, k)


def _cuml(vectors: Floats, queries: int, k: int) -> Ints:
    import cupy
    from cuml.neighbors import NearestNeighbors

    data = to_device(cupy, vectors)
    model = NearestNeighbors(n_neighbors=k + 1, algorithm="brute", output_type="numpy").fit(data)
    return _without_self(np.asarray(model.kneighbors(data[:queries], return_distance=False)), 0, k)


def _without_self(near: Any, start: int, k: int) -> Ints:
    """The first k neighbors of each row in `near` [m, k + 1], without the row itself; the first row is `start`."""
    rows = np.arange(start, start + len(near))[:, None]
    order = np.argsort(near == rows, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(near, order, 1).astype(np.int32)


def _file(bench: Bench) -> Any:
    bench.scratch.mkdir(parents=True, exist_ok=True)
    return bench.scratch / f"graph-{bench.rows}x{bench.dim}-{bench.k}.npz"
