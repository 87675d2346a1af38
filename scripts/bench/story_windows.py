"""Real headlines in whole stories, and the recipe `stories` on some of their rows, for assign.py and ids.py."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from layout import graph_of
from real_headlines import UCI_SOURCE, require

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.stories.assign import Texts
from job.backends.stories.level import score_levels
from job.backends.stories.linkage import average_linkage
from job.backends.stories.merge_tree import cut
from job.backends.stories.vectors import Shares, story_vectors
from job.config import Cluster
from job.data import Floats, Ints
from job.runtime.device import resolve_device, resolve_precision
from job.stages.stories import story_labels

K = 50
Rows = npt.NDArray[np.int64]


@dataclass
class Corpus:
    """Titles with vectors [n, d], times [n] (NaN where they are not used), the true `story` ("" = unknown) and the
    true `event`, which may span several stories."""

    name: str
    titles: npt.NDArray[np.object_]
    vectors: Floats
    times: npt.NDArray[np.float64]
    story: npt.NDArray[np.object_]
    event: npt.NDArray[np.object_]

    def take(self, rows: Rows) -> Texts:
        return Texts(self.vectors[rows], self.titles[rows].tolist(), self.times[rows])


@dataclass
class Clustered:
    """The recipe's answer: `labels` of stories, -1 = none, and all `groups` at the limit."""

    texts: Texts
    labels: Ints
    groups: Ints
    limit: float


def corpora(folder: Path, rows: int) -> list[Corpus]:
    """UCI, whole stories in the order in which they began, without times: they are those of a crawler; and headlines
    about basketball by publication time. At most `rows` distinct titles each."""
    uci_file, nba_file = folder / "uci_dev.parquet", folder / "nba2020_eng.parquet"
    require(uci_file, f"titles with `story`, `story_merged` and `time`, such as {UCI_SOURCE}")
    require(nba_file, "titles with `story` and `time`, such as Event Registry's events of nba2020")
    device = resolve_device("cpu")
    precision = resolve_precision("auto", device).value
    encoder = FlagEncoder(find_model("minilm", "auto"), device.value, precision, 512, None)
    print(f"{platform.platform()}, {os.cpu_count()} cores, MiniLM in {precision}", flush=True)
    uci = pd.read_parquet(uci_file).drop_duplicates("title")
    uci = uci.assign(began=uci.groupby("story_merged").time.transform("min"))
    uci = uci.sort_values(["began", "story_merged", "time"], kind="stable")
    ends = uci.groupby(["began", "story_merged"], sort=False).size().cumsum()
    uci = uci[: int(ends[ends <= rows].iloc[-1])]
    nba = pd.read_parquet(nba_file).drop_duplicates("title").sort_values("time", kind="stable")[2_000 : 2_000 + rows]
    seconds = nba.time.astype("int64").to_numpy() / {"us": 1e6, "ns": 1e9}[nba.time.dt.unit]
    found = []
    for name, frame, times, event in (
        ("uci", uci, np.full(len(uci), np.nan), uci.story_merged),
        ("nba", nba, seconds, nba.story),
    ):
        titles = frame.title.to_numpy(object)
        vectors = np.asarray(encoder.encode(titles.tolist()), np.float32)
        found.append(Corpus(name, titles, vectors, times, frame.story.to_numpy(object), event.to_numpy(object)))
    return found


def cluster(corpus: Corpus, rows: Rows) -> Clustered:
    """The recipe `stories` on these rows, by the functions of its stages."""
    config = Cluster.model_validate({"recipe": "stories"})
    assert config.k is not None
    texts = corpus.take(rows)
    graph = graph_of(np.ascontiguousarray(texts.dense), K)
    vectors = story_vectors(texts.dense, list(texts.texts), texts.times, Shares())
    tree = average_linkage(vectors, np.arange(len(rows), dtype=np.int32), graph.first(config.k).indices)
    limit = score_levels(tree, vectors, graph.indices).best
    return Clustered(texts, story_labels(tree, limit, config.smallest_story), cut(tree, limit), limit)
