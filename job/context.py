"""What a stage is, and what the stages of one run share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from job.backends.embedding.models import Model, find_model
from job.backends.gpu import why_torch_cannot
from job.backends.milvus import Milvus, is_lite
from job.backends.stories.story_state import StoryIds
from job.config import Config
from job.connect import open_milvus
from job.data import HEADLINES, Clusters, Embeddings, Floats, Headlines, Ints, KnnGraph
from job.rows import Rows
from job.runtime.device import resolve_device, resolve_graph_code, resolve_precision, resolve_rapids
from job.runtime.errors import BadInput
from job.runtime.files import digest
from job.runtime.markers import Marker
from job.runtime.needs import Need, Size
from job.runtime.ranks import resolve_ranks
from job.runtime.rundir import RunDir
from job.topics import ThemeName, Themes, TimeBins, Topic, Totals, load_theme_names, load_topics

# what is read back of a collection that is clustered as a whole, in the run folder
COLLECTION = "collection"
# in the stats of the neighbors stage: the digest of the columns that clustering reads
CLUSTERED = "clustered_columns"
_Made = TypeVar("_Made")


class Job:
    """One run. What is on disk, the model and Milvus are fetched when first asked for, and kept."""

    def __init__(self, config: Config, device: str | None = None) -> None:
        """`device` replaces the configuration's, for commands that run on another machine than the run did."""
        self.config = config
        self.run = RunDir(config.run_dir)
        self.device = resolve_device(device or config.device, why_torch_cannot)
        self.precision = resolve_precision(config.embed.precision, self.device)
        self.rapids = resolve_rapids(self.device)
        self.graph_code = resolve_graph_code(self.device)
        self.ranks = resolve_ranks(config.ranks.rank, config.ranks.world)
        self._made: dict[str, Any] = {}
        self.done: list[str] = []  # the stages that this process has carried out
        self.noted = False  # whether `config.json` has these settings

    def once(self, what: str, make: Callable[[], _Made]) -> _Made:
        """The result of `make()`, which is called once per run: for what is asked for many times."""
        if what not in self._made:
            self._made[what] = make()
        made: _Made = self._made[what]
        return made

    @property
    def has_input(self) -> bool:
        return bool(self.config.input.paths)

    @property
    def uses_lite(self) -> bool:
        return is_lite(self.config.store_uri)

    @property
    def whole_collection(self) -> bool:
        """Whether everything in the collection is clustered, not only this input's headlines."""
        return self.config.store.scope == "collection"

    @cached_property
    def model(self) -> Model:
        return find_model(self.config.embed.model, self.config.embed.pooling, self.run.file("model.json"))

    @cached_property
    def milvus(self) -> Milvus:
        return open_milvus(self.config)

    def input_column(self, key: Literal["title", "description"]) -> str:
        """The column that `input.KEY` names, in the input's spelling once it has been read; KEY where it names none."""
        return str(self.run.stats("ingest").get(key) or getattr(self.config.input, key) or key)

    @cached_property
    def input_headlines(self) -> Headlines:
        """This input's headlines; none where there is no input."""
        file = self.run.file("headlines.parquet")
        return Headlines.load(file) if self.has_input else Headlines(HEADLINES.empty_table())

    @cached_property
    def input_embeddings(self) -> Embeddings:
        return Embeddings.load(self.run.file("embeddings"), self.input_headlines.ids)

    @cached_property
    def headlines(self) -> Headlines:
        """What is clustered."""
        if self.whole_collection:
            return Headlines.load(self.run.file(COLLECTION) / "headlines.parquet")
        return self.input_headlines

    @cached_property
    def titles(self) -> list[str]:
        """The headlines' titles."""
        return self.headlines.column("title")

    @cached_property
    def embeddings(self) -> Embeddings:
        """The vectors of what is clustered."""
        if self.whole_collection:
            vectors = np.load(self.run.file(COLLECTION) / "vectors.npy", mmap_mode="r")
            return Embeddings(self.headlines.ids, vectors)
        return self.input_embeddings

    @property
    def answer_folder(self) -> Path:
        """Where `rows.parquet` and `input.parquet` lie: the rows of the answer."""
        return self.run.file(COLLECTION) if self.whole_collection else self.run.path

    @cached_property
    def rows(self) -> Rows:
        """The rows of the answer, copies too, with their headlines, times and sources."""
        return Rows.load(self.answer_folder / "rows.parquet", self.headlines.ids)

    @cached_property
    def graph(self) -> KnnGraph:
        return KnnGraph.load(self.run.file("neighbors.npz"))

    @property
    def near(self) -> KnnGraph:
        """The `neighbors.k` nearest: the graph without what only the layout reads. Not kept: it may be a copy."""
        return self.graph.first(self.graph.columns)

    @property
    def near_to_cluster(self) -> KnnGraph:
        """The neighbors that clustering reads: `cluster.k` of them, or all `neighbors.k`."""
        return self.graph.first(min(self.graph.columns, self.config.cluster.k or self.graph.columns))

    @property
    def merges(self) -> bool:
        """Whether clusters are merged into stories."""
        return self.config.cluster.merge_above is not None

    @cached_property
    def clusters(self) -> Clusters:
        """The clusters of the answer: stories where clusters are merged, else HDBSCAN's."""
        table, arrays = ("stories.parquet", "stories.npz") if self.merges else ("clusters.parquet", "tree.npz")
        return Clusters.load(self.run.file(table), self.run.file(arrays))

    @cached_property
    def assigned(self) -> Ints:
        """What a reader sees, int32 [n]: each headline's cluster, -1 = noise.

        With `cluster.noise: nearest`, noise is in the cluster that its neighbors vote for, within `noise_distance`. The
        log, the map, the tables and `run.json` all count by it.
        """
        return self.clusters.assigned(self.config.cluster.assign_within)

    @cached_property
    def themes(self) -> Themes | None:
        """The levels above the stories; None where clusters are not merged into stories."""
        return Themes.load(self.run.file("themes.npz")) if self.merges else None

    @cached_property
    def theme_names(self) -> list[ThemeName]:
        return load_theme_names(self.run.file("theme_names.parquet")) if self.merges else []

    @cached_property
    def story_ids(self) -> StoryIds | None:
        """The ids of the stories that stay from run to run; None where they are not kept."""
        return StoryIds.load(self.run.file("story_ids.parquet")) if self.config.keeps_ids else None

    @cached_property
    def layout(self) -> Floats:
        layout: Floats = np.load(self.run.file("layout.npy"))
        return layout

    @cached_property
    def topics(self) -> list[Topic]:
        return load_topics(self.run.file("topics.parquet"))

    @property
    def time_bins(self) -> TimeBins | None:
        """The bins of the topics' counts; None where there are no times."""
        return TimeBins.load(self.run.file("topics.parquet"))

    @property
    def totals(self) -> Totals:
        return Totals.load(self.run.file("topics.parquet"))

    @property
    def clusters_output(self) -> str:
        """The digest of `clusters`."""
        return self.output("stories" if self.merges else "cluster")

    def output(self, stage: str, part: str = "") -> str:
        """The digest of a finished stage's result, or of the part whose digest its marker's stats have by this name."""
        marker = self.run.marker(stage)
        if marker is None:
            raise BadInput(f"'{self.run.path}': stage {stage} is not done; `run` it to the end first")
        return str(marker.stats.get(part, marker.output))

    def clustered(self, stage: str) -> str:
        """The digest of the headlines (`ingest`) or vectors (`embed`) that are clustered, wherever they came from."""
        return self.output("store" if self.whole_collection else stage)

    def close(self) -> None:
        """Close the connection to Milvus, if there is one; what asks Milvus again opens another."""
        if "milvus" in self.__dict__:
            self.milvus.close()
            del self.milvus


