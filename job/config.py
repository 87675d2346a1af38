"""The schema of a run: YAML, then the environment, then `key=value` words, all checked at once.

Every key is here with its meaning; `configs/*.yaml` repeat them with their trade-offs. Nothing heavy is imported.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from job.config_errors import explain
from job.runtime.errors import BadInput
from job.runtime.secrets import from_environment, without_password

# UMAP's n_neighbors where it reduces for clustering, as BERTopic has it
REDUCE_NEIGHBORS = 15
# asked of Milvus beyond k: the headline itself, and enough that near ties of float32 scores do not decide who is in
SPARE_HITS = 9

Name = Annotated[str, Field(min_length=1)]
FieldName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}$")]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)


class Input(Section):
    """What is read. `path`: a file, a glob, or a list of either; None where a collection alone is clustered."""

    path: Name | Annotated[list[Name], Field(min_length=1)] | None = None
    format: Literal["auto", "csv", "tsv", "jsonl", "parquet"] = "auto"
    title: Name = "title"
    description: Name | None = "description"
    encoding: Name = "utf-8"
    deduplicate: bool = True

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError("Python knows no such encoding; utf-8, utf-16, latin-1 and cp1252 are common") from None
        return value

    @property
    def paths(self) -> list[str]:
        return [self.path] if isinstance(self.path, str) else self.path or []


class Embed(Section):
    """Which model, and how. `token_budget`: tokens a batch; None: 16,384 on a GPU, 4,096 on a CPU.

    `sparse`: BGE-M3's lexical weights too, from the same pass. `shard_rows`: headlines a file, the most that a kill
    can cost; None: 100,000 on a GPU, 10,000 on a CPU.
    """

    model: Name = "BAAI/bge-m3"
    max_length: int = Field(default=512, ge=8, le=8192)
    precision: Literal["auto", "fp16", "bf16", "fp32"] = "auto"
    token_budget: int | None = Field(default=None, ge=64)
    pooling: Literal["auto", "cls", "mean"] = "auto"
    shard_rows: int | None = Field(default=None, ge=1)
    sparse: bool = False


class Store(Section):
    """Where Milvus is. `uri`: a file for Milvus Lite (None: `milvus.db` in the run folder), or a server's address.

    `scope`: cluster this run's headlines, or everything in the collection (that `filter` selects). `extra_fields`:
    input columns kept there too. `patience`: seconds that a server which went away is waited for. `write`: in
    messages, or as files under `bulk_uri` that the server reads itself: a folder that it sees under the same path, or
    `s3://bucket/prefix` in its own bucket, at `bulk_endpoint` (None: AWS).
    """

    uri: Name | None = None
    token: SecretStr | None = None
    db_name: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,254})?$")
    tls_ca: Path | None = None
    collection: str = Field(default="news_data", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,254}$")
    scope: Literal["run", "collection"] = "run"
    filter: str = ""
    id_field: FieldName = "id"
    vector_field: FieldName = "embedding"
    text_field: FieldName = "text"
    sparse_field: FieldName = "sparse"
    extra_fields: tuple[FieldName, ...] = ()
    index: Literal["auto", "GPU_IVF_FLAT", "GPU_CAGRA", "GPU_BRUTE_FORCE", "IVF_FLAT", "HNSW", "FLAT", "AUTOINDEX"] = (
        "auto"
    )
    nlist: int | None = Field(default=None, ge=1, le=65_536)
    cache_dataset_on_device: bool = False
    metric: Literal["IP", "COSINE", "L2"] = "IP"
    parallel: int = Field(default=2, ge=1, le=64)
    patience: float = Field(default=180.0, ge=0)
    write: Literal["upsert", "bulk"] = "upsert"
    bulk_uri: Name | None = None
    bulk_endpoint: Annotated[str, Field(pattern=r"^https?://[^/@]+/?$")] | None = None

    @field_validator("uri")
    @classmethod
    def _file_or_address(cls, value: str | None) -> str | None:
        if value is not None and not value.endswith(".db") and not value.startswith(("http://", "https://")):
            raise ValueError(
                "expected a file ending in .db (Milvus Lite), or an address such as http://localhost:19530"
            )
        return value

    @field_validator("bulk_uri")
    @classmethod
    def _folder_or_bucket(cls, value: str | None) -> str | None:
        if value is not None and "://" in value and not re.fullmatch(r"s3://[^/@:]+(/[^@]*)?", value):
            raise ValueError(
                "expected a folder, or s3://bucket/prefix; keys come from the environment (AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY) or .env alone"
            )
        return value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        self._check_bulk()
        names = [self.id_field, self.vector_field, self.text_field, *self.extra_fields]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(
                f"the field '{twice[0]}' stands twice among id_field, vector_field, text_field, extra_fields"
            )
        if self.filter and self.scope == "run":
            raise ValueError("store.filter needs store.scope = collection: a run clusters all of its own headlines")
        return self

    def _check_bulk(self) -> None:
        if self.bulk_endpoint is not None and not (self.bulk_uri or "").startswith("s3://"):
            raise ValueError(f"store.bulk_endpoint = '{self.bulk_endpoint}' needs store.bulk_uri = s3://bucket/prefix")
        if self.write == "upsert":
            return
        why = None
        if self.uri is None or "://" not in self.uri:
            why = "needs a server, and Milvus Lite has no bulk import: set store.uri to a server's address"
        elif "zillizcloud" in self.uri:
            why = "cannot be had at Zilliz Cloud, which imports by another API"
        elif self.bulk_uri is None:
            why = "needs store.bulk_uri: a folder that the server sees under the same path, or s3://bucket/prefix"
        elif self.scope == "collection":
            why = "does not go with store.scope = collection: an import does not replace rows of the same id"
        if why is not None:
            raise ValueError(f"store.write = bulk {why}, or take store.write=upsert")


class Neighbors(Section):
    """The graph. `k`: neighbors a headline that clustering reads, itself not counted.

    `batch`: queries a request (None: 4,096, on Lite 1,024, within the message's size). `min_recall`: below it on a
    sample of `recall_sample` rows the search tries harder. `audit`: full clusters the exact graph too, and compares.
    `shard_rows`: headlines a piece of work, which is what a kill costs and what ranks share (None: a 64th of all,
    within 4,096 and 16,384).
    """

    k: int = Field(default=50, ge=1, le=1024)
    backend: Literal["milvus", "exact"] = "milvus"
    batch: int | None = Field(default=None, ge=1, le=16_384)
    parallel: int = Field(default=2, ge=1, le=64)
    nprobe: int | None = Field(default=None, ge=1, le=65_536)
    min_recall: float = Field(default=0.95, ge=0.0, le=1.0)
    recall_sample: int = Field(default=500, ge=0)
    audit: Literal["sample", "full"] = "sample"
    shard_rows: int | None = Field(default=None, ge=1)


# what each recipe sets where the configuration does not: by measurement, configs/README.md
RECIPES: dict[str, dict[str, Any]] = {
    "stories": {"input": "neighbors", "k": 15, "min_samples": 5, "min_cluster_size": 10, "noise": "nearest"},
    "topics": {"input": "vectors", "reduce_to": 5, "min_samples": 10, "min_cluster_size": 30, "noise": "nearest"},
}


class Cluster(Section):
    """HDBSCAN, on the neighbor graph or on the vectors.

    `recipe`: sets what is not set here. `k`: neighbors read, of the `neighbors.k` there are (None: all). `parts`: how
    parts of the graph that nothing joins are weighed. `epsilon`: a distance below which clusters are not split.
    `max_cluster_size`: 0 is no limit. `noise`: `nearest` adds the column `assigned`, for noise the cluster that its
    neighbors vote for where one in it is nearer than `noise_distance`.
    """

    recipe: Literal["stories", "topics"] | None = None
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
    parts: Literal["apart", "joined"] = "apart"
    noise: Literal["keep", "nearest"] = "keep"
    noise_distance: float = Field(default=1.1, gt=0.0)

    @model_validator(mode="before")
    @classmethod
    def _follow_recipe(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("recipe") not in RECIPES:
            return values
        return {**RECIPES[values["recipe"]], **values}

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.reduce_to is not None and self.input == "neighbors":
            raise ValueError("cluster.reduce_to needs cluster.input = vectors: the graph is not reduced")
        if self.mode == "tutorial" and self.input == "vectors":
            raise ValueError("cluster.mode = tutorial needs cluster.input = neighbors: it defines a graph's clusters")
        if 0 < self.max_cluster_size < self.min_cluster_size:
            raise ValueError(
                f"cluster.max_cluster_size = {self.max_cluster_size} is below "
                f"cluster.min_cluster_size = {self.min_cluster_size}"
            )
        return self


class Project(Section):
    """The map's layout by UMAP; `n_neighbors` counts the headline itself."""

    dimensions: Literal[2, 3] = 2
    n_neighbors: int = Field(default=30, ge=2, le=1025)
    min_dist: float = Field(default=0.1, ge=0.0, lt=1.0)


class Report(Section):
    """The map's page. Above `hover_rows` headlines a sample of that many carries hover text."""

    title: Name = "Headline clusters"
    hover_rows: int = Field(default=200_000, ge=1)


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


class Config(Section):
    run_dir: Path
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    input: Input = Input()
    embed: Embed = Embed()
    store: Store = Store()
    neighbors: Neighbors = Neighbors()
    cluster: Cluster = Cluster()
    project: Project = Project()
    report: Report = Report()
    ranks: RanksConfig = RanksConfig()

    @field_validator("run_dir", mode="before")
    @classmethod
    def _as_path(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        store = self.store
        others = (store.id_field, store.vector_field, store.text_field, *store.extra_fields)
        if self.embed.sparse and store.sparse_field in others:
            raise ValueError(f"store.sparse_field = '{store.sparse_field}' is another field's name too: choose another")
        k, asked = self.neighbors.k, self.cluster.k
        if asked is not None and asked > k:
            # a recipe's own is what there is at most
            if self.cluster.recipe is None:
                raise ValueError(f"cluster.k = {asked} needs neighbors.k of at least that, not {k}")
            asked = k
        if self.cluster.input == "neighbors" and self.cluster.min_samples > (asked or k):
            name = "neighbors.k" if asked is None or asked == k else "cluster.k"
            raise ValueError(
                f"cluster.min_samples = {self.cluster.min_samples} needs {name} of at least that, not {asked or k}"
            )
        if not self.input.paths and self.store.scope == "run":
            raise ValueError(
                "input.path: missing; give it in the file or as input.path=VALUE (store.scope = collection alone does "
                "without: it clusters what is in Milvus already)"
            )
        return self

    @property
    def store_uri(self) -> str:
        return self.store.uri or str(self.run_dir / "milvus.db")

    @property
    def graph_k(self) -> int:
        """Neighbors asked of Milvus: the most that any stage needs."""
        reduction = REDUCE_NEIGHBORS if self.cluster.reduce_to else 0
        return max(self.neighbors.k, self.project.n_neighbors - 1, reduction - 1)

    def public(self) -> dict[str, Any]:
        """The resolved configuration as JSON values, without the token, a password in the uri and the ranks."""
        values = self.model_dump(mode="json", exclude={"store": {"token"}, "ranks": True})
        if self.store.uri is not None:
            values["store"]["uri"] = without_password(self.store.uri)
        return values


def load(path: Path, words: list[str]) -> Config:
    """Read a run's configuration: the YAML file, `MILVUS_URI`/`MILVUS_TOKEN` over it, `key=value` words over those.

    Raises:
        BadInput: every error there is, a line each, with its path, value and the nearest valid key.
    """
    # a section with all its keys commented out is empty, not null
    values = {key: {} if value is None else value for key, value in _read_yaml(path).items()}
    for name, value in from_environment("MILVUS_URI", "MILVUS_TOKEN").items():
        store = values.setdefault("store", {})
        if isinstance(store, dict):
            store[name.removeprefix("MILVUS_").lower()] = value
    return resolve(values, words, str(path))


def resolve(values: dict[str, Any], words: list[str], where: str) -> Config:
    """The configuration that `values` and `key=value` words over them make; `where` names it in errors.

    Raises:
        BadInput: as `load`.
    """
    for word in words:
        _set(values, word)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise BadInput(explain(error, Config, where)) from None


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice, where plain YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key '{key}' stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"configuration '{path}': {error.strerror}; name one of the files in configs/") from None
    except UnicodeDecodeError:
        raise BadInput(f"configuration '{path}' is not UTF-8 text; name a YAML file as in configs/") from None
    try:
        values = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadInput(f"configuration '{path}'{where}: {error.problem}") from None
    except (yaml.YAMLError, TypeError, ValueError) as error:  # ValueError: a date that does not exist
        raise BadInput(f"configuration '{path}' is not YAML: {str(error).splitlines()[0]}") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise BadInput(f"configuration '{path}': expected 'key: value' lines, found a {type(values).__name__}")
    return values


def _set(values: dict[str, Any], word: str) -> None:
    """Put `section.key=value` into `values`; the value is read as YAML."""
    key, equals, text = word.partition("=")
    if not equals or not key.strip():
        raise BadInput(f"'{word}': expected key=value, as in cluster.min_cluster_size=5")
    try:
        value = yaml.safe_load(text) if text else None
    except (yaml.YAMLError, ValueError):  # ValueError: a date that does not exist
        value = text
    *sections, last = key.strip().split(".")
    for section in sections:
        inner = values.get(section)
        if inner is None:
            inner = values[section] = {}
        if not isinstance(inner, dict):
            raise BadInput(f"'{word}': {section} is a value, not a section")
        values = inner
    values[last] = value
