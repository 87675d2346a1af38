"""The data sets of quality.py: headlines whose stories or themes are known, with their vectors and neighbor graph."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from layout import graph_of

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.data import Floats, KnnGraph
from job.runtime.device import resolve_device, resolve_precision

K = 50
SEED = 42
NBA_ROWS = slice(4_000, 10_000)
NBA_SCORED = 3_500
_BLOCK = 10_000
# above, exact neighbors of all rows take half an hour on two cores
_EXACT = 100_000
Array = npt.NDArray[Any]


@dataclass
class Dataset:
    """Texts, their unit vectors [n, d], times in seconds [n] (NaN: none), and the true class of each, "" = unknown.

    `chosen`: settings that a method chose with the true classes.
    """

    texts: list[str]
    vectors: Floats
    times: npt.NDArray[np.float64]
    truth: Array
    chosen: dict[str, float] = field(default_factory=dict)

    @cached_property
    def graph(self) -> KnnGraph:
        return graph_of(self.vectors, K) if len(self.texts) <= _EXACT else _graph_by_cells(self.vectors)

    @cached_property
    def umap(self) -> Floats:
        """BERTopic's default UMAP with a seed, float32 [n, 5]."""
        from umap import UMAP

        reducer = UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=SEED)
        return np.asarray(reducer.fit_transform(self.vectors), np.float32)


def _graph_by_cells(vectors: Floats) -> KnnGraph:
    """Neighbors from the 32 nearest of 1,024 cells (faiss IVF_FLAT); some are missed. Distances are exact."""
    import faiss

    from job.backends.knn.distances import pair_distances, sort_rows

    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(vectors.shape[1]), vectors.shape[1], 1_024, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[np.random.default_rng(SEED).choice(len(vectors), _EXACT // 2, replace=False)])
    index.add(vectors)
    index.nprobe = 32
    parts = []
    for start in range(0, len(vectors), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(vectors)))
        found = index.search(vectors[rows], K + 1)[1].astype(np.int32)
        own = found == rows[:, None]
        # without itself; where a copy pushed it out, without the last one
        own[~own.any(axis=1), -1] = True
        found = found[~own].reshape(len(rows), K)
        parts.append(sort_rows(found, pair_distances(vectors, rows, found), K))
    return KnnGraph(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]), K)


class Encoder:
    """MiniLM vectors; with a folder they are kept there and read from there, text by text."""

    def __init__(self, folder: Path | None) -> None:
        device = resolve_device("cpu")
        self.precision = resolve_precision("auto", device).value
        self._model = FlagEncoder(find_model("minilm", "auto"), device.value, self.precision, 512, None)
        self._folder = folder

    def __call__(self, name: str, texts: list[str]) -> Floats:
        """Unit vectors float32 [n, 384]. `name`: which files of the folder hold them."""
        if self._folder is None:
            return self._model.encode(texts).astype(np.float32)
        self._folder.mkdir(parents=True, exist_ok=True)
        ids = np.array([hashlib.sha256(text.encode()).digest()[:8] for text in texts]).view(">u8").astype(np.uint64)
        files = sorted(self._folder.glob(f"{name}-{self.precision}-*.npz"))
        known, vectors = [np.empty(0, np.uint64)], [np.empty((0, 384), np.float32)]
        for file in files:
            with np.load(file) as block:
                known.append(block["ids"])
                vectors.append(block["vectors"])
        missing = np.flatnonzero(~np.isin(ids, np.concatenate(known)))
        for number, start in enumerate(range(0, len(missing), _BLOCK), start=len(files)):
            rows = missing[start : start + _BLOCK]
            found = self._model.encode([texts[row] for row in rows]).astype(np.float32)
            np.savez(self._folder / f"{name}-{self.precision}-{number:03d}.npz", ids=ids[rows], vectors=found)
            known.append(ids[rows])
            vectors.append(found)
        all_ids = np.concatenate(known)
        order = np.argsort(all_ids, kind="stable")
        return np.concatenate(vectors)[order[np.searchsorted(all_ids[order], ids)]]


def titles(path: Path, with_description: bool = False) -> pd.DataFrame:
    """The file's rows with distinct titles, and the column `text`."""
    frame = pd.read_parquet(path).drop_duplicates("title").reset_index(drop=True)
    text = frame.title + "\n" + frame.description.fillna("") if with_description else frame.title
    return frame.assign(text=text.str.strip())


def uci_windows(frame: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    """Windows of at most `size` rows: whole merged stories in the order in which they began.

    A story that does not fit begins the next window; one that is larger than a window is left out.
    """
    began = frame.groupby("story_merged").time.transform("min")
    ordered = frame.assign(began=began).sort_values(["began", "story_merged"], kind="stable")
    window: list[pd.DataFrame] = []
    rows = 0
    for _, story in ordered.groupby(["began", "story_merged"], sort=False):
        if len(story) > size:
            continue
        if rows + len(story) > size:
            yield pd.concat(window)
            window, rows = [], 0
        window.append(story)
        rows += len(story)


def dataset(name: str, frame: pd.DataFrame, truth: str, encoder: Encoder) -> Dataset:
    """The rows of a frame without times: those of UCI are a crawler's and would give the stories away."""
    texts = frame.text.tolist()
    return Dataset(texts, encoder(name, texts), np.full(len(texts), np.nan), frame[truth].to_numpy())


def basketball(path: Path, encoder: Encoder) -> Dataset:
    """Some of the rows in order of time, with distinct titles and their times."""
    frame = pd.read_parquet(path).iloc[NBA_ROWS].drop_duplicates("title")
    frame = frame.sort_values("time", kind="stable")[:NBA_SCORED].assign(text=lambda rows: rows.title)
    data = dataset("nba2020", frame, "story", encoder)
    data.times = frame.time.dt.as_unit("ns").astype("int64").to_numpy() / 1e9
    return data


def evenly(windows: list[pd.DataFrame], count: int) -> list[pd.DataFrame]:
    """At most `count` windows, evenly spaced."""
    return [windows[number] for number in sorted(set(np.linspace(0, len(windows) - 1, count).round().astype(int)))]


def seconds_since(start: float) -> str:
    return f"{time.perf_counter() - start:.0f} s"
