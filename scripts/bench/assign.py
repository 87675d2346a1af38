"""New headlines assigned to the stories of others: right where their story is there, `new` where it is not.

    .venv/bin/python scripts/bench/assign.py --quick --data FOLDER
    .venv/bin/python scripts/bench/assign.py --data FOLDER

Of the true stories a fifth is left out, whole (of UCI's, which split events, whole events). Of the others a random half
of the headlines is clustered by the recipe `stories`, and the other half is assigned, together with those left out.
MiniLM, at most 8,000 titles of each data set; `--quick`: one draw instead of three.

`right`: the share of the assigned half that goes to the story which holds the majority of the clustered half of theirs
(where that majority is in a story at all). `right of assigned`: of those that are not `new`. `clustered half`: the same
share of the clustered half itself: what the clustering leaves to be reached, since it parts some of the true stories.
`new`: of the headlines left out. `vote`: the vote of the 15 nearest neighbors within 1.1, as `assign` does where
clusters are not merged.

Needs uci_dev.parquet (title, story, story_merged, time) and nba2020_eng.parquet (title, story, time) in `--data`.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from real_headlines import FOLDER
from story_windows import Clustered, Corpus, K, Rows, cluster, corpora

from job.backends.knn.brute_force import nearest_to
from job.backends.knn.vote import nearest_cluster_of_new
from job.backends.stories.assign import StoryCorpus, assign_to_stories
from job.backends.stories.vectors import Shares
from job.data import Ints

ROWS, LEFT_OUT, VOTERS, WITHIN = 8_000, 0.2, 15, 1.1


def parts(corpus: Corpus, seed: int) -> tuple[Rows, Rows, Rows]:
    """Row numbers: clustered, assigned, left out. Headlines without a known story are clustered."""
    rng = np.random.default_rng(seed)
    known = corpus.story != ""
    events, sizes = np.unique(corpus.event[known], return_counts=True)
    # one event of a fifth of all headlines would be most of what is left out
    events = events[sizes < 0.1 * len(known)]
    left_out = known & np.isin(corpus.event, rng.choice(events, int(LEFT_OUT * len(events)), replace=False))
    clustered = ~left_out & ((rng.random(len(known)) < 0.5) | ~known)
    return np.flatnonzero(clustered), np.flatnonzero(~left_out & ~clustered), np.flatnonzero(left_out)


def answers(corpus: Corpus, done: Clustered, rows: Rows) -> dict[str, Ints]:
    new = corpus.take(rows)
    indices, distances = nearest_to(new.dense, done.texts.dense, K)
    known = StoryCorpus(done.texts, Shares())
    found = assign_to_stories(new, indices, known, done.groups, done.labels, done.limit)
    voted, near = nearest_cluster_of_new(done.labels, indices[:, :VOTERS], distances[:, :VOTERS])
    return {"assign": found.labels, "vote": np.where(near < WITHIN, voted, -1)}


def majorities(labels: Ints, story: np.ndarray) -> dict[str, int]:
    """The story of the answer that holds most of each true story's headlines; a true story in none is left out."""
    frame = pd.DataFrame({"label": labels, "story": story})
    return frame[(frame.label >= 0) & (frame.story != "")].groupby("story").label.agg(lambda of: of.mode()[0]).to_dict()


def measure(corpus: Corpus, seed: int) -> pd.DataFrame:
    clustered, assigned, left_out = parts(corpus, seed)
    done = cluster(corpus, clustered)
    home = majorities(done.labels, corpus.story[clustered])
    truth = pd.Series(corpus.story[clustered]).map(home)
    reached = float((done.labels == truth)[truth.notna()].mean())
    wanted = pd.Series(corpus.story[assigned]).map(home).to_numpy()
    has, rows = ~np.isnan(wanted), {}
    found = answers(corpus, done, np.concatenate([assigned, left_out]))
    for name, labels in found.items():
        own, others = labels[: len(assigned)][has], labels[len(assigned) :]
        right = own == wanted[has]
        rows[name] = {
            "right": right.mean(),
            "right of assigned": right[own >= 0].mean(),
            "clustered half": reached,
            "new": (others < 0).mean(),
            "assigned headlines": has.sum(),
            "left out": len(others),
        }
    return pd.DataFrame(rows).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one draw instead of three")
    parser.add_argument("--data", type=Path, default=FOLDER, help="the folder of the two files")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    draws = 1 if arguments.quick else 3
    result: dict[str, float] = {}
    for corpus in corpora(arguments.data, ROWS):
        tables = [measure(corpus, seed) for seed in range(draws)]
        mean = sum(tables[1:], tables[0]) / draws
        print(f"\n{corpus.name}: {len(corpus.titles):,} titles, mean of {draws} draws")
        print(mean.to_string(float_format=lambda value: f"{value:,.0f}" if value > 1 else f"{value:.3f}"), flush=True)
        ours = mean.loc["assign"]
        for key, column in (("right", "right"), ("right_of_assigned", "right of assigned"), ("new", "new")):
            result[f"{corpus.name}_{key}"] = round(float(ours[column]), 3)
        result[f"{corpus.name}_clustered_half"] = round(float(ours["clustered half"]), 3)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
