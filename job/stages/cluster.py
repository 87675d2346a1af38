"""Cluster: HDBSCAN from the neighbor graph, or on the vectors. One tree is kept, and cut as the settings say."""

from typing import TYPE_CHECKING, Any

import numpy as np

from job.config import REDUCE_NEIGHBORS
from job.context import CLUSTERED, Job, Stage, StageResult
from job.data import Clusters, Floats, KnnGraph
from job.runtime.files import atomic, digest
from job.runtime.log import logger
from job.runtime.needs import Need, Size, umap_need
from job.runtime.rundir import RunDir

if TYPE_CHECKING:
    from job.backends.graph_hdbscan import Linkage, Result

TREE_FILE = "linkage.npz"


class ClusterStage(Stage):
    """Write `clusters.parquet`, `tree.npz` (condensed) and `linkage.npz` (single linkage).

    The single linkage tree is reused where it was made with the same tree settings, so that another cut takes seconds.
    """

    name = "cluster"
    version = 3

    def key(self, job: Job) -> list[Any]:
        return [tree_key(job), job.config.cluster.key()]

    def files(self, job: Job) -> list[str]:
        return ["clusters.parquet", "tree.npz"]

    def need(self, job: Job, size: Size) -> Need:
        n, config = size.headlines, job.config.cluster
        # the single linkage tree, and the condensed one with its clusters
        loops, memory, gpu = 0.08 + 2.5e-6 * n, 140.0 * n, 10.0 * size.graph
        if config.reduce_to is not None:
            umap = umap_need(n, REDUCE_NEIGHBORS)
            loops, memory = loops + 1.3e-4 * n + umap.loops, memory + size.floats + umap.memory
            gpu += size.floats + umap.gpu
        elif config.input == "vectors":
            # hdbscan computes in float64, and compares nearly all with all
            loops, memory = loops + 9.5e-10 * float(n) ** 2 * size.dim, memory + 3.0 * size.floats
            gpu += size.floats
        return Need(
            # it begins with what `neighbors` leaves
            memory=size.held_with_milvus + size.graph + memory,
            gpu=gpu,
            disk=83 * n,
            loops=loops,
            remedy="set cluster.input=neighbors, or lower neighbors.k and project.n_neighbors",
        )

    def run(self, job: Job) -> StageResult:
        from job.backends.knn.vote import nearest_cluster

        config, graph = job.config.cluster, job.near_to_cluster
        found, implementation, reused = _clusters(job, graph)
        nearest, distance = nearest_cluster(found.labels, graph.indices, graph.distances)
        clusters = Clusters(found.labels, found.probabilities, found.persistence, nearest, distance, found.tree)
        clusters.save(job.run.file("clusters.parquet"), job.run.file("tree.npz"), job.headlines.ids)
        noise = clusters.noise_figures(config.assign_within)
        logger.info(
            "cluster: %s clusters%s, %.1f%% noise (%s%s)",
            f"{clusters.count:,}",
            " of HDBSCAN beside the stories" if job.merges else "",
            100 * noise["noise_share"],
            implementation,
            ", from the kept tree" if reused else "",
        )
        choice = job.graph_code if config.input == "neighbors" else job.rapids
        return StageResult(
            len(graph),
            digest(clusters.labels, clusters.probabilities, clusters.nearest),
            # of clusters that nobody sees, their settings are not worth a warning
            warnings=[] if job.merges else _warnings(job, clusters),
            stats={
                "implementation": implementation,
                "device_reason": choice.reason,
                "tree_reused": reused,
                "clusters": clusters.count,
                **noise,
                "largest": clusters.largest,
            },
        )


def tree_key(job: Job) -> str:
    """The digest of what the single linkage tree depends on, this code's version too; the other settings of clustering
    cut it."""
    of_vectors = []
    if job.config.cluster.input == "vectors":
        of_vectors = [job.clustered("embed"), job.config.seed, job.config.device]
    settings = job.config.cluster.tree_settings()
    # the vectors are reduced by so many neighbors of the graph, whatever clustering reads
    wide = job.config.cluster.reduce_to is not None and job.config.neighbors.k < REDUCE_NEIGHBORS - 1
    graph = job.output("neighbors", "" if wide else CLUSTERED)
    return digest(ClusterStage.version, job.clustered("ingest"), graph, settings, of_vectors)


