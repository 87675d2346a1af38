"""Ids that stay: stories of a window of headlines beside those of the next one, which shares half of its rows.

    .venv/bin/python scripts/bench/ids.py --quick --data FOLDER
    .venv/bin/python scripts/bench/ids.py --data FOLDER

Each window is clustered by the recipe `stories`, MiniLM, and matched with the one before, as the stage `ids` does.
`by time`: windows of 4,000 titles, the next one begins 2,000 later (UCI: in the order in which the stories began; nba:
by publication time). `at random`: three random thirds of all titles; the first two are one window, the last two the
next, so that every story is in both. `--quick`: one pair of windows of each kind instead of three.

Of yesterday's stories with at least three headlines that are in a story of both windows: `kept`: the share whose id a
story of today has; `rightly`: of these, the share where most headlines of both have the same true story (of UCI's,
which split events, the same event; headlines of unknown story do not count). `same story`: the share whose true story
is that of most headlines of any story of today: no rule can rightly keep more.

Needs uci_dev.parquet (title, story, story_merged, time) and nba2020_eng.parquet (title, story, time) in `--data`.
"""

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from real_headlines import FOLDER
from story_windows import Corpus, Rows, cluster, corpora

from job.backends.stories.story_state import Today, next_day

ROWS, WINDOW, LEAST = 8_000, 4_000, 3


def windows(corpus: Corpus, kind: str, pairs: int) -> Iterator[tuple[Rows, Rows]]:
    n = len(corpus.titles)
    for number in range(pairs):
        if kind == "by time":
            start = number * (n - WINDOW * 3 // 2) // max(pairs - 1, 1)
            yield np.arange(start, start + WINDOW), np.arange(start + WINDOW // 2, start + WINDOW * 3 // 2)
        else:
            first, second, third = np.array_split(np.random.default_rng(number).permutation(n), 3)
            yield np.sort(np.concatenate([first, second])), np.sort(np.concatenate([second, third]))


def most(events: np.ndarray) -> str | None:
    """The event of most of these headlines; None where none is known."""
    names, counts = np.unique(events[events != ""], return_counts=True)
    return str(names[np.argmax(counts)]) if len(names) else None


def measure(corpus: Corpus, pair: tuple[Rows, Rows]) -> dict[str, float]:
    state, ids, members, labels = None, [], [], []
    for number, rows in enumerate(pair):
        found = cluster(corpus, rows)
        count = int(found.labels.max()) + 1
        today = Today(rows, found.texts.texts, found.texts.times, found.labels, count, str(number))
        state, story_ids, _ = next_day(state, today)
        ids.append(story_ids.story_id)
        labels.append(pd.Series(found.labels, index=rows))
        members.append([rows[found.labels == label] for label in range(count)])
    shared = labels[0].index.intersection(labels[1].index)
    both = shared[(labels[0][shared] >= 0) & (labels[1][shared] >= 0)]
    counts = np.bincount(labels[0][both], minlength=len(members[0]))
    events = [[most(corpus.event[rows]) for rows in of] for of in members]
    today = {int(story_id): label for label, story_id in enumerate(ids[1])}
    there = [label for label in range(len(members[0])) if counts[label] >= LEAST and events[0][label] is not None]
    kept = [label for label in there if int(ids[0][label]) in today]
    right = [label for label in kept if events[1][today[int(ids[0][label])]] == events[0][label]]
    possible = [label for label in there if events[0][label] in set(events[1])]
    return {
        "stories": len(there),
        "kept": len(kept) / len(there),
        "rightly": len(right) / len(kept),
        "same story": len(possible) / len(there),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one pair of windows of each kind")
    parser.add_argument("--data", type=Path, default=FOLDER, help="the folder of the two files")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    pairs = 1 if arguments.quick else 3
    rows, result = {}, {}
    for corpus in corpora(arguments.data, ROWS):
        for kind in ("by time", "at random"):
            table = pd.DataFrame([measure(corpus, pair) for pair in windows(corpus, kind, pairs)])
            mean = table.mean()
            rows[f"{corpus.name}, {kind}"] = mean
            key = f"{corpus.name}_{kind.replace(' ', '_')}"
            result |= {f"{key}_{name}": round(float(mean[name]), 3) for name in ("kept", "rightly")}
    print(f"\nmean of {pairs} pairs of windows")
    print(pd.DataFrame(rows).T.to_string(float_format=lambda value: f"{value:.3f}" if value <= 1 else f"{value:.0f}"))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
