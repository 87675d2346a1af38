"""The sections of a run's configuration, but `input` and `describe`: every key with its meaning.

A setting that changes how a stage works but not what comes out is marked `NO_EFFECT`: it is not part of the stage's
key, so changing it does not redo the stage.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from job.config.kinds import kinds_of
from job.config.recipes import expand

NO_EFFECT = "no effect on the result"


def _expanded(value: object) -> object:
    # once, here: parts of the job and the libraries differ in whether they do; Path's own fails where there is no
    # such user
    return os.path.expanduser(str(value)) if isinstance(value, int | str | Path) else value  # noqa: PTH111


# the folder of a run
Folder = Annotated[Path, BeforeValidator(_expanded)]
Name = Annotated[str, Field(min_length=1)]
FieldName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}$")]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic takes for 1 and 0."""
        kinds = kinds_of(cls.model_fields[info.field_name].annotation) if info.field_name else set()
        if isinstance(value, bool) and bool not in kinds and kinds & {int, float, Path}:
            expected = "a path, in quotes" if Path in kinds else "a number"
            raise ValueError(f"yes, no, on, off, true and false are truth values in YAML; give {expected}")
        return value

    def key(self) -> dict[str, Any]:
        """The settings that the result depends on, as JSON values: all except those marked `NO_EFFECT`."""
        names = {name for name, field in type(self).model_fields.items() if NO_EFFECT not in field.metadata}
        return self.model_dump(mode="json", include=names)


class Embed(Section):
    """Which model, and how. `token_budget`: tokens per batch; None: 16,384 on a GPU, 4,096 on a CPU.

    `sparse`: also BGE-M3's lexical weights, from the same pass. `shard_rows`: headlines per file, the most that a kill
    can cost; None: 100,000 on a GPU, 10,000 on a CPU. The model's files and its pooling are part of the key by their
    digest, not by name. `reuse`: the folder of a finished run: headlines that it had too keep their vectors. None: that
    of `cluster.previous`.
    """

    model: Annotated[Name, NO_EFFECT] = "BAAI/bge-m3"
    max_length: int = Field(default=512, ge=8, le=8192)
    precision: Literal["auto", "fp16", "bf16", "fp32"] = "auto"
    token_budget: Annotated[int | None, NO_EFFECT] = Field(default=None, ge=64)
    pooling: Annotated[Literal["auto", "cls", "mean"], NO_EFFECT] = "auto"
    shard_rows: int | None = Field(default=None, ge=1)
    sparse: bool = False
    reuse: Annotated[Folder | None, NO_EFFECT] = None


class Store(Section):
    """Where Milvus is. `uri`: a file for Milvus Lite (None: `milvus.db` in the run folder), or a server's address.

    `scope`: cluster this run's headlines, or everything in the collection (that `filter` selects). `extra_fields`:
    input columns that are stored too. `patience`: seconds to wait for a server that went away. The uri is part of the
    key without its password.
    """

    uri: Annotated[Name | None, NO_EFFECT] = None
    token: Annotated[SecretStr | None, NO_EFFECT] = None
    db_name: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,254})?$")
    tls_ca: Annotated[Path | None, NO_EFFECT] = None
    collection: str = Field(default="news_data", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}$")
    scope: Literal["run", "collection"] = "run"
    filter: str = ""
    id_field: FieldName = "id"
    vector_field: FieldName = "embedding"
    text_field: FieldName = "text"
    sparse_field: FieldName = "sparse"
    extra_fields: tuple[FieldName, ...] = ()
    # the kinds are those of job.backends.milvus.index_kinds.KINDS, by test
    index: Literal["auto", "GPU_IVF_FLAT", "GPU_CAGRA", "GPU_BRUTE_FORCE", "IVF_FLAT", "HNSW", "FLAT", "AUTOINDEX"] = (
        "auto"
    )
    nlist: int | None = Field(default=None, ge=1, le=65_536)
    cache_dataset_on_device: bool = False
    metric: Literal["IP", "COSINE", "L2"] = "IP"
    parallel: Annotated[int, NO_EFFECT] = Field(default=2, ge=1, le=64)
    patience: Annotated[float, NO_EFFECT] = Field(default=180.0, ge=0)

    @field_validator("uri")
    @classmethod
    def _file_or_address(cls, value: str | None) -> str | None:
        if value is None or (value.endswith(".db") and "://" not in value):
            return value
        expected = "expected a file ending in .db (Milvus Lite), or an address such as http://localhost:19530"
        try:
            parts = urlsplit(value)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if not known:
            raise ValueError(expected)
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(
                f"{expected}, and nothing after the port: store.db_name names a database, MILVUS_TOKEN a token"
            )
        return value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        names = [self.id_field, self.vector_field, self.text_field, *self.extra_fields]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(
                f"the field '{twice[0]}' stands twice among id_field, vector_field, text_field, extra_fields"
            )
        if self.filter and self.scope == "run":
            raise ValueError("store.filter needs store.scope = collection: a run clusters all of its own headlines")
        return self


