"""Texts to token ids in flat arrays: 4 bytes per token, where Python's dicts and lists take about 1,700 per text."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from job.data import Ids, Ints

# texts per call of the tokenizer: its own objects exist only for so many texts at a time
_TEXTS_PER_CALL = 4_096


@dataclass(frozen=True)
class Tokens:
    """Token ids of n texts. `ids` int32 [total], `offsets` int64 [n + 1]: text i is `ids[offsets[i]:offsets[i+1]]`."""

    ids: Ints
    offsets: Ids

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ids:
        return np.diff(self.offsets)

    def lists(self) -> list[list[int]]:
        """The ids as Python lists, for a few texts."""
        return [ids.tolist() for ids in np.split(self.ids, self.offsets[1:-1])] if len(self) else []


class Tokenizer:
    """A model's tokenizer, used as FlagEmbedding uses it: special tokens added, cut at `max_length`, never padded.

    `tokenizer` is transformers' object. If it has a Rust backend (all common models do), that is called directly: it
    then makes no attention mask, token types or character offsets, and releases the GIL.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self._tokenizer, self._max_length = tokenizer, max_length
        self._rust: Any = getattr(tokenizer, "backend_tokenizer", None)
        if self._rust is not None:
            # a packaged tokenizer.json may have its own padding and truncation
            self._rust.no_padding()
            self._rust.enable_truncation(max_length)

    def __call__(self, texts: Sequence[str]) -> Tokens:
        starts = range(0, len(texts), _TEXTS_PER_CALL)
        results = [self._ids_and_lengths(texts[start : start + _TEXTS_PER_CALL]) for start in starts]
        if not results:
            return Tokens(np.zeros(0, np.int32), np.zeros(1, np.int64))
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(np.concatenate([lengths for _, lengths in results]), out=offsets[1:])
        return Tokens(np.concatenate([ids for ids, _ in results]), offsets)

    def _ids_and_lengths(self, texts: Sequence[str]) -> tuple[Ints, npt.NDArray[np.int64]]:
        if self._rust is not None:
            ids = [encoding.ids for encoding in self._rust.encode_batch_fast(list(texts))]
        else:
            ids = self._tokenizer(
                list(texts),
                truncation=True,
                max_length=self._max_length,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )["input_ids"]
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        return np.fromiter(chain.from_iterable(ids), np.int32, int(lengths.sum())), lengths
