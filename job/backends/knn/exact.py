"""Exact nearest neighbors by blocked matrix products: torch on CUDA, NumPy on the CPU.

On CUDA the products are of bfloat16 vectors, which finds candidates; these are compared again in float32. Both give
candidates whose distances the caller computes from the vectors. Memory: the block of scores, and on CUDA the vectors
in bfloat16 and in float32 where both fit in half of what is free there (else they are sent as they are needed).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.knn.brute_force import nearest
from job.data import Floats, Ints

_ROWS = {"cpu": 1_024, "cuda": 8_192}
_BLOCK = 65_536
# candidates beyond the k asked for: bfloat16 keeps 8 bits of a component
_SPARE = 64
_RERANK = 512


class ExactKnn:
    """The nearest of every row among all others, by their vectors float32 [n, d]."""

    def __init__(self, vectors: Floats, device: str) -> None:
        self._vectors = vectors
        self.device = device
        self._kept: Kept | None = None

    @property
    def rows_at_once(self) -> int:
        return _ROWS[self.device]

    def find(self, rows: npt.NDArray[np.int64], k: int) -> Ints:
        """Row numbers int32 [m, k] of each row's nearest, unordered, itself left out; -1 where there are fewer."""
        step = self.rows_at_once
        parts = [self._find(rows[start : start + step], k) for start in range(0, len(rows), step)]
        return np.concatenate([np.zeros((0, k), np.int32), *parts])

    def _find(self, rows: npt.NDArray[np.int64], k: int) -> Ints:
        if self.device == "cpu":
            return nearest(self._vectors, rows, k)
        import torch

        return torch_nearest(self._vectors, rows, k, torch.device("cuda"), self._on_device)

    def _on_device(self, device: Any) -> "Kept | None":
        """All vectors on the device, if both copies fit in half of what is free."""
        import torch

        if self._kept is None:
            free = torch.cuda.mem_get_info()[0] if device.type == "cuda" else 0
            if 6 * self._vectors.size > free // 2:
                return None
            full = _single(self._vectors, device)
            starts = range(0, len(full), _BLOCK)
            self._kept = Kept(full, [full[start : start + _BLOCK].to(torch.bfloat16) for start in starts])
        return self._kept


@dataclass(frozen=True)
class Kept:
    """Vectors on the device: `full` float32 [n, d] to compare, `halves` bfloat16 in blocks to search."""

    full: Any
    halves: list[Any]


def torch_nearest(
    vectors: Floats,
    rows: npt.NDArray[np.int64],
    k: int,
    device: Any,
    on_device: Callable[[Any], Kept | None] = lambda device: None,
) -> Ints:
    """int32 [m, k]: bfloat16 scores over blocks of the rows, the best 2 k + 64 compared again in float32."""
    import torch

    n = len(vectors)
    wanted = min(n, 2 * k + _SPARE)
    kept = on_device(device)
    queries = _half(vectors[rows], device)
    own = torch.from_numpy(rows).to(device)
    best: Any = None
    who: Any = None
    for number, start in enumerate(range(0, n, _BLOCK)):
        block = kept.halves[number] if kept else _half(vectors[start : start + _BLOCK], device)
        scores = _products(queries, block)
        inside = (own >= start) & (own < start + len(block))
        scores[inside, own[inside] - start] = -torch.inf
        top, position = torch.topk(scores, min(wanted, len(block)), dim=1)
        best = top if best is None else torch.cat([best, top], 1)
        who = position + start if who is None else torch.cat([who, position + start], 1)
        if best.shape[1] > wanted:
            best, position = torch.topk(best, wanted, dim=1)
            who = torch.gather(who, 1, position)
    who = torch.where(torch.isinf(best), -1, who)
    result = torch.full((len(rows), k), -1, dtype=torch.int32, device=device)
    for start in range(0, len(rows), _RERANK):
        part, some = who[start : start + _RERANK], slice(start, start + _RERANK)
        if kept:
            # from host memory, 1M rows of 1,024 columns would move some 700 GB to the device
            theirs, mine = kept.full[part.clamp(min=0)], kept.full[own[some]]
        else:
            theirs = _single(vectors[part.cpu().numpy().clip(0)], device)
            mine = _single(vectors[rows[some]], device)
        scores = torch.einsum("md,mcd->mc", mine, theirs).masked_fill(part < 0, -torch.inf)
        position = torch.topk(scores, min(k, scores.shape[1]), dim=1).indices
        result[some, : position.shape[1]] = torch.gather(part, 1, position).int()
    return np.asarray(result.cpu().numpy(), np.int32)


def _single(vectors: Floats, device: Any) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(vectors, np.float32)).to(device)


def _half(vectors: Floats, device: Any) -> Any:
    import torch

    return _single(vectors, device).to(torch.bfloat16)


def _products(queries: Any, block: Any) -> Any:
    """float32 products of bfloat16 vectors: products rounded to bfloat16 would make ties of neighbors."""
    import torch

    if queries.is_cuda:
        try:
            return torch.mm(queries, block.T, out_dtype=torch.float32)
        except (TypeError, RuntimeError):  # before torch 2.8
            return queries.float() @ block.float().T
    return queries.float() @ block.float().T
