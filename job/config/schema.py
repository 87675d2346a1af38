"""The whole configuration, and the rules between its sections."""

from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from job.config.describe import Describe
from job.config.input import Input
from job.config.recipes import expand
from job.config.sections import Cluster, Embed, Folder, Neighbors, Project, RanksConfig, Report, Section, Store, Stories
from job.runtime.secrets import without_secrets

# UMAP's n_neighbors where it reduces vectors for clustering, as BERTopic has it
REDUCE_NEIGHBORS = 15
# hits asked of Milvus beyond k: the headline itself, and a margin so that near ties in float32 scores decide nothing
SPARE_HITS = 9


class Config(Section):
    """All sections. `run_dir`: the folder of the run. `seed`: of the layout and of the recall sample."""

    run_dir: Folder
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    input: Input = Input()
    embed: Embed = Embed()
    store: Store = Store()
    neighbors: Neighbors = Neighbors()
    cluster: Cluster = Cluster()
    stories: Stories = Stories()
    project: Project = Project()
    describe: Describe = Describe()
    report: Report = Report()
    ranks: RanksConfig = RanksConfig()
    _notes: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="before")
    @classmethod
    def _follow_recipe(cls, values: Any) -> Any:
        """Here too, because `neighbors.k` limits the recipe's own `cluster.k`."""
        if not isinstance(values, dict) or not isinstance(values.get("cluster"), dict):
            return values
        neighbors = values.get("neighbors")
        k = neighbors.get("k") if isinstance(neighbors, dict) else None
        available = k if isinstance(k, int) else Neighbors().k
        return {**values, "cluster": expand(values["cluster"], available)}

    @model_validator(mode="after")
    def _agree(self) -> Self:
        store, cluster = self.store, self.cluster
        others = (store.id_field, store.vector_field, store.text_field, *store.extra_fields)
        if self.embed.sparse and store.sparse_field in others:
            raise ValueError(f"store.sparse_field = '{store.sparse_field}' is another field's name too: choose another")
        if cluster.k is not None and cluster.k > self.neighbors.k:
            raise ValueError(f"cluster.k = {cluster.k} needs neighbors.k of at least that, not {self.neighbors.k}")
        read = cluster.k or self.neighbors.k
        if cluster.input == "neighbors" and cluster.min_samples > read:
            name = "cluster.k" if read < self.neighbors.k else "neighbors.k"
            raise ValueError(f"cluster.min_samples = {cluster.min_samples} needs {name} of at least that, not {read}")
        if cluster.input == "vectors" and self.neighbors.audit == "full":
            raise ValueError(
                "neighbors.audit = full needs cluster.input = neighbors: it compares the labels of two graphs"
            )
        if not self.input.paths and store.scope == "run":
            raise ValueError(
                "input.path: missing; give it in the file or as input.path=VALUE (only store.scope = collection does "
                "without: it clusters what is in Milvus already)"
            )
        return self

    @property
    def notes(self) -> tuple[str, ...]:
        """What reading the configuration has to say to the log."""
        return self._notes

    @property
    def store_uri(self) -> str:
        return self.store.uri or str(self.run_dir / "milvus.db")

    @property
    def graph_k(self) -> int:
        """Neighbors per headline in the graph: the most that any stage needs."""
        reduction = REDUCE_NEIGHBORS if self.cluster.reduce_to else 0
        return max(self.neighbors.k, self.project.n_neighbors - 1, reduction - 1)

    @property
    def search_k(self) -> int:
        """Hits per query that are asked of Milvus."""
        return self.graph_k + SPARE_HITS

    @property
    def index_top_k(self) -> int:
        """Hits per query that Milvus's index has to give; 0 where it is not searched."""
        return self.search_k if self.neighbors.backend == "milvus" else 0

    def shared(self) -> dict[str, str]:
        """The settings that several processes of one run must share, as text: those that the result depends on, and
        where Milvus is. The input is compared by its files' names and content, the model by its content."""
        shared = {"seed": str(self.seed), "store.uri": without_secrets(self.store.uri or "")}
        for name in ("input", "embed", "store", "neighbors", "cluster"):
            shared |= {f"{name}.{key}": str(value) for key, value in getattr(self, name).key().items()}
        return shared

    @property
    def keeps_ids(self) -> bool:
        """Whether stories have ids that stay: after a previous run, or in a collection that grows."""
        return self.cluster.previous is not None or self.store.scope == "collection"

    def public(self) -> dict[str, Any]:
        """The resolved configuration as JSON values, without the token, a password in the uri, and the ranks."""
        values = self.model_dump(mode="json", exclude={"store": {"token"}, "ranks": True})
        if self.store.uri is not None:
            values["store"]["uri"] = without_secrets(self.store.uri)
        return values
