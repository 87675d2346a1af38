"""Exact nearest neighbors by blocked matrix products: torch on CUDA and on a CPU with AMX, NumPy on other CPUs.

On CUDA, products of bfloat16 vectors find candidates, which are then compared again in float32; on a CPU with AMX they
do too, by a bound (job/backends/knn/bf16_search.py). The caller computes the distances of the result from the vectors.
Memory: the block of scores and, on CUDA, the vectors in bfloat16 and in float32 if both fit into half of the free
device memory (otherwise they are sent block by block).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from job.backends.knn.bf16_search import Bf16Search
from job.backends.knn.brute_force import nearest
from job.data import Floats, Ints
from job.runtime.device import cpu_has_amx
from job.runtime.log import logger

_ROWS = {"cpu": 1_024, "amx": 4_096, "cuda": 8_192}
# vectors; fewer are compared before torch is imported
_MANY = 20_000
# on CUDA a block of scores has 2 GiB: 8,192 queries by 65,536 vectors where the vectors are sent, for the more queries
# at once, the less often; 2,048 by 262,144 where they are on the device: so the selection reads half as many scores
_BLOCK = 65_536
_QUERIES, _RESIDENT_BLOCK = 2_048, 262_144
# candidates in addition to the 2 k: bfloat16 keeps 8 bits of a component
_SPARE = 64
# of the candidates' vectors that are compared at once, beside as many products
_RERANK_BYTES = 512 * 2**20


@dataclass(frozen=True)
class DeviceVectors:
    """All vectors on the device: `full` float32 [n, d] to compare, `halves` bfloat16 in blocks to search."""

    full: Any
    halves: list[Any]


class ExactSearch:
    """The nearest neighbors of every row among all others, by their vectors float32 [n, d].

    `device`: `cpu`, or `cuda` for the CUDA device that is current in the thread that creates the object.
    """

    def __init__(self, vectors: Floats, device: str) -> None:
        self._vectors = vectors
        self.device = device
        self._resident: DeviceVectors | None = None
        self._lock = Lock()
        self._cuda: Any = None
        self._bf16: Bf16Search | None = None
        self._by_bf16 = device == "cpu" and cpu_has_amx() and len(vectors) >= _MANY
        if device == "cuda":
            import torch

            # a current device belongs to one thread: this one is used in all threads
            self._cuda = torch.device("cuda", torch.cuda.current_device())

    @property
    def rows_at_once(self) -> int:
        """Rows per batch."""
        return _ROWS["amx" if self._by_bf16 else self.device]

    def find(self, rows: npt.NDArray[np.int64], k: int) -> Ints:
        """Row numbers int32 [m, k] of each row's nearest, unordered, itself excluded; -1 where there are fewer.

        Exact up to the rounding of scores: a row may be missing whose score is within `NEAR_TIE` of the k-th's.
        """
        step = self.rows_at_once
        batches = [self._find_batch(rows[start : start + step], k) for start in range(0, len(rows), step)]
        return np.concatenate([np.zeros((0, k), np.int32), *batches])

    def _find_batch(self, rows: npt.NDArray[np.int64], k: int) -> Ints:
        if self._by_bf16:
            return self._bf16_search().find(rows, k)
        if self.device == "cpu":
            return nearest(self._vectors, rows, k)
        return torch_nearest(self._vectors, rows, k, self._cuda, self._device_vectors())

    def _bf16_search(self) -> Bf16Search:
        with self._lock:
            if self._bf16 is None:
                self._bf16 = Bf16Search(self._vectors)
        return self._bf16

    def _device_vectors(self) -> DeviceVectors | None:
        """All vectors on the device, if both copies fit into half of its free memory."""
        import torch

        with self._lock:
            if self._resident is None:
                free = torch.cuda.mem_get_info(self._cuda)[0]
                if 6 * self._vectors.size > free // 2:
                    return None
                full = _to_float32(self._vectors, self._cuda)
                halves = [part.to(torch.bfloat16) for part in full.split(_RESIDENT_BLOCK)]
                self._resident = DeviceVectors(full, halves)
        return self._resident


def torch_nearest(
    vectors: Floats, rows: npt.NDArray[np.int64], k: int, device: Any, resident: DeviceVectors | None = None
) -> Ints:
    """int32 [m, k]: bfloat16 scores over blocks of the vectors, the best 2 k + 64 compared again in float32.

    `resident`: the same vectors on the device, which are then the ones that are read; without them blocks of `vectors`
    are sent.
    """
    import torch

    found = [torch.zeros((0, k), dtype=torch.int32, device=device)]
    own: Any = torch.from_numpy(rows).to(device)
    for some in own.split(_QUERIES) if resident else [own]:
        candidates = _candidates(vectors, rows, some, 2 * k + _SPARE, resident)
        found.append(_compared_again(vectors, rows, some, candidates, k, resident))
    return np.asarray(torch.cat(found).cpu().numpy(), np.int32)


def _candidates(
    vectors: Floats, rows: npt.NDArray[np.int64], own: Any, wanted: int, resident: DeviceVectors | None
) -> Any:
    """The `wanted` rows with the largest scores [m, wanted], or all others if there are fewer; -1 = the row itself.

    `own`: the queries on the device, all of `rows` if the vectors are not `resident`.
    """
    import torch

    wanted = min(len(vectors), wanted)
    queries = resident.full[own].to(torch.bfloat16) if resident else _to_bfloat16(vectors[rows], own.device)
    best: Any = None
    candidates: Any = None
    for start, block in _blocks(vectors, own.device, resident):
        scores = _products(queries, block)
        # not by a mask: the host would wait for the device to count it
        place = (own - start).clamp(0, len(block) - 1)[:, None]
        inside = ((own >= start) & (own < start + len(block)))[:, None]
        scores.scatter_(1, place, scores.gather(1, place).masked_fill_(inside, -torch.inf))
        top, position = largest(scores, wanted)
        # 2 GiB, before the next block's are allocated
        del scores
        best = top if best is None else torch.cat([best, top], 1)
        candidates = position + start if candidates is None else torch.cat([candidates, position + start], 1)
        if best.shape[1] > wanted:
            best, position = torch.topk(best, wanted, dim=1, sorted=False)
            candidates = torch.gather(candidates, 1, position)
    return torch.where(torch.isinf(best), -1, candidates)


def _blocks(vectors: Floats, device: Any, resident: DeviceVectors | None) -> Iterator[tuple[int, Any]]:
    """The first row of each block, and its vectors bfloat16 on the device."""
    if resident is None:
        yield from ((at, _to_bfloat16(vectors[at : at + _BLOCK], device)) for at in range(0, len(vectors), _BLOCK))
        return
    start = 0
    for block in resident.halves:
        yield start, block
        start += len(block)


def _compared_again(
    vectors: Floats,
    rows: npt.NDArray[np.int64],
    own: Any,
    candidates: Any,
    k: int,
    resident: DeviceVectors | None,
) -> Any:
    """The nearest of the candidates by products in float32, int32 [m, k]; -1 where there are fewer."""
    import torch

    result = torch.full((len(own), k), -1, dtype=torch.int32, device=own.device)
    step = max(1, _RERANK_BYTES // (4 * vectors.shape[1] * candidates.shape[1]))
    for start in range(0, len(own), step):
        batch = slice(start, start + step)
        some = candidates[batch]
        if resident:
            # from host memory, 1M rows of 1,024 columns would move some 700 GB to the device
            near, mine = resident.full[some.clamp(min=0)], resident.full[own[batch]]
        else:
            near = _to_float32(vectors[some.cpu().numpy().clip(0)], own.device)
            mine = _to_float32(vectors[rows[batch]], own.device)
        scores = torch.einsum("md,mcd->mc", mine, near).masked_fill(some < 0, -torch.inf)
        position = torch.topk(scores, min(k, scores.shape[1]), dim=1, sorted=False).indices
        result[batch, : position.shape[1]] = torch.gather(some, 1, position).int()
    return result


def largest(scores: Any, wanted: int) -> tuple[Any, Any]:
    """The `wanted` largest scores of each row of [m, c], or all if there are fewer, and their columns; unordered.

    They lie in the `wanted` groups of columns with the largest maxima. So the selection, which reads its input several
    times, reads c / g + wanted g columns instead of c, for groups of g columns.
    """
    import torch

    columns = scores.shape[1]
    wanted = min(wanted, columns)
    size = 1 << int(math.log2(columns / wanted) / 2)
    if size < 4:
        best = torch.topk(scores, wanted, dim=1, sorted=False)
        return best.values, best.indices
    # a group's columns are far apart, so that neighboring threads read neighboring columns
    groups = columns // size
    maxima = scores[:, : groups * size].unflatten(1, (size, groups)).amax(dim=1)
    chosen = torch.topk(maxima, wanted, dim=1, sorted=False).indices
    inside = torch.arange(0, groups * size, groups, device=scores.device)[None, :, None] + chosen[:, None, :]
    candidates = inside.flatten(1)
    if groups * size < columns:
        rest = torch.arange(groups * size, columns, device=scores.device).expand(len(scores), -1)
        candidates = torch.cat([candidates, rest], 1)
    best = torch.topk(scores.gather(1, candidates), wanted, dim=1, sorted=False)
    return best.values, candidates.gather(1, best.indices)


def _to_float32(vectors: Floats, device: Any) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(vectors, np.float32)).to(device)


def _to_bfloat16(vectors: Floats, device: Any) -> Any:
    import torch

    return _to_float32(vectors, device).to(torch.bfloat16)


def _products(queries: Any, block: Any) -> Any:
    """float32 products of bfloat16 vectors: products rounded to bfloat16 would make ties of different neighbors."""
    import torch

    if queries.is_cuda and _gives_float32():
        return torch.mm(queries, block.T, out_dtype=torch.float32)
    return queries.float() @ block.float().T


@cache
def _gives_float32() -> bool:
    """Whether torch's products of bfloat16 can be float32 on this device: from torch 2.8 on."""
    import torch

    two = torch.ones(16, 16, dtype=torch.bfloat16, device="cuda")
    try:
        torch.mm(two, two, out_dtype=torch.float32)
    except torch.OutOfMemoryError:
        raise
    except (TypeError, RuntimeError) as error:
        logger.warning("neighbors: products in float32, which are slow: %s", str(error).strip().partition("\n")[0])
        return False
    return True
