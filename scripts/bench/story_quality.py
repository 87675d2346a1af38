"""The recipe `stories` on corpora of large and of small stories, beside HDBSCAN alone and with less evidence.

    .venv/bin/python scripts/bench/story_quality.py --quick
    .venv/bin/python scripts/bench/story_quality.py

Data sets: windows of up to 5,000 UCI headlines, made of whole stories (the median has 37 headlines), without times:
UCI's are those of a crawler and would give the stories away; and 3,500 headlines about basketball in the order of
their times (nba2020_eng: silver labels, small stories and one of 2,317 headlines; rows without a known story are
clustered, but not scored). Scores: adjusted mutual information and adjusted Rand index, each headline in no story as
a story of its own. `noise`: the share in no story.

`HDBSCAN 5/10 + vote` was the recipe before: the graph of 15 neighbors, and noise to the cluster that its neighbors vote
for within 1.1. `HDBSCAN 2/2`: what the recipe merges.

Needs uci_dev.parquet (title, story, story_merged, time) and nba2020_eng.parquet (title, story, time) in `--data`.
"""

import argparse
import json
import os
import platform
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from quality import read, uci_windows
from quality_methods import Dataset
from real_headlines import FOLDER, UCI_SOURCE, require
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.graph_hdbscan import cluster_graph
from job.backends.knn.vote import nearest_cluster
from job.backends.stories.level import score_levels
from job.backends.stories.linkage import average_linkage
from job.backends.stories.vectors import Shares, story_vectors
from job.config import Cluster
from job.data import Floats, Ints
from job.runtime.device import resolve_device, resolve_precision
from job.stages.stories import story_labels

Times = npt.NDArray[np.float64]
NBA_ROWS = slice(4_000, 10_000)
NBA_SCORED = 3_500


def hdbscan(data: Dataset, min_samples: int, min_cluster_size: int) -> Ints:
    near = data.graph.first(15)
    sizes = {"min_samples": min_samples, "min_cluster_size": min_cluster_size}
    return cluster_graph(near.indices, near.distances, components="apart", **sizes).labels


def before(data: Dataset) -> Ints:
    labels, near = hdbscan(data, 5, 10), data.graph.first(15)
    voted, distance = nearest_cluster(labels, near.indices, near.distances)
    return np.where((labels < 0) & ~(distance < 1.1), -1, voted)


def stories(
    data: Dataset, times: Times, shares: Shares | None = None, above: float | None = None, start: Ints | None = None
) -> Ints:
    """The recipe's labels, or with other shares, another limit, or clusters to start from."""
    config = Cluster(recipe="stories")
    vectors = story_vectors(data.vectors, data.texts, times, shares or Shares())
    if start is None:
        start = np.arange(len(times), dtype=np.int32)
    tree = average_linkage(vectors, start, data.graph.first(config.k or 15).indices)
    above = above or score_levels(tree, vectors, data.graph.indices).best
    return story_labels(tree, above, config.smallest_story)


def each_lone(labels: Ints) -> Ints:
    """The labels, with a cluster of its own for each noise headline."""
    lone = labels < 0
    return np.where(lone, labels.max(initial=-1) + np.cumsum(lone), labels).astype(np.int32)


def methods(data: Dataset, times: Times) -> dict[str, Ints]:
    """Each method's labels. `times` all NaN: there are none."""
    unknown = np.full(len(times), np.nan)
    found = {
        "recipe stories": stories(data, times),
        **{f"… merge_above {above}": stories(data, times, above=above) for above in (0.15, 0.18, 0.22)},
        "… without words": stories(data, times, Shares(words=0.0)),
        "… from HDBSCAN 2/2": stories(data, times, start=each_lone(hdbscan(data, 2, 2))),
        "HDBSCAN 5/10 + vote": before(data),
        "HDBSCAN 2/2": hdbscan(data, 2, 2),
    }
    if np.isfinite(times).any():
        found["… without time"] = stories(data, unknown)
    return found


def scores(labels: Ints, truth: npt.NDArray[np.object_]) -> list[float]:
    known = truth != ""
    single = np.where(labels < 0, labels.max() + 1 + np.arange(len(labels)), labels)[known]
    ami = adjusted_mutual_info_score(truth[known], single)
    ari = adjusted_rand_score(truth[known], single)
    return [ami, ari, float((labels < 0).mean()), int(labels.max()) + 1]


def show(title: str, tables: list[pd.DataFrame]) -> pd.DataFrame:
    mean = sum(tables[1:], tables[0]) / len(tables)
    print(f"\n{title}")
    print(mean.to_string(float_format="%.3f", formatters={"stories": "{:.0f}".format}), flush=True)
    return mean


def table(data: Dataset, times: Times) -> pd.DataFrame:
    rows = {name: scores(labels, data.truth["story"]) for name, labels in methods(data, times).items()}
    return pd.DataFrame.from_dict(rows, "index", columns=["AMI", "ARI", "noise", "stories"])


def basketball(file: Path, encoder: FlagEncoder) -> tuple[Dataset, Times]:
    """Some rows' first headlines by time, with distinct titles."""
    frame = pd.read_parquet(file).iloc[NBA_ROWS].drop_duplicates("title")
    frame = frame.sort_values("time", kind="stable")[:NBA_SCORED].reset_index(drop=True).assign(text=lambda f: f.title)
    vectors: Floats = encoder.encode(frame.text.tolist())
    seconds = frame.time.astype("int64").to_numpy() / {"us": 1e6, "ns": 1e9}[frame.time.dt.unit]
    return Dataset.of(frame, vectors, {"story": "story"}), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two windows of UCI instead of all")
    parser.add_argument("--data", type=Path, default=FOLDER, help="the folder of the two files")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    uci_file, nba_file = arguments.data / "uci_dev.parquet", arguments.data / "nba2020_eng.parquet"
    require(uci_file, f"titles with `story`, `story_merged` and `time`, such as {UCI_SOURCE}")
    require(nba_file, "titles with `story` and `time`, such as Event Registry's events of nba2020")
    device = resolve_device("cpu")
    precision = resolve_precision("auto", device).value
    encoder = FlagEncoder(find_model("minilm", "auto"), device.value, precision, 512, None)
    print(f"{platform.platform()}, {os.cpu_count()} cores, MiniLM in {precision}", flush=True)
    uci = read(uci_file, with_description=False)
    if arguments.quick:  # enough stories for the first two windows
        began = uci.groupby("story_merged").time.transform("min")
        uci = uci[began < uci.time.quantile(0.45)].reset_index(drop=True)
    windows = list(uci_windows(uci, encoder.encode(uci.text.tolist())))[: 2 if arguments.quick else None]
    large = show(
        f"UCI, mean of {len(windows)} windows, no times",
        [table(data, np.full(len(data.texts), np.nan)) for data in windows],
    )
    small = show("nba2020, with times", [table(*basketball(nba_file, encoder))])
    ours, old = "recipe stories", "HDBSCAN 5/10 + vote"
    ratios = {}
    for name, found in (("uci", large), ("nba", small)):
        ratios |= {f"{name}_ami": found.AMI[ours], f"{name}_ari": found.ARI[ours], f"{name}_noise": found.noise[ours]}
        ratios[f"{name}_ami_vs_5_10_vote"] = found.AMI[ours] / found.AMI[old]
        ratios[f"{name}_ari_vs_5_10_vote"] = found.ARI[ours] / found.ARI[old]
    print(json.dumps({key: round(float(value), 3) for key, value in ratios.items()}))


if __name__ == "__main__":
    main()
