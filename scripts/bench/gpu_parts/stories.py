"""Stories and themes from the neighbor graph: each step, on the CPU and, where it has code for it, on the GPU.

Dense vectors, graph and texts are synthetic and do not belong together: the times are real, the stories mean nothing.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gpu_parts.measure import Bench
from gpu_parts.neighbors import graph_of
from gpu_parts.texts import clustered, headlines

# of the recipe `stories`
NEIGHBORS = 15
SMALLEST_STORY = 3
# of the trees, and of a story whose themes are looked for
TREE_ROWS = 100_000
ROWS_PER_STORY = 20
_VOCABULARY = 20_000
_DAYS = 30


def run(bench: Bench) -> None:
    """At full size what the GPU has code for: candidates, similarities and themes; whole trees of fewer rows, since
    most of a tree's time is a loop on the host, which is the same for both devices."""
    dense, near, vectors = _data(bench)
    steps(bench, vectors, near[:, :NEIGHBORS])
    del vectors
    labels = np.random.default_rng(bench.seed).permutation(bench.rows).astype(np.int32) // ROWS_PER_STORY
    themes(bench, dense, labels)
    del dense, near
    trees(replace(bench, rows=min(bench.rows, TREE_ROWS)))


def _data(bench: Bench) -> tuple[Any, Any, Any]:
    """Dense vectors, the rows of the graph, and story vectors."""
    from job.backends.stories.vectors import Shares, story_vectors

    dense = clustered(bench.rows, bench.dim, bench.device, bench.seed)
    near = np.ascontiguousarray(graph_of(bench)[0])
    texts = headlines(bench.rows, _VOCABULARY, bench.seed)[0]
    times = 1.7e9 + 86_400.0 * _DAYS * np.random.default_rng(bench.seed).random(bench.rows)
    story_vectors(dense[:50], texts[:50], times[:50], Shares())  # numba compiles its kernels or loads them
    seconds, vectors = bench.timed(lambda: story_vectors(dense, texts, times, Shares()))
    bench.add("story vectors, on the host", seconds, rows=bench.rows, dim=vectors.shape[1])
    return dense, near, vectors


def trees(bench: Bench) -> None:
    """The whole tree by both devices, its levels and its stories."""
    from job.backends.stories.level import score_levels
    from job.backends.stories.linkage import average_linkage
    from job.stages.stories import story_labels

    _, graph, vectors = _data(bench)
    near, each = np.ascontiguousarray(graph[:, :NEIGHBORS]), np.arange(bench.rows, dtype=np.int32)
    found: dict[str, Any] = {}
    for device in ("cuda", "cpu") if bench.cuda else ("cpu",):
        link = partial(average_linkage, vectors, each, near, device=device)
        done = bench.attempt(f"the whole tree, {device}", link)
        if done is not None:
            found[device] = done[1]
            facts = {"rows": bench.rows, "merges": len(done[1].merges)}
            bench.add(f"the whole tree, {device}", done[0], **facts, **_same(found, _equal_trees))
    if not found:
        return
    tree = next(iter(found.values()))
    seconds, levels = bench.timed(lambda: score_levels(tree, vectors, graph, overwrite_vectors=True))
    bench.add("levels scored, on the host", seconds, best=round(levels.best, 4))
    seconds, labels = bench.timed(lambda: story_labels(tree, levels.best, SMALLEST_STORY))
    bench.add("stories cut, on the host", seconds, stories=int(labels.max(initial=-1)) + 1)


def steps(bench: Bench, vectors: Any, near: Any) -> None:
    """The steps that the GPU has code for, compared with the CPU's; without a GPU NumPy only tests their logic."""
    from job.backends.graph_hdbscan.row_ranges import usable_cores
    from job.backends.stories import arrays, candidates, greedy, linkage

    xp = np
    if bench.cuda:
        import cupy as xp
    threads, each = usable_cores(), np.arange(len(vectors), dtype=np.int32)
    near = np.ascontiguousarray(near)
    candidates.candidate_pairs(each[:50], near[:50].clip(max=49), 1)
    seconds, pairs = bench.timed(lambda: candidates.candidate_pairs(each, near, threads))
    bench.add("candidates, on the host", seconds, pairs=len(pairs[0]), threads=threads)
    arrays.candidate_keys(xp, each[:50], near[:50].clip(max=49))
    found = bench.attempt("candidates, by arrays", lambda: arrays.candidate_keys(xp, each, near))
    if found is not None:
        there = candidates.split_keys(found[1])
        same = all(np.array_equal(a, b) for a, b in zip(there, pairs, strict=True))
        bench.add("candidates, by arrays", found[0], same_labels=same, **_faster(bench, seconds, found[0]))
    clusters, means = linkage._clusters(vectors, each, None, False, threads)
    quantum = linkage._quantum(float(clusters["norm"].max()) ** 2)
    work = partial(greedy.similarities, clusters, means, quantum, *pairs, threads)
    seconds, expected = bench.timed(work)
    bench.add("similarities, on the host", seconds, threads=threads)
    work = partial(arrays.pair_similarities, xp, means, clusters["row"], quantum, *pairs)
    found = bench.attempt("similarities, by arrays", work)
    if found is not None:
        different = int((found[1] != expected).sum())
        bench.add("similarities, by arrays", found[0], different=different, **_faster(bench, seconds, found[0]))


def themes(bench: Bench, dense: Any, labels: Any) -> None:
    """The themes of the stories, by both devices."""
    from job.backends.stories.themes import find_themes

    results: dict[str, Any] = {}
    for device in ("cuda", "cpu") if bench.cuda else ("cpu",):
        found = bench.attempt(f"themes, {device}", partial(find_themes, dense, labels, device=device))
        if found is not None:
            results[device] = found[1]
            bench.add(f"themes, {device}", found[0], themes=len(set(found[1].parents)), **_same(results, _equal_themes))


def _same(results: dict[str, Any], equal: Any) -> dict[str, bool]:
    """Whether both devices' results are equal, once there are both."""
    return {"same_labels": equal(*results.values())} if len(results) == 2 else {}


def _equal_trees(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a.merges, b.merges))


def _equal_themes(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a.themes, b.themes) and np.array_equal(a.topics, b.topics))


def _faster(bench: Bench, cpu: float, gpu: float) -> dict[str, float]:
    """NumPy in CuPy's place is no figure."""
    return {"times_faster_than_cpu": round(cpu / gpu, 2)} if bench.cuda else {}
