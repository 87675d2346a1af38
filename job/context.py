"""What the stages of one run share: its configuration, its choices, and what the stages before left on disk."""

from functools import cached_property

import numpy as np

from job.backends.milvus import Milvus
from job.backends.models import Model, find_model
from job.config import Config
from job.data import Clusters, Embeddings, Floats, Headlines, KnnGraph
from job.runtime.device import resolve_device, resolve_graph_code, resolve_precision, resolve_rapids
from job.runtime.ranks import resolve_ranks
from job.runtime.rundir import RunDir


class Job:
    """One run. What is on disk, the model and Milvus are fetched when first asked for, and kept."""

    def __init__(self, config: Config, device: str | None = None) -> None:
        """`device` instead of the configuration's, for what runs on another machine than the run did."""
        self.config = config
        self.run = RunDir(config.run_dir)
        self.device = resolve_device(device or config.device)
        self.precision = resolve_precision(config.embed.precision, self.device)
        self.rapids = resolve_rapids(self.device)
        self.graph_code = resolve_graph_code(self.device)
        self.ranks = resolve_ranks(config.ranks.rank, config.ranks.world)

    @cached_property
    def model(self) -> Model:
        return find_model(self.config.embed.model, self.config.embed.pooling, self.run.file("model.json"))

    @cached_property
    def milvus(self) -> Milvus:
        token = self.config.store.token
        return Milvus(self.config.store_uri, token.get_secret_value() if token else None, self.config.store.collection)

    @cached_property
    def headlines(self) -> Headlines:
        return Headlines.load(self.run.file("headlines.parquet"))

    @cached_property
    def embeddings(self) -> Embeddings:
        from job.stages.embed import load_embeddings

        return load_embeddings(self.headlines.ids, self.run)

    @cached_property
    def graph(self) -> KnnGraph:
        return KnnGraph.load(self.run.file("neighbors.npz"))

    @cached_property
    def clusters(self) -> Clusters:
        return Clusters.load(self.run.file("clusters.parquet"), self.run.file("tree.npz"))

    @cached_property
    def layout(self) -> Floats:
        layout: Floats = np.load(self.run.file("layout.npy"))
        return layout

    def output(self, stage: str) -> str:
        """The digest of a finished stage's result."""
        marker = self.run.marker(stage)
        assert marker is not None, stage
        return marker.output

    def close(self) -> None:
        """Let go of Milvus, if it was asked for."""
        if "milvus" in self.__dict__:
            self.milvus.close()