class Neighbors(Section):
    """The neighbor graph. `k`: neighbors per headline that clustering reads, the headline itself not counted.

    `batch`: queries per request (None: 4,096, on Lite 1,024, as far as the message size allows). `min_recall`: below
    it, measured on a sample of `recall_sample` rows, the search is repeated with more effort. `audit`: `full` also
    clusters the exact graph and compares the labels. `shard_rows`: headlines per shard, which is what a kill costs and
    what ranks share (None: a 64th of all, between 4,096 and 16,384).
    """

    k: int = Field(default=50, ge=1, le=1024)
    backend: Literal["milvus", "exact"] = "milvus"
    batch: Annotated[int | None, NO_EFFECT] = Field(default=None, ge=1, le=16_384)
    parallel: Annotated[int, NO_EFFECT] = Field(default=2, ge=1, le=64)
    nprobe: int | None = Field(default=None, ge=1, le=65_536)
    min_recall: float = Field(default=0.95, ge=0.0, le=1.0)
    recall_sample: int = Field(default=500, ge=0)
    audit: Literal["sample", "full"] = "sample"
    shard_rows: int | None = Field(default=None, ge=1)


# settings of `cluster` that shape the single linkage tree, and those that only cut it
TREE_KEYS = ("input", "k", "reduce_to", "mode", "min_samples")
CUT_KEYS = ("min_cluster_size", "selection", "epsilon", "max_cluster_size", "allow_single_cluster", "components")
NOISE_KEYS = ("noise", "noise_distance")
# settings that cut the tree of merges
STORY_KEYS = ("merge_above", "smallest_story")


