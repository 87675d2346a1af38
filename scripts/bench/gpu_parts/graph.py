"""HDBSCAN on the neighbor graph, CPU and GPU: checks that labels are equal and times each step."""

from functools import partial
from typing import Any

import numpy as np

from gpu_parts.measure import Bench
from gpu_parts.neighbors import graph_of

MIN_SAMPLES = 3
MIN_CLUSTER_SIZE = 10


def run(bench: Bench) -> None:
    from job.backends.graph_hdbscan import cut, linkage_of, row_ranges

    indices, distances = graph_of(bench)
    small = indices[:100].clip(max=99), distances[:100]
    cut(linkage_of(*small), min_cluster_size=5)  # numba compiles its kernels or loads them from its cache
    tree = partial(linkage_of, indices, distances, min_samples=MIN_SAMPLES)
    on_cpu = bench.attempt("tree on the CPU", lambda: tree(device="cpu"))
    if on_cpu is None:
        return
    size = {"rows": len(indices), "k": indices.shape[1]}
    bench.add("tree on the CPU", on_cpu[0], **size, threads=row_ranges.usable_cores())
    seconds, cpu_result = bench.timed(lambda: cut(on_cpu[1], min_cluster_size=MIN_CLUSTER_SIZE))
    noise = round(float((cpu_result.labels < 0).mean()), 4)
    bench.add("labels from the tree, on the host", seconds, clusters=len(cpu_result.persistence), noise=noise)
    if bench.cuda:
        bench.attempt("tree on the GPU, first", lambda: tree(device="cuda"))  # CuPy compiles its kernels
        on_gpu = bench.attempt("tree on the GPU", lambda: tree(device="cuda"))
        if on_gpu is None:
            return
        cut_seconds, gpu_result = bench.timed(lambda: cut(on_gpu[1], min_cluster_size=MIN_CLUSTER_SIZE))
        bench.add("graph on the host to labels, by the GPU", on_gpu[0] + cut_seconds, **size)
        bench.add(
            "tree on the GPU",
            on_gpu[0],
            **size,
            times_faster_than_cpu=round(on_cpu[0] / on_gpu[0], 2),
            floor_s=round(2 * indices.nbytes / bench.peak("copy"), 5),
            same_labels=bool(np.array_equal(cpu_result.labels, gpu_result.labels)),
            same_heights=bool(np.array_equal(on_cpu[1].merges[:, 2], on_gpu[1].merges[:, 2])),
        )
    steps(bench, indices, distances)


def steps(bench: Bench, indices: Any, distances: Any) -> None:
    """Time the steps of the GPU code one by one; without a GPU they run with NumPy, which only tests their logic."""
    from job.backends.graph_hdbscan import boruvka, linkage

    if bench.cuda:
        import cupy
        import cupyx

        xp, scatter_min = cupy, cupyx.scatter_min
    else:
        xp, scatter_min = np, np.minimum.at
    seconds, on_device = bench.timed(lambda: (xp.asarray(indices), xp.asarray(distances)))
    bench.add("steps: graph copied to the device", seconds, gbytes=round(2 * indices.nbytes / 1e9, 3))
    cores = bench.attempt("steps: core distances", lambda: boruvka.core_distances(xp, *on_device, MIN_SAMPLES))
    if cores is None:
        return
    bench.add("steps: core distances", cores[0])
    forest = bench.attempt("steps: forest", lambda: boruvka.spanning_edges(xp, scatter_min, *on_device, MIN_SAMPLES))
    if forest is None:
        return
    bench.add("steps: core distances and forest, copied to the host", forest[0])
    edges = forest[1]
    seconds, _ = bench.timed(lambda: linkage.single_linkage(edges.left, edges.right, edges.weights))
    bench.add("steps: single linkage, on the host", seconds)
    if bench.cuda:
        bench.add("steps: memory", device_mb=xp.get_default_memory_pool().total_bytes() >> 20)
