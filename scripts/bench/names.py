"""Names and keywords of stories: do they say which story it is?

    .venv/bin/python scripts/bench/names.py --quick --data FOLDER
    .venv/bin/python scripts/bench/names.py --data FOLDER

Days of UCI headlines, by true story (`story_merged`): stories that began within two days and have ten distinct titles
or more. Each story is named from a random half of its titles, as the stage `describe` names it; `right` is the share of
the other half's titles to whose MiniLM vector the vector of their own story's name is nearest among all names of the
days (mean over splits). `cut`: the share of names that end in an ellipsis. `central title`: the name of the job until
November 2026, the most central title whatever its end, here without its limit of 90 characters. `(mean vector)`: no
name, but the mean of the half's vectors in its place, a yardstick and no strict bound: true stories of the same days
overlap.

Keywords of the whole stories: the share of stories in which the top three stand in at least half of the titles: `mean`,
the mean of their three shares is a half or more; `each`, all three are; `any`, half of the titles have one of them.
`possible`: the share of stories that have three words, stop words aside, that stand in at least half of the titles
each: no choice of keywords makes `each` larger.

Settings were chosen on the days of March and April; those of May were measured afterwards. Choosing among the ten most
central titles the one farthest from other stories' means was tried later and left out: +.01 on 15 April and +.02 on 6
May, -.01 on 20 May.

Needs uci_dev.parquet and uci_spring.parquet (title, source, story_merged, time) in the folder of `--data`.
"""

import argparse
import json
import os
import platform
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from real_headlines import FOLDER, UCI_SOURCE, require

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
from job.backends.text.ends import is_cut
from job.backends.text.keywords import cluster_keywords
from job.backends.text.names import most_central, name_clusters
from job.backends.text.terms import words
from job.backends.text.title_terms import title_terms
from job.data import Floats, Ids
from job.runtime.device import resolve_device, resolve_precision

# first days of two, by file; those that --quick takes first
DAYS = {"uci_dev": ("2014-03-17", "2014-03-11"), "uci_spring": ("2014-05-20", "2014-04-15", "2014-05-06")}
LEAST_TITLES, SPLITS, KEYWORDS, TOP = 10, 5, 6, 3


def days(frame: pd.DataFrame, first: str) -> pd.DataFrame:
    """The distinct titles of the stories that began on these two days."""
    began = frame.groupby("story_merged").time.transform("min")
    start = pd.Timestamp(first, tz="UTC")
    frame = frame[(began >= start) & (began < start + pd.Timedelta(days=2))].drop_duplicates("title")
    sizes = frame.groupby("story_merged").title.transform("size")
    return frame[sizes >= LEAST_TITLES].reset_index(drop=True)


def members_of(frame: pd.DataFrame) -> list[Ids]:
    return [np.sort(rows) for rows in frame.groupby("story_merged").indices.values()]


