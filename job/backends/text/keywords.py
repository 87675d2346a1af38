"""Keywords of clusters: class-based TF-IDF over terms, each title counted once, weighted by the share of titles."""

import math
from collections import Counter
from collections.abc import Sequence

from job.backends.text.terms import repeated_runs, runs, words

# titles of a cluster that are searched for repeated runs of characters
_RUN_TITLES = 300


def cluster_keywords(clusters: Sequence[Sequence[str]], count: int, coverage: float = 2.0) -> list[list[str]]:
    """The `count` best terms of each cluster, given as its titles; best first, in the most frequent spelling.

    Weight of a term in a cluster: s^p log(1 + A / f), where s is the share of the cluster's titles that have it, f how
    many titles have it in all clusters, and A the mean number of terms per cluster. With p = 1 that is class-based
    TF-IDF (Grootendorst 2022, "BERTopic", eq. 2) with each title's terms counted once; `coverage` = p above 1 prefers
    terms that stand in most of the titles.
    """
    found = [_terms(titles) for titles in clusters]
    totals: Counter[str] = Counter()
    for terms, _ in found:
        totals.update(terms)
    mean = sum(totals.values()) / max(len(found), 1)
    result = []
    for titles, (terms, spellings) in zip(clusters, found, strict=True):
        weights = {term: (n / len(titles)) ** coverage * math.log1p(mean / totals[term]) for term, n in terms.items()}
        ranked = sorted(weights, key=lambda term: (-weights[term], term))
        result.append([_spelling(spellings[term]) for term in _apart(ranked, count)])
    return result


def _terms(titles: Sequence[str]) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """How many titles have each term, and its spellings."""
    terms: Counter[str] = Counter()
    spellings: dict[str, Counter[str]] = {}
    parts = []
    for title in titles:
        here = words(title)
        terms.update({term for term, _ in here})
        for term, spelling in here:
            spellings.setdefault(term, Counter())[spelling] += 1
        without_spaces = runs(title)
        if without_spaces:
            parts.append(without_spaces)
    step = max(1, len(parts) // _RUN_TITLES)
    repeated = repeated_runs(parts[::step], 2 if len(parts) > 1 else 1)
    for run, n in repeated.items():
        terms[run] = n * step
        spellings[run] = Counter({run: n})
    return terms, spellings


def _apart(ranked: list[str], count: int) -> list[str]:
    """The first `count` terms of which none is part of another one before it, or has one in it."""
    kept: list[str] = []
    for term in ranked:
        if len(kept) == count:
            break
        if not any(term in other or other in term for other in kept):
            kept.append(term)
    return kept


def _spelling(spellings: Counter[str]) -> str:
    """The most frequent spelling; of equally frequent ones that with the fewest capitals."""
    return min(spellings, key=lambda word: (-spellings[word], sum(map(str.isupper, word)), word))
