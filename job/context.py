"""What the stages of one run share: its configuration, its choices, and what the stages before left on disk."""

from functools import cached_property

import numpy as np

from job.backends.embedding.models import Model, find_model
from job.backends.milvus import Fields, Milvus
from job.config import Config
from job.data import HEADLINES, Clusters, Embeddings, Floats, Headlines, KnnGraph
from job.runtime.device import resolve_device, resolve_graph_code, resolve_precision, resolve_rapids
from job.runtime.ranks import resolve_ranks
from job.runtime.rundir import RunDir
from job.stages import store_collection as population


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
        return open_milvus(self.config)

    @property
    def living(self) -> bool:
        """Whether everything in the collection is clustered, not this input's headlines alone."""
        return self.config.store.scope == "collection"

    @cached_property
    def input_headlines(self) -> Headlines:
        """This input's headlines; none where there is no input."""
        file = self.run.file("headlines.parquet")
        return Headlines.load(file) if self.config.input.paths else Headlines(HEADLINES.empty_table())

    @cached_property
    def input_embeddings(self) -> Embeddings:
        from job.stages.embed import load_embeddings

        return load_embeddings(self.input_headlines.ids, self.run)

    @cached_property
    def headlines(self) -> Headlines:
        """What is clustered."""
        return Headlines.load(self.run.file(population.FILES[0])) if self.living else self.input_headlines

    @cached_property
    def embeddings(self) -> Embeddings:
        return population.load_vectors(self.headlines, self.run) if self.living else self.input_embeddings

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

    def clustered(self, stage: str) -> str:
        """The digest of the headlines (`ingest`) or vectors (`embed`) that are clustered, wherever they came from."""
        return self.output("store" if self.living else stage)

    def close(self) -> None:
        """Let go of Milvus, if it was asked for."""
        if "milvus" in self.__dict__:
            self.milvus.close()


def open_milvus(config: Config) -> Milvus:
    """A connection to the configured collection; see `job.backends.milvus.Connection` for its errors."""
    store = config.store
    return Milvus(
        config.store_uri,
        store.token.get_secret_value() if store.token else None,
        store.collection,
        Fields(
            store.id_field,
            store.vector_field,
            store.text_field,
            store.extra_fields,
            store.sparse_field if config.embed.sparse else "",
        ),
        db_name=store.db_name,
        tls_ca=store.tls_ca,
        patience=store.patience,
    )
