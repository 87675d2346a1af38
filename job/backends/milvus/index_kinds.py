"""Which index, with which parameters, within which limits.

Limits from Milvus's documentation (2.3 to 2.6) and facts measured on 2.3.5: top-k and queries a search 16,384,
messages 64 MiB; GPU_CAGRA top-k 1,024; GPU_IVF_FLAT and GPU_BRUTE_FORCE top-k 2,048 (256 in older releases);
no COSINE on a GPU; nlist 1 to 65,536.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

Kind = Literal["FLAT", "IVF_FLAT", "HNSW", "GPU_IVF_FLAT", "GPU_CAGRA", "GPU_BRUTE_FORCE", "AUTOINDEX"]
GPU_KINDS = ("GPU_IVF_FLAT", "GPU_CAGRA", "GPU_BRUTE_FORCE")
LITE_KINDS = ("FLAT", "IVF_FLAT", "HNSW")
MAX_TOP_K = 16_384
MAX_NLIST = 65_536
# from here on a server's IVF_FLAT, its build counted, beats its scan of all rows
IVF_ROWS = 20_000
_MAX_GPU_TOP_K = {"GPU_IVF_FLAT": 2_048, "GPU_BRUTE_FORCE": 2_048, "GPU_CAGRA": 1_024}
# the parameter that trades time for recall, and its largest value
_EFFORT = {
    "IVF_FLAT": ("nprobe", MAX_NLIST),
    "GPU_IVF_FLAT": ("nprobe", MAX_NLIST),
    "HNSW": ("ef", 32_768),
    "GPU_CAGRA": ("itopk_size", 1_024),
    "AUTOINDEX": ("level", 10),
}


@dataclass(frozen=True)
class Index:
    """An index: its kind, metric, build parameters, and why it is this one."""

    kind: str
    metric: str
    build: dict[str, Any]
    reason: str


@dataclass(frozen=True)
class Effort:
    """How hard a search tries: one parameter with its value and its largest; None where it is exact anyway."""

    name: str | None
    value: int
    most: int

    @property
    def params(self) -> dict[str, int]:
        return {} if self.name is None else {self.name: self.value}

    def harder(self) -> "Effort | None":
        """Twice as hard, or None where it cannot be."""
        if self.name is None or self.value >= self.most:
            return None
        return replace(self, value=min(2 * self.value, self.most))

    def __str__(self) -> str:
        return f"{self.name} {self.value}" if self.name else "exact"


def lists(rows: int) -> int:
    """IVF lists for `rows` rows: 4 sqrt(n), a power of two between 128 and 65,536 (Milvus's own advice)."""
    return int(np.clip(2 ** round(np.log2(4 * max(rows, 1) ** 0.5)), 128, MAX_NLIST))


def build_params(kind: str, rows: int, nlist: int | None, cache_on_device: bool) -> dict[str, Any]:
    """The parameters that an index of `kind` over `rows` rows is built with."""
    cached = {"cache_dataset_on_device": "true" if cache_on_device else "false"}
    params: dict[str, dict[str, Any]] = {
        "FLAT": {},
        "AUTOINDEX": {},
        "IVF_FLAT": {"nlist": nlist or lists(rows)},
        "HNSW": {"M": 32, "efConstruction": 200},
        "GPU_IVF_FLAT": {"nlist": nlist or lists(rows), **cached},
        "GPU_CAGRA": {"intermediate_graph_degree": 128, "graph_degree": 64, **cached},
        "GPU_BRUTE_FORCE": {},
    }
    return params[kind]


def first_effort(kind: str, build: dict[str, Any], top_k: int, nprobe: int | None) -> Effort:
    """Where a search starts: a 64th of the lists, a beam of twice the top-k. `build`: as the server says."""
    if kind not in _EFFORT:
        return Effort(None, 0, 0)
    name, most = _EFFORT[kind]
    if name == "nprobe":
        nlist = int(build.get("nlist", 128))
        return Effort(name, min(nprobe or max(8, nlist // 64), nlist), nlist)
    if name == "level":
        return Effort(name, 2, most)
    return Effort(name, min(max(2 ** int(np.ceil(np.log2(2 * top_k))), 128), most), most)


def complaint(kind: str, metric: str, top_k: int, lite: bool, zilliz: bool) -> str | None:
    """Why this index cannot be had there, by what is known without asking; None where it may be."""
    if lite and kind not in LITE_KINDS:
        return f"store.index = '{kind}': Milvus Lite builds {', '.join(LITE_KINDS)} alone; take one, or a server"
    if zilliz and kind != "AUTOINDEX":
        return f"store.index = '{kind}': Zilliz Cloud builds AUTOINDEX alone; set store.index=auto"
    if kind in GPU_KINDS and metric == "COSINE":
        return f"store.metric = 'COSINE': {kind} takes IP and L2; on unit vectors IP ranks the same: store.metric=IP"
    most = _MAX_GPU_TOP_K.get(kind, MAX_TOP_K)
    if top_k > most:
        return f"neighbors.k: {kind} answers with at most {most:,} rows a query, this run asks for {top_k:,}"
    return None
