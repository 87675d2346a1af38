"""Texts to unit vectors: FlagEmbedding loads the model and defines the vectors, the loop is ours.

FlagEmbedding's loop pads every batch to its longest text and masks the rest. Here the texts of a shard are
grouped by their exact length in tokens, under a budget of tokens a batch: no padding, hence no mask, and the
same vectors (../shared/facts/embedding.md measures 1.9e-7 on a float32 checkpoint).
"""

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from job.backends.models import Model
from job.data import Floats
from job.runtime.errors import BadInput, JobError
from job.runtime.log import logger

DEFAULT_BUDGET = {"cuda": 16_384, "cpu": 4_096}
_LOWEST_BUDGET = 512
# oneDNN and torch's layer above it keep compiled kernels and scratch memory for a thousand shapes; every length in
# tokens is a shape, met once. Sixteen hold one length's: 640 MB instead of 1,090 MB on 849 headlines, as fast
_SHAPE_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


class Encoder(Protocol):
    """What the embed stage needs of a model."""

    dim: int

    def encode(self, texts: list[str], done: Callable[[int], None]) -> Floats:
        """Unit vectors float32 [n, dim]; `done(m)` is called as m more texts are finished."""
        ...


class FlagEncoder:
    """A transformer encoder loaded by FlagEmbedding.

    `precision` is that of the weights and of the forward pass; the vectors are normalised in float32. A batch
    that does not fit on the GPU is tried again with half the token budget, which is then kept.
    """

    def __init__(self, model: Model, device: str, precision: str, max_length: int, token_budget: int | None) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        for cache in _SHAPE_CACHES:
            os.environ.setdefault(cache, "16")
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise BadInput(
                "device = 'cuda': torch sees no CUDA device; check the driver and torch's build, or set device=cpu"
            )
        self._torch = torch
        self._device = device
        self._pooling = model.pooling
        self._budget = token_budget or DEFAULT_BUDGET[device]
        flag = _load(model, precision)
        self._tokenizer: Any = flag.tokenizer
        module: Any = flag.model.model if model.m3 else flag.model
        self._module = module.to(device).eval()
        self.dim = int(module.config.hidden_size)
        self._max_length = min(max_length, _positions(module.config))
        if self._max_length < max_length:
            logger.info("embed: %s reads at most %d tokens a text", model.name, self._max_length)

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, cut at `max_length`."""
        ids: list[list[int]] = self._tokenizer(
            texts,
            truncation=True,
            max_length=self._max_length,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]
        return ids

    def encode(self, texts: list[str], done: Callable[[int], None] = lambda _: None) -> Floats:
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        tokens = self.tokenize(texts)
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        vectors = np.empty((len(texts), self.dim), np.float32)
        for rows in _equal_lengths(lengths):
            start = 0
            while start < len(rows):
                batch = rows[start : start + max(1, self._budget // int(lengths[rows[0]]))]
                try:
                    vectors[batch] = self._forward([tokens[row] for row in batch])
                except self._torch.OutOfMemoryError:
                    self._shrink(int(lengths[rows[0]]))
                    continue
                start += len(batch)
                done(len(batch))
        if not np.isfinite(vectors).all():
            raise JobError("embed: the model gave vectors that are not finite; try embed.precision=fp32")
        return vectors

    def _forward(self, tokens: list[list[int]]) -> npt.NDArray[Any]:
        torch = self._torch
        with torch.inference_mode():
            ids = torch.tensor(tokens, dtype=torch.int64)
            states = self._module(input_ids=ids.to(self._device)).last_hidden_state
            pooled = states[:, 0] if self._pooling == "cls" else states.float().mean(dim=1)
            unit = torch.nn.functional.normalize(pooled.float(), dim=-1)
            result: npt.NDArray[Any] = unit.cpu().numpy()
            return result

    def _shrink(self, length: int) -> None:
        if self._budget <= max(_LOWEST_BUDGET, length):
            raise JobError(
                f"embed: out of GPU memory with a batch of {self._budget} tokens; "
                "free the GPU, or lower embed.max_length"
            ) from None
        self._budget //= 2
        self._torch.cuda.empty_cache()
        logger.warning("embed: out of GPU memory: going on with embed.token_budget=%d", self._budget)


def _equal_lengths(lengths: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Row numbers in groups of one length, longest first; within a group in order."""
    order = np.argsort(-lengths, kind="stable")
    cuts = np.flatnonzero(np.diff(lengths[order])) + 1
    yield from np.split(order, cuts)


def _positions(config: Any) -> int:
    """The most tokens a text may have: XLM-R's position numbers start behind the padding's."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    roberta = config.model_type in ("roberta", "xlm-roberta", "camembert")
    return positions - (int(config.pad_token_id) + 1 if roberta else 0)


def _load(model: Model, precision: str) -> Any:
    """FlagEmbedding's object for the model, on the CPU. It never asks the network: the folder is complete."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from FlagEmbedding import BGEM3FlagModel, FlagAutoModel
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()
        common = {"use_fp16": precision == "fp16", "use_bf16": precision == "bf16", "devices": "cpu"}
        try:
            if model.m3:
                return BGEM3FlagModel(str(model.folder), pooling_method=model.pooling, **common)
            return FlagAutoModel.from_finetuned(
                str(model.folder),
                model_class="encoder-only-base",
                pooling_method=model.pooling,
                trust_remote_code=False,
                query_instruction_format="{}{}",
                **common,
            )
        except Exception as error:  # what a damaged checkpoint raises depends on where it is damaged
            raise BadInput(
                f"embed.model = '{model.name}': '{model.folder}' does not load "
                f"({type(error).__name__}: {str(error).splitlines()[0][:200]})"
            ) from None