@dataclass(frozen=True)
class StageResult:
    """What a stage says of its work. `rows`: how many it worked on, for the rate. `output`: digest of the result, on
    which the keys of later stages depend; None: the stage's own. `fallbacks`: what was asked for and replaced. `stats`:
    everything else, as JSON values.
    """

    rows: int
    output: str | None = None
    fallbacks: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stats: Mapping[str, Any] = field(default_factory=dict)


class Stage(ABC):
    """One step of the pipeline. `version`: to be raised when the code gives another result for the same key. `needs`:
    the setting without which the stage does not apply. `writes_outside`: of the run folder."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    needs: ClassVar[str] = ""
    writes_outside: ClassVar[bool] = False

    @abstractmethod
    def key(self, job: Job) -> list[Any]:
        """What the result depends on: settings, and the outputs of the stages before."""

    @abstractmethod
    def files(self, job: Job) -> list[str]:
        """What the stage leaves in the run folder."""

    @abstractmethod
    def run(self, job: Job) -> StageResult | None:
        """Do the work. None, only of a shared stage: this rank's share is done, the stage is not complete."""

    def applies(self, config: Config) -> bool:
        """Whether the configuration asks for the stage at all."""
        return True

    def check_offline(self, config: Config) -> str:
        """What the settings and this machine alone say of the stage, in a few words. It takes less than a second: no
        server is asked, no large library imported, nothing written.

        Raises:
            BadInput: what is known to fail.
        """
        return ""

    def check(self, job: Job) -> None:
        """Raise `BadInput` for what is known to fail, before any stage has started."""
        self.check_offline(job.config)

    def is_volatile(self, job: Job) -> bool:
        """Whether the stage is run each time, because what it reads can change without its key changing."""
        return False

    def is_shared(self, job: Job) -> bool:
        """Whether all ranks work on the stage; others are rank 0's."""
        return False

    def missing(self, job: Job) -> list[str]:
        """Of a shared stage: descriptions of the work of all ranks that is still to be done."""
        return []

    def clean_up(self, job: Job) -> None:  # noqa: B027 - few stages leave something
        """Remove what was only needed until the marker was written."""

    @abstractmethod
    def need(self, job: Job, size: Size) -> Need:
        """What the stage needs for a run of this size."""

    def digest(self, job: Job) -> str:
        """The digest of everything that the result depends on."""
        return digest(self.name, self.version, self.key(job))

    def up_to_date(self, job: Job) -> Marker | None:
        """The stage's marker, if it was written for this key and the files are in place."""
        marker = job.run.marker(self.name)
        if marker is None or marker.key != self.digest(job) or not job.run.intact(marker):
            return None
        return marker