def names_of_halves(frame: pd.DataFrame, vectors: Floats, encoder: FlagEncoder) -> pd.DataFrame:
    """Mean over splits of `right`, `cut` and the characters of each kind of name."""
    titles, sources, members = frame.title.tolist(), frame.source.tolist(), members_of(frame)
    scores: dict[str, list[list[float]]] = {}
    for seed in range(SPLITS):
        rng = np.random.default_rng(seed)
        shuffled = [rng.permutation(rows) for rows in members]
        halves = [np.sort(rows[: len(rows) // 2]) for rows in shuffled]
        others = [rows[len(rows) // 2 :] for rows in shuffled]
        # the other half is not to be seen: neither its titles' tails nor its words
        seen = np.concatenate(halves)
        ends = np.cumsum([len(rows) for rows in halves])
        local = [np.arange(end - len(rows), end) for rows, end in zip(halves, ends, strict=True)]
        known = [titles[row] for row in seen]
        labels = np.repeat(np.arange(len(local)), [len(rows) for rows in local]).astype(np.int32)
        keywords = cluster_keywords(title_terms(known), labels, len(local), KEYWORDS)
        found = name_clusters(known, vectors[seen], local, keywords, [sources[row] for row in seen])
        kinds = {
            "name": [name.name for name in found],
            "short name": [name.short_name for name in found],
            "central title": [known[int(most_central(vectors[seen], rows, 1)[0])] for rows in local],
            "6 keywords": [" ".join(own) for own in keywords],
            "3 keywords": [" ".join(own[:TOP]) for own in keywords],
        }
        truth = np.repeat(np.arange(len(others)), [len(rows) for rows in others])
        queries = vectors[np.concatenate(others)]
        for kind, names in kinds.items():
            nearest = (queries @ encoder.encode(names).astype(np.float32).T).argmax(axis=1)
            lengths = np.percentile([len(name) for name in names], [50, 90])
            cut = float(np.mean([is_cut(name) for name in names]))
            scores.setdefault(kind, []).append([float((nearest == truth).mean()), cut, *lengths])
        means = np.stack([vectors[rows].mean(axis=0) for rows in halves])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        nearest = (queries @ means.T).argmax(axis=1)
        scores.setdefault("(mean vector)", []).append([float((nearest == truth).mean()), np.nan, np.nan, np.nan])
    rows = {kind: np.mean(values, axis=0) for kind, values in scores.items()}
    return pd.DataFrame.from_dict(rows, "index", columns=["right", "cut", "chars p50", "chars p90"])


def coverage(frame: pd.DataFrame) -> dict[str, float]:
    """How often the top keywords stand in at least half of a story's titles, in the senses of the docstring."""
    members = members_of(frame)
    labels = np.full(len(frame), -1, np.int32)
    for story, rows in enumerate(members):
        labels[rows] = story
    stories = [[frame.title[row] for row in rows] for rows in members]
    terms_of = title_terms(frame.title.tolist())
    counts: Counter[str] = Counter()
    for titles, keywords in zip(stories, cluster_keywords(terms_of, labels, len(stories), TOP), strict=True):
        have = [{term for term, _ in words(title)} for title in titles]
        terms = [words(keyword)[0][0] for keyword in keywords]
        there = np.array([[term in own for term in terms] for own in have])
        shares = there.mean(axis=0)
        most = sorted(Counter(term for own in have for term in own).values())[-TOP:]
        counts["mean"] += bool(shares.mean() >= 0.5)
        counts["each"] += bool((shares >= 0.5).all())
        counts["any"] += bool(there.any(axis=1).mean() >= 0.5)
        counts["possible"] += min(most) >= len(titles) / 2
    return {sense: counts[sense] / len(stories) for sense in ("mean", "each", "any", "possible")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two days of each file instead of all ten")
    parser.add_argument("--data", type=Path, default=FOLDER, help="the folder of the two files")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in DAYS:
        require(arguments.data / f"{name}.parquet", f"titles with `story_merged`, `source`, `time`: {UCI_SOURCE}")
    device = resolve_device("cpu")
    precision = resolve_precision("auto", device).value
    encoder = FlagEncoder(find_model("minilm", "auto"), device.value, precision, 512, None)
    print(f"{platform.platform()}, {os.cpu_count()} cores, MiniLM in {precision}", flush=True)
    figures: dict[str, float] = {}
    for file, starts in DAYS.items():
        frame = pd.read_parquet(arguments.data / f"{file}.parquet")
        for first in starts[: 1 if arguments.quick else None]:
            some = days(frame, first)
            table = names_of_halves(some, encoder.encode(some.title.tolist()).astype(np.float32), encoder)
            shares = coverage(some)
            print(f"\n{file}, two days from {first}: {len(some):,} titles, {some.story_merged.nunique()} stories")
            print(table.to_string(float_format="%.3f"))
            print("keywords: " + ", ".join(f"{sense} {share:.2f}" for sense, share in shares.items()), flush=True)
            figures |= {f"{first}_right": table.right["name"], f"{first}_short_right": table.right["short name"]}
            figures |= {f"{first}_right_of_reachable": table.right["name"] / table.right["(mean vector)"]}
            figures |= {f"{first}_cut": table.cut["name"], f"{first}_keywords_mean": shares["mean"]}
            figures |= {f"{first}_keywords_each_of_possible": shares["each"] / max(shares["possible"], 1e-9)}
    print(json.dumps({key: round(float(value), 3) for key, value in figures.items()}))


if __name__ == "__main__":
    main()
