"""Inputs of average linkage, and its definition with matrices."""

from typing import Any

import numpy as np
import numpy.typing as npt

from job.data import Floats, Ints

Matrix = npt.NDArray[np.float64]
Input = dict[str, Any]


def unit_vectors(rng: np.random.Generator, n: int, d: int) -> Floats:
    """Unit vectors in loose groups."""
    points = rng.standard_normal((max(1, n // 6), d))[rng.integers(0, max(1, n // 6), n)]
    points = points + 0.6 * rng.standard_normal((n, d))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def every_pair(n: int) -> Ints:
    """A graph in which each row has all others as neighbors."""
    others = np.arange(n - 1)[None, :]
    return (others + (others >= np.arange(n)[:, None])).astype(np.int32).reshape(n, max(n - 1, 0))


def random_input(seed: int, n: int, k: int | None) -> Input:
    """`n` rows in random initial clusters; k random neighbors, some of them missing, or all rows if k is None."""
    rng = np.random.default_rng(seed)
    vectors = unit_vectors(rng, n, int(rng.integers(3, 12)))
    labels = np.unique(rng.integers(0, n, n) if rng.random() < 0.5 else np.arange(n), return_inverse=True)[1]
    indices = every_pair(n) if k is None else rng.integers(-1, n, (n, k)).astype(np.int32)
    return {"vectors": vectors, "labels": labels.astype(np.int32), "indices": indices}


def row_similarities(given: Input) -> Matrix:
    vectors = given["vectors"].astype(np.float64)
    result: Matrix = vectors @ vectors.T
    return result


def greedy_reference(given: Input) -> list[tuple[float, Ints]]:
    """The definition, with matrices: each merge's height, lowered to those below it, and the labels after it."""
    labels, indices = given["labels"].copy(), given["indices"]
    member = np.eye(labels.max() + 1)[labels]
    sizes = member.sum(axis=0)
    similar = member.T @ row_similarities(given) @ member / np.outer(sizes, sizes)
    found, at = np.nonzero(indices >= 0)
    candidate = np.zeros(similar.shape, bool)
    candidate[labels[found], labels[indices[found, at]]] = True
    candidate |= candidate.T
    np.fill_diagonal(candidate, False)
    level = np.full(len(sizes), np.inf)
    result = []
    while candidate.any():
        a, b = np.unravel_index(np.argmax(np.where(candidate, similar, -np.inf)), similar.shape)
        level[a] = min(similar[a, b], level[a], level[b])
        similar[a] = similar[:, a] = (sizes[a] * similar[a] + sizes[b] * similar[b]) / (sizes[a] + sizes[b])
        sizes[a] += sizes[b]
        candidate[a] = candidate[:, a] = candidate[a] | candidate[b]
        candidate[b] = candidate[:, b] = candidate[a, a] = False
        labels[labels == b] = a
        result.append((level[a], labels.copy()))
    return result


def same(one: Ints, other: Ints) -> bool:
    """Whether two labelings are the same partition."""
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))