def load_linkage(run: RunDir, key: str) -> "tuple[Linkage, str] | None":
    """The run's single linkage tree and what made it; None where there is none, or one with another key."""
    from job.backends.graph_hdbscan import Linkage

    try:
        with np.load(run.file(TREE_FILE)) as file:
            if str(file["key"]) != key:
                return None
            tree = Linkage(int(file["n"]), file["merges"], "tutorial" if bool(file["tutorial"]) else "canonical")
            return tree, str(file["implementation"])
    except Exception:  # what zipfile and NumPy raise for damaged files has no common type
        return None


def _save_linkage(tree: "Linkage", implementation: str, key: str, run: RunDir) -> None:
    with atomic(run.file(TREE_FILE)) as temporary:
        np.savez(
            temporary,
            merges=tree.merges,
            n=tree.n,
            tutorial=tree.mode == "tutorial",
            implementation=implementation,
            key=key,
        )


def _clusters(job: Job, graph: KnnGraph) -> "tuple[Result, str, bool]":
    """The clusters, what made their tree, and whether it was reused."""
    from job.backends.graph_hdbscan import cut

    config, key = job.config.cluster, tree_key(job)
    kept = load_linkage(job.run, key)
    if kept is not None:
        tree, implementation = kept
        return cut(tree, **config.cut_settings()), implementation, True
    if config.input == "neighbors":
        tree, implementation = _tree_of_graph(job, graph), "graph_hdbscan"
    else:
        vectors = _vectors(job)
        if job.rapids.value == "rapids":
            from job.backends.reduce import gpu

            settings = {name: value for name, value in config.cut_settings().items() if name != "components"}
            return gpu.hdbscan_vectors(vectors, min_samples=config.min_samples, **settings), "cuml", False
        from job.backends.reduce.cpu import linkage_of_vectors

        tree, implementation = linkage_of_vectors(vectors, config.min_samples), "hdbscan"
    _save_linkage(tree, implementation, key, job.run)
    return cut(tree, **config.cut_settings()), implementation, False


def _tree_of_graph(job: Job, graph: KnnGraph) -> "Linkage":
    from job.backends.graph_hdbscan import linkage_of

    config = job.config.cluster
    return linkage_of(
        graph.indices,
        graph.distances,
        mode=config.mode,
        min_samples=config.min_samples,
        device="cuda" if job.graph_code.value == "cuda" else "cpu",
    )


def _vectors(job: Job) -> Floats:
    """The vectors to cluster, reduced by UMAP where `cluster.reduce_to` is set."""
    from job.backends.reduce import cpu, gpu

    dimensions = job.config.cluster.reduce_to
    vectors = np.asarray(job.embeddings.vectors, np.float32)
    if dimensions is None or len(vectors) <= dimensions + 1:
        return vectors
    library = gpu if job.rapids.value == "rapids" else cpu
    neighbors = min(REDUCE_NEIGHBORS, len(vectors) - 1)
    reduced: Floats = library.umap_from_graph(job.graph, vectors, dimensions, neighbors, 0.0, job.config.seed)
    return reduced


def _warnings(job: Job, clusters: Clusters) -> list[str]:
    n, config = len(clusters.labels), job.config.cluster
    if not clusters.count:
        return [f"all {n:,} headlines are noise: lower cluster.min_cluster_size or cluster.min_samples"]
    if not clusters.has_swallowed:
        return []
    tree = clusters.tree
    components = int(((tree.parent == n) & (tree.lambdas == 0) & (tree.sizes > 1)).sum())
    graph = ""
    if components:
        joined = config.components == "joined" and config.mode == "canonical"
        more = "neighbors.k" if config.k is None else "cluster.k, and neighbors.k if it is not above it"
        remedy = "cluster.components=apart" if joined else f"a larger {more}"
        graph = f"the graph has {components} connected components, try {remedy}; "
    swallowed = f"one cluster holds {clusters.largest:,} of {n:,} headlines"
    return [f"{swallowed}: {graph}for broad topics try cluster.recipe=topics"]
