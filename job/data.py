"""What flows between the stages: frozen dataclasses that check themselves and know their files."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from job.runtime.errors import JobError
from job.runtime.files import atomic
from job.runtime.shards import array_files

# below so many, one cluster may well hold most headlines
FEW_HEADLINES = 20
_TOO_LARGE = 0.5

Ints = npt.NDArray[np.int32]
Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32] | npt.NDArray[np.float16]

HEADLINES = pa.schema(
    [
        ("id", pa.int64()),
        ("title", pa.string()),
        ("description", pa.string()),
        ("text", pa.string()),
        ("copies", pa.int32()),
        ("time", pa.float64()),
    ]
)
ROWS = pa.schema(
    [
        ("id", pa.int64()),
        ("file", pa.int32()),
        ("row", pa.int64()),
        ("time", pa.float64()),
        ("source", pa.string()),
    ]
)


def check(held: bool, message: str) -> None:
    """Raise `JobError` unless `held`: a stage handed on data that breaks the contract."""
    if not held:
        raise JobError(f"internal error: {message}; please report it with job.log")


@dataclass(frozen=True)
class Headlines:
    """The distinct headlines, ascending by id: a run does not depend on the order of its input.

    `table`: id int64 (63-bit hash of the text), title, description (null where there is none), text
    (title + newline + description), copies int32 (input rows with this text), time float64 (seconds since 1970 UTC, of
    the earliest copy; null where there is none).
    """

    table: pa.Table

    def __post_init__(self) -> None:
        check(self.table.schema.equals(HEADLINES), f"headlines have columns {self.table.schema.names}")
        ids = self.ids
        check(bool((ids[1:] > ids[:-1]).all()), "headline ids are not ascending")

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def ids(self) -> Ids:
        return np.asarray(self.table["id"].to_numpy(), dtype=np.int64)

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Seconds since 1970 UTC, NaN where unknown."""
        return np.asarray(self.table["time"].to_numpy(zero_copy_only=False), dtype=np.float64)

    def column(self, name: str) -> list[Any]:
        """A column as Python values."""
        return list(self.table[name].to_pylist())

    def save(self, path: Path) -> None:
        with atomic(path) as temporary:
            # small row groups: a shard of texts is read without the others
            pq.write_table(self.table, temporary, compression="zstd", row_group_size=10_000)

    @classmethod
    def load(cls, path: Path) -> "Headlines":
        return cls(pq.read_table(path))


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors, float16 or float32 [n, d], in the order of the headlines; `ids` int64 [n]."""

    ids: Ids
    vectors: Vectors

    def __post_init__(self) -> None:
        check(
            self.vectors.ndim == 2 and len(self.ids) == len(self.vectors),
            f"{len(self.ids)} ids with vectors of shape {self.vectors.shape}",
        )
        check(self.vectors.dtype in (np.float16, np.float32), f"vectors of dtype {self.vectors.dtype}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    @classmethod
    def load(cls, folder: Path, ids: Ids) -> "Embeddings":
        """The vectors of all shards `folder/00042.npy`, in memory: n x d x 2 or 4 bytes."""
        shards = [np.load(path, mmap_mode="r") for path in array_files(folder)]
        return cls(ids, np.asarray(shards[0]) if len(shards) == 1 else np.concatenate(shards))


@dataclass(frozen=True)
class KnnGraph:
    """Each headline's nearest neighbors, itself not among them.

    `indices` int32 [n, k]: row numbers, -1 = none, only at a row's end. `distances` float32 [n, k]: Euclidean,
    computed from the vectors, ascending, ties by row number, inf where the index is -1. `columns`: how many of
    the k clustering reads (`neighbors.k`); only the layout reads the ones after it.
    """

    indices: Ints
    distances: Floats
    columns: int

    def __post_init__(self) -> None:
        i, d = self.indices, self.distances
        check(i.ndim == 2 and i.shape == d.shape, f"graph of indices {i.shape} and distances {d.shape}")
        check(i.dtype == np.int32 and d.dtype == np.float32, f"graph of dtypes {i.dtype} and {d.dtype}")
        check(0 <= self.columns <= i.shape[1], f"{self.columns} columns of a graph with {i.shape[1]}")
        if i.size:
            check(int(i.max()) < len(i) and int(i.min()) >= -1, "graph names a row that does not exist")
            check(bool(((i < 0) == np.isinf(d)).all()), "graph distances and missing neighbors disagree")
            check(bool((d[:, 1:] >= d[:, :-1]).all()), "graph distances are not ascending")

    def __len__(self) -> int:
        return len(self.indices)

    def first(self, k: int) -> "KnnGraph":
        """The graph of the nearest `k`."""
        k = min(k, self.indices.shape[1])
        return KnnGraph(
            np.ascontiguousarray(self.indices[:, :k]),
            np.ascontiguousarray(self.distances[:, :k]),
            min(k, self.columns),
        )

    def save(self, path: Path) -> None:
        """Write `indices` and `distances` [n, neighbors.k], and the columns that only the layout reads as `more_*`."""
        c = self.columns
        with atomic(path) as temporary:
            np.savez(
                temporary,
                indices=self.indices[:, :c],
                distances=self.distances[:, :c],
                more_indices=self.indices[:, c:],
                more_distances=self.distances[:, c:],
            )

    @classmethod
    def load(cls, path: Path) -> "KnnGraph":
        with np.load(path) as file:
            indices, distances, more = file["indices"], file["distances"], file["more_indices"]
            columns = indices.shape[1]
            if more.shape[1]:
                indices = np.concatenate([indices, more], axis=1)
                distances = np.concatenate([distances, file["more_distances"]], axis=1)
        return cls(indices, distances, columns)


@dataclass(frozen=True)
class CondensedTree:
    """HDBSCAN's condensed tree, one edge per row, as `hdbscan` writes it: the root cluster is number n.

    `parent`, `child` int64 [m] (a child below n is a point), `lambdas` float64 [m] (1 / distance; inf at
    distance 0), `sizes` int64 [m].
    """

    parent: npt.NDArray[np.int64]
    child: npt.NDArray[np.int64]
    lambdas: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.int64]

    @classmethod
    def empty(cls) -> "CondensedTree":
        none = np.zeros(0, np.int64)
        return cls(none, none, np.zeros(0), none)


@dataclass(frozen=True)
class Clusters:
    """The cluster of each headline.

    `labels` int32 [n]: -1 is noise, the others numbered by size, then by first row. `probabilities` float32
    [n]. `persistence` float32 [c]. `nearest` int32 [n]: the label, for noise the cluster that its neighbors
    vote for (-1: none of them is in one). `nearest_distance` float32 [n]: Euclidean, to the nearest neighbor
    in that cluster (nan: none).
    """

    labels: Ints
    probabilities: Floats
    persistence: Floats
    nearest: Ints
    nearest_distance: Floats
    tree: CondensedTree = field(default_factory=CondensedTree.empty)

    def __post_init__(self) -> None:
        n = len(self.labels)
        check(
            len(self.probabilities) == len(self.nearest) == len(self.nearest_distance) == n,
            f"{n} labels with columns of other lengths",
        )
        check(n == 0 or int(self.labels.max()) + 1 == self.count, f"labels do not fit {self.count} clusters")
        sizes = np.bincount(self.labels[self.labels >= 0], minlength=self.count)
        check(bool((sizes[1:] <= sizes[:-1]).all()), "clusters are not numbered by size")

    @property
    def count(self) -> int:
        return len(self.persistence)

    def assigned(self, within: float | None) -> Ints:
        """The labels int32 [n]; noise gets the label in `nearest` where that cluster is nearer than `within`.

        None: noise stays noise.
        """
        if within is None:
            return self.labels
        return np.where((self.labels >= 0) | (self.nearest_distance < within), self.nearest, -1).astype(np.int32)

    def noise_figures(self, within: float | None) -> dict[str, float]:
        """The share of headlines that a reader sees as noise; where noise is assigned, also the one before that."""
        seen = self.assigned(within)
        figures = {"noise_share": round(float((seen < 0).mean()), 4) if len(seen) else 0.0}
        return figures if within is None else figures | {"noise_share_before_nearest": round(self.noise_share, 4)}

    @property
    def noise_share(self) -> float:
        return float((self.labels < 0).mean()) if len(self.labels) else 0.0

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        return np.bincount(self.labels[self.labels >= 0], minlength=self.count).astype(np.int64)

    @property
    def largest(self) -> int:
        """How many rows the largest has; 0 where there is none."""
        return int(self.sizes[0]) if self.count else 0

    @property
    def has_swallowed(self) -> bool:
        """Whether one holds more than half of the rows, and these are not few."""
        return len(self.labels) >= FEW_HEADLINES and self.largest > _TOO_LARGE * len(self.labels)

    def save(self, path: Path, tree_path: Path, ids: Ids) -> None:
        """`clusters.parquet`, one row per headline, and `tree.npz`: the condensed tree and the persistence."""
        columns = {
            "id": ids,
            "cluster": self.labels,
            "probability": self.probabilities,
            "nearest_cluster": self.nearest,
            "nearest_distance": self.nearest_distance,
        }
        with atomic(path) as temporary:
            pq.write_table(pa.table(columns), temporary, compression="zstd")
        with atomic(tree_path) as temporary:
            np.savez(
                temporary,
                parent=self.tree.parent,
                child=self.tree.child,
                lambdas=self.tree.lambdas,
                sizes=self.tree.sizes,
                persistence=self.persistence,
            )

    @classmethod
    def load(cls, path: Path, tree_path: Path) -> "Clusters":
        table = pq.read_table(path)
        with np.load(tree_path) as file:
            return cls(
                table["cluster"].to_numpy(),
                table["probability"].to_numpy(),
                file["persistence"],
                table["nearest_cluster"].to_numpy(),
                table["nearest_distance"].to_numpy(),
                CondensedTree(file["parent"], file["child"], file["lambdas"], file["sizes"]),
            )
