"""Keywords of clusters: class-based TF-IDF over terms, each title counted once, weighted by the share of titles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice, pairwise

import numpy as np
import numpy.typing as npt

from job.backends.arrays import distinct
from job.backends.text.terms import repeated_runs
from job.backends.text.title_terms import TitleTerms
from job.data import Ids, Ints

# titles of a cluster that are searched for repeated runs of characters
_RUN_TITLES = 300


@dataclass(frozen=True)
class _Counts:
    """`titles[i]` titles of cluster `clusters[i]` have the term `terms[i]`; int64 [e], sorted by cluster, then term.

    `names`: of all terms. From number `words` on they are runs of characters.
    """

    clusters: Ids
    terms: Ids
    titles: Ids
    names: list[str]
    words: int


def cluster_keywords(
    titles: TitleTerms, labels: Ints, clusters: int, count: int, coverage: float = 2.0
) -> list[list[str]]:
    """The `count` best terms of each of `clusters` clusters; best first, in the most frequent spelling.

    `labels` int32 [n]: the cluster of each title, -1 = none.

    Weight of a term in a cluster: s^p log(1 + A / f), where s is the share of the cluster's titles that have it, f how
    many titles have it in all clusters, and A the mean number of terms per cluster. With p = 1 that is class-based
    TF-IDF (Grootendorst 2022, "BERTopic", eq. 2) with each title's terms counted once; `coverage` = p above 1 prefers
    terms that stand in most of the titles.
    """
    counts = _with_runs(_word_counts(titles, labels), titles, labels)
    chosen = _chosen(counts, np.bincount(labels[labels >= 0], minlength=clusters), count, coverage)
    spelled = _spellings(titles, labels, counts, chosen)
    result: list[list[str]] = [[] for _ in range(clusters)]
    for entry in chosen:
        term = int(counts.terms[entry])
        result[counts.clusters[entry]].append(spelled.get(entry, counts.names[term]))
    return result


def _word_counts(titles: TitleTerms, labels: Ints) -> _Counts:
    terms = max(len(titles.term_names), 1)
    inside = labels[titles.titles] >= 0
    once = distinct(titles.titles[inside] * terms + titles.terms[titles.spellings[inside]])
    pairs, found = np.unique(labels[once // terms].astype(np.int64) * terms + once % terms, return_counts=True)
    return _Counts(pairs // terms, pairs % terms, found.astype(np.int64), titles.term_names, len(titles.term_names))


def _with_runs(counts: _Counts, titles: TitleTerms, labels: Ints) -> _Counts:
    """The counts together with those of repeated runs of characters."""
    entries: list[tuple[int, int, int]] = []
    numbers: dict[str, int] = {}
    rows = sorted((int(labels[row]), row) for row in titles.runs if labels[row] >= 0)
    for cluster, group in groupby(rows, key=lambda pair: pair[0]):
        parts = [titles.runs[row] for _, row in group]
        step = max(1, len(parts) // _RUN_TITLES)
        for run, n in repeated_runs(parts[::step], 2 if len(parts) > 1 else 1).items():
            entries.append((cluster, counts.words + numbers.setdefault(run, len(numbers)), n * step))
    if not entries:
        return counts
    words = np.stack([counts.clusters, counts.terms, counts.titles])
    both = np.concatenate([words, np.asarray(entries, np.int64).T], axis=1)
    both = both[:, np.lexsort((both[1], both[0]))]
    return _Counts(both[0], both[1], both[2], [*counts.names, *numbers], counts.words)


def _chosen(counts: _Counts, sizes: Ids, count: int, coverage: float) -> list[int]:
    """Places in `counts` of each cluster's best terms, best first, of which none is part of another."""
    totals = np.bincount(counts.terms, counts.titles, minlength=len(counts.names))
    mean = totals.sum() / max(len(sizes), 1)
    shares = counts.titles / sizes[counts.clusters]
    weights = shares**coverage * np.log1p(mean / totals[counts.terms])
    order = np.lexsort((_alphabetical(counts.names)[counts.terms], -weights, counts.clusters))
    starts = np.searchsorted(counts.clusters, np.arange(len(sizes) + 1))
    chosen: list[int] = []
    for first, last in pairwise(starts):
        chosen += islice(_apart(order[first:last], counts), count)
    return chosen


def _alphabetical(names: Sequence[str]) -> Ids:
    """The place of each name in the alphabet."""
    places = np.empty(len(names), np.int64)
    places[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return places


def _apart(ranked: Ids, counts: _Counts) -> Iterator[int]:
    """The places whose terms neither are part of one before them, nor have one in them.

    Parts of a run of characters are its characters; those of a word are what its hyphens join, "rain" is none of
    "ukrain".
    """
    runs: list[str] = []
    words: list[set[str]] = []
    for place in ranked:
        number = counts.terms[place]
        term = counts.names[number]
        if number >= counts.words:
            if any(term in other or other in term for other in runs):
                continue
            runs.append(term)
        else:
            parts = set(term.split("-"))
            if any(parts <= other or other <= parts for other in words):
                continue
            words.append(parts)
        yield int(place)


def _spellings(titles: TitleTerms, labels: Ints, counts: _Counts, chosen: Sequence[int]) -> dict[int, str]:
    """The most frequent spelling of each chosen word in its cluster.

    Of equally frequent ones that with the fewest capitals, and of these the first in the alphabet.
    """
    terms, spellings = max(len(counts.names), 1), max(len(titles.spelling_names), 1)
    places = np.asarray(chosen, np.int64)
    wanted: npt.NDArray[np.bool_] = np.zeros(len(titles.term_names), bool)
    wanted[counts.terms[places][counts.terms[places] < counts.words]] = True
    clusters, own = labels[titles.titles], titles.spellings
    inside = (clusters >= 0) & wanted[titles.terms[own]]
    pairs, found = np.unique(clusters[inside].astype(np.int64) * spellings + own[inside], return_counts=True)
    spelling = pairs % spellings
    entry = pairs // spellings * terms + titles.terms[spelling]
    capitals = np.asarray([sum(map(str.isupper, name)) for name in titles.spelling_names], np.int64)
    order = np.lexsort((_alphabetical(titles.spelling_names)[spelling], capitals[spelling], -found, entry))
    entry, at = np.unique(entry[order], return_index=True)
    best = dict(zip(entry.tolist(), spelling[order][at].tolist(), strict=True))
    keys = (counts.clusters[places] * terms + counts.terms[places]).tolist()
    return {
        place: titles.spelling_names[best[key]] for place, key in zip(places.tolist(), keys, strict=True) if key in best
    }
