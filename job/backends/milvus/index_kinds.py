"""The index kinds: one table that says where each can be built, its limits and its parameters.

A new index kind is one row in `KINDS`, and one word in the configuration's `store.index`.

Limits from Milvus's documentation (2.3 to 2.6) and measured on 2.3.5: top-k and queries per search 16,384,
messages 64 MiB; GPU_CAGRA top-k 1,024; GPU_IVF_FLAT and GPU_BRUTE_FORCE top-k 2,048 (256 in older releases);
no COSINE metric on a GPU; nlist 1 to 65,536.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

MAX_TOP_K = 16_384
MAX_NLIST = 65_536
# on a server, from this many rows on, building and searching IVF_FLAT takes less time than scanning all rows
IVF_ROWS = 20_000
# of a full segment: 250,000 to 295,000 of 384 dimensions on server 2.3.5
SEGMENT_ROWS = 2**18


def default_nlist(rows: int) -> int:
    """IVF lists for `rows` rows: 4 sqrt(n) for the n rows of a segment, each of which has its own lists (Milvus's
    advice), as a power of two from 128 on."""
    lists = 2 ** round(np.log2(4 * min(max(rows, 1), SEGMENT_ROWS) ** 0.5))
    return int(max(lists, 128))


def _share_of_lists(top_k: int, nlist: int) -> int:
    return max(8, nlist // 64)


def _power_of_two(hits: int, least: int) -> int:
    """The next power of two, and `least` at least."""
    power: int = 2 ** int(np.ceil(np.log2(hits)))
    return max(power, least)


@dataclass(frozen=True)
class SearchParameter:
    """The search parameter that trades time for recall. `first(top_k, nlist)`: the value that a search starts with.
    `beam`: a server refuses a value below the number of hits."""

    name: str
    largest: int
    first: Callable[[int, int], int]
    beam: bool = False


@dataclass(frozen=True)
class IndexKind:
    """One row of the table.

    `gpu`: needs a server with a GPU. `lite`: Milvus Lite builds it. `search`: None where a search is exact.
    `score_error`: the most that rounding changes a score on unit vectors. The build parameters are `build`, with
    `nlist` where `has_nlist`, and `cache_dataset_on_device` where `has_cache`.
    """

    name: str
    gpu: bool = False
    lite: bool = False
    max_top_k: int = MAX_TOP_K
    search: SearchParameter | None = None
    score_error: float = 1e-4
    build: dict[str, Any] = field(default_factory=dict)
    has_nlist: bool = False
    has_cache: bool = False


_NPROBE = SearchParameter("nprobe", MAX_NLIST, _share_of_lists)
# each segment is searched with this beam, so all of them together often find enough with the smallest
_EF = SearchParameter("ef", 32_768, lambda top_k, nlist: _power_of_two(top_k, 64), beam=True)
_ITOPK = SearchParameter("itopk_size", 1_024, lambda top_k, nlist: _power_of_two(2 * top_k, 128), beam=True)
_LEVEL = SearchParameter("level", 10, lambda top_k, nlist: 2)
_HNSW = {"M": 32, "efConstruction": 200}
_CAGRA = {"intermediate_graph_degree": 128, "graph_degree": 64}
# a GPU may multiply with fewer bits; nobody has measured how much that changes
_GPU_ERROR = 0.02
_TABLE = (
    IndexKind("FLAT", lite=True, score_error=1e-5),
    IndexKind("IVF_FLAT", lite=True, search=_NPROBE, has_nlist=True),
    IndexKind("HNSW", lite=True, search=_EF, build=_HNSW),
    IndexKind(
        "GPU_IVF_FLAT",
        gpu=True,
        max_top_k=2_048,
        search=_NPROBE,
        score_error=_GPU_ERROR,
        has_nlist=True,
        has_cache=True,
    ),
    IndexKind(
        "GPU_CAGRA", gpu=True, max_top_k=1_024, search=_ITOPK, score_error=_GPU_ERROR, build=_CAGRA, has_cache=True
    ),
    IndexKind("GPU_BRUTE_FORCE", gpu=True, max_top_k=2_048, score_error=_GPU_ERROR),
    # quantized, by Zilliz Cloud's choice
    IndexKind("AUTOINDEX", search=_LEVEL, score_error=0.1),
)
KINDS: dict[str, IndexKind] = {kind.name: kind for kind in _TABLE}


@dataclass(frozen=True)
class Index:
    """An index: its kind, metric and build parameters, and the reason for this choice."""

    kind: str
    metric: str
    build: dict[str, Any]
    reason: str


@dataclass(frozen=True)
class SearchEffort:
    """One search parameter with its value and its largest value; without a name where the search is exact. `beam`: as
    for a `SearchParameter`."""

    name: str | None
    value: int
    largest: int
    beam: bool = False

    @property
    def params(self) -> dict[str, int]:
        return {} if self.name is None else {self.name: self.value}

    def harder(self) -> "SearchEffort | None":
        """Twice the value, or None where it is the largest already."""
        if self.name is None or self.value >= self.largest:
            return None
        return replace(self, value=min(2 * self.value, self.largest))

    def for_hits(self, hits: int) -> "SearchEffort":
        """This, or as much more as a server demands for so many hits."""
        return replace(self, value=max(self.value, hits)) if self.beam else self

    def __str__(self) -> str:
        return f"{self.name} {self.value}" if self.name else "exact"


EXACT = SearchEffort(None, 0, 0)


def build_params(kind: str, rows: int, nlist: int | None, cache_on_device: bool) -> dict[str, Any]:
    """The build parameters of an index of `kind` over `rows` rows."""
    row = KINDS[kind]
    params: dict[str, Any] = {"nlist": nlist or default_nlist(rows)} if row.has_nlist else {}
    params |= row.build
    if row.has_cache:
        params["cache_dataset_on_device"] = "true" if cache_on_device else "false"
    return params


def first_effort(kind: str, build: dict[str, Any], top_k: int, nprobe: int | None) -> SearchEffort:
    """The effort that a search starts with: a 64th of the lists, or a beam for the top-k.

    `build`: the build parameters as the server reports them. `nprobe`: instead of a 64th of the lists.
    """
    # a collection of another program may have an index of a kind that is not in the table
    row = KINDS.get(kind)
    if row is None or row.search is None:
        return EXACT
    nlist = int(build.get("nlist", 128))
    first, largest = row.search.first(top_k, nlist), row.search.largest
    if row.has_nlist:
        first, largest = nprobe or first, nlist
    return SearchEffort(row.search.name, min(first, largest), largest, row.search.beam)


def why_unavailable(kind: str, metric: str, top_k: int, lite: bool, zilliz: bool) -> str | None:
    """Why this index is not available there, as far as it is known without asking a server; None where it may be."""
    row = KINDS[kind]
    if lite and not row.lite:
        kinds = ", ".join(name for name, other in KINDS.items() if other.lite)
        return f"store.index = '{kind}': Milvus Lite builds only {kinds}; set one of them, or use a server"
    if zilliz and kind != "AUTOINDEX":
        return f"store.index = '{kind}': Zilliz Cloud builds only AUTOINDEX; set store.index=auto"
    if row.gpu and metric == "COSINE":
        return (
            f"store.metric = 'COSINE': {kind} supports only IP and L2; on unit vectors IP gives the same order: "
            "set store.metric=IP"
        )
    if top_k > row.max_top_k:
        return f"neighbors.k: {kind} returns at most {row.max_top_k:,} rows per query, this run asks for {top_k:,}"
    return None
