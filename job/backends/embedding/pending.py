"""The result of an encoder's forward passes while it is still on its way from the device."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from job.backends.embedding.batches import Batch
from job.backends.embedding.errors import BatchError
from job.backends.embedding.lexical_weights import LexicalEntries, lexical_entries
from job.data import Ints, Vectors


@dataclass(frozen=True)
class TokenWeights:
    """One weight per packed token: the tensor `weights` [total], and what `lexical_entries` needs besides."""

    weights: Any
    batches: list[Batch]
    ids: Ints
    unused_ids: list[int]


@dataclass(frozen=True)
class Pending:
    """Vectors that are being copied to host memory; both methods wait for the copy."""

    _vectors: Any
    _copied: Any = None
    _token_weights: TokenWeights | None = None

    def vectors(self) -> Vectors:
        """float32 or float16 [n, dim].

        Raises:
            BatchError: some are not finite.
        """
        self._wait()
        result: Vectors = self._vectors.numpy()
        bad = np.flatnonzero(~np.isfinite(result).all(axis=1))
        if len(bad):
            raise BatchError(bad, "the model gave vectors that are not finite; try embed.precision=fp32")
        return result

    def lexical(self) -> LexicalEntries:
        """The texts' lexical weights; only of an encoder made with `sparse`."""
        assert self._token_weights is not None
        self._wait()
        it = self._token_weights
        return lexical_entries(it.batches, it.ids, it.weights.numpy(), it.unused_ids)

    def _wait(self) -> None:
        if self._copied is not None:
            self._copied.synchronize()