class Cluster(Section):
    """HDBSCAN, on the neighbor graph or on the vectors.

    `recipe`: sets what is not set here. `k`: neighbors read, at most `neighbors.k` (None: all). `components`: how
    connected components of the graph are weighed: each by itself (`apart`), or joined at infinite distance as in the
    tutorial's matrix (`joined`). `epsilon`: a distance below which clusters are not split. `max_cluster_size`: 0 is no
    limit. `noise`: `nearest` adds the column `assigned`, in which noise gets the cluster that its neighbors vote for,
    if one of its headlines is nearer than `noise_distance`.

    `merge_above`: headlines are merged into stories by average linkage of their story vectors (section `stories`) while
    their similarity is at least this; `auto`: the level that parts the stories of this run best; None: they are not
    merged, and HDBSCAN's clusters are the answer. `smallest_story`: headlines of a story; those of a smaller one are
    noise.

    `previous`: the run folder of the day before: its stories keep their ids. What is in it is part of a key, not where
    it lies.
    """

    recipe: Annotated[Literal["stories", "topics"] | None, NO_EFFECT] = None
    input: Literal["neighbors", "vectors"] = "neighbors"
    k: int | None = Field(default=None, ge=1, le=1024)
    reduce_to: int | None = Field(default=None, ge=2, le=100)
    mode: Literal["canonical", "tutorial"] = "canonical"
    min_samples: int = Field(default=3, ge=1, le=1023)
    min_cluster_size: int = Field(default=10, ge=2)
    selection: Literal["eom", "leaf"] = "eom"
    epsilon: float = Field(default=0.0, ge=0.0)
    max_cluster_size: int = Field(default=0, ge=0)
    allow_single_cluster: bool = False
    components: Literal["apart", "joined"] = "apart"
    noise: Literal["keep", "nearest"] = "keep"
    noise_distance: float = Field(default=1.1, gt=0.0)
    merge_above: Annotated[Annotated[float, Field(gt=-1.0, le=1.0)] | Literal["auto"] | None, NO_EFFECT] = None
    smallest_story: Annotated[int, NO_EFFECT] = Field(default=2, ge=2)
    previous: Annotated[Folder | None, NO_EFFECT] = None

    @model_validator(mode="before")
    @classmethod
    def _follow_recipe(cls, values: Any) -> Any:
        return expand(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.reduce_to is not None and self.input == "neighbors":
            raise ValueError("cluster.reduce_to needs cluster.input = vectors: the graph is not reduced")
        if self.mode == "tutorial" and self.input == "vectors":
            recipe = f", but cluster.recipe = {self.recipe} sets vectors" if self.recipe == "topics" else ""
            raise ValueError(
                f"cluster.mode = tutorial needs cluster.input = neighbors{recipe}: it defines a graph's clusters"
            )
        if 0 < self.max_cluster_size < self.min_cluster_size:
            raise ValueError(
                f"cluster.max_cluster_size = {self.max_cluster_size} is below "
                f"cluster.min_cluster_size = {self.min_cluster_size}"
            )
        return self

    @property
    def assign_within(self) -> float | None:
        """The distance within which noise gets the cluster that its neighbors vote for; None: it stays noise."""
        return self.noise_distance if self.noise == "nearest" else None

    def tree_settings(self) -> dict[str, Any]:
        """The settings that shape the tree."""
        return self.model_dump(mode="json", include=set(TREE_KEYS))

    def cut_settings(self) -> dict[str, Any]:
        """The settings that cut the tree: the keyword arguments of `graph_hdbscan.cut`."""
        return self.model_dump(include=set(CUT_KEYS))


class Stories(Section):
    """What makes two headlines similar where they are merged into stories: the dense vectors, the words, the time.

    `words`: the words' share of the similarity; the rest is the dense vectors'. `time`: the share of the similarity
    that headlines lose when they are far apart in time (`input.time`). `hours`: the time constant: at this distance
    they lose 1 - 1/e of that share. Defaults by measurement (configs/README.md).

    `themes`, `topics`: how many of each lie above the stories; None: by the number of stories.
    """

    words: float = Field(default=0.3, ge=0.0, le=1.0)
    time: float = Field(default=0.75, ge=0.0, le=1.0)
    hours: float = Field(default=72.0, gt=0.0)
    themes: Annotated[int | None, NO_EFFECT] = Field(default=None, ge=1, le=5_000)
    topics: Annotated[int | None, NO_EFFECT] = Field(default=None, ge=1, le=5_000)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.themes and self.topics and self.topics < self.themes:
            raise ValueError(
                f"stories.topics = {self.topics} is below stories.themes = {self.themes}: themes consist of topics"
            )
        return self


class Project(Section):
    """The map's layout by UMAP; `n_neighbors` counts the headline itself."""

    dimensions: Literal[2, 3] = 2
    n_neighbors: int = Field(default=30, ge=2, le=1025)
    min_dist: float = Field(default=0.1, ge=0.0, lt=1.0)


class Report(Section):
    """The report's and the map's page. `title`; None: what the headlines are from. `map_mb`: the map's largest size in
    MB; above it, it has no descriptions, or the texts of a sample."""

    title: Name | None = None
    map_mb: float = Field(default=25.0, ge=6.0)


class RanksConfig(Section):
    """Several processes for one run. None: as torchrun or Slurm say; neither: one process.

    `wait`: seconds that `run` waits for other ranks that make no progress.
    """

    rank: int | None = Field(default=None, ge=0)
    world: int | None = Field(default=None, ge=1)
    wait: float = Field(default=1800.0, gt=0)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.rank is None) != (self.world is None):
            raise ValueError(f"ranks.rank = {self.rank}, ranks.world = {self.world}: set both or neither")
        if self.rank is not None and self.world is not None and self.rank >= self.world:
            raise ValueError(f"ranks.rank = {self.rank}: ranks count from 0 to ranks.world - 1 = {self.world - 1}")
        return self
