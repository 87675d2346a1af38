"""Texts to unit vectors: FlagEmbedding loads the model and defines the vectors, the loop is ours.

FlagEmbedding's loop pads every batch to its longest text and masks the rest, and nothing of it overlaps. Here the
texts of a shard are grouped by their exact length in tokens, under a budget of tokens a batch: no padding, hence no
mask, and the same vectors (../shared/facts/embedding.md measures 1.9e-7 on a float32 checkpoint). The tokens go to
the device in one copy and the vectors come back in one, on streams of their own; between them the host only launches.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from job.backends import onednn
from job.backends.batches import Batch, lay_out, plan
from job.backends.models import Model
from job.backends.tokenizer import Tokenizer, Tokens
from job.data import Floats, Ids, Vectors
from job.runtime.errors import BadInput, JobError
from job.runtime.log import logger

DEFAULT_BUDGET = {"cuda": 16_384, "cpu": 4_096}
# a forward pass of fewer tokens takes no less time: 3.8 ms of kernel launches against 12.6 ms for 16k tokens
FLOOR = {"cuda": 4_096, "cpu": 0}
_LOWEST_BUDGET = 512
# read by the libraries when they are loaded. oneDNN and torch's layer above it keep compiled kernels and scratch memory
# for a thousand shapes; every length in tokens is a shape, met once. Sixteen hold one length's: 640 MB instead of 1,090
# MB on 849 headlines, as fast. OpenMP's threads spin long while they wait for each other: with one busy neighbor on 2
# cores 130 to 540 texts/s, 810 to 860 where they soon sleep, and 3% less where nobody else is
_ENVIRONMENT = {
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",
    "LRU_CACHE_CAPACITY": "16",
    "GOMP_SPINCOUNT": "2000",
    "TOKENIZERS_PARALLELISM": "true",
}


class Encoder(Protocol):
    """What the embed stage needs of a model."""

    dim: int
    budget: int

    def tokenize(self, texts: Sequence[str]) -> Tokens: ...

    def forward(self, tokens: Tokens, half: bool, done: Callable[[int], None]) -> "Pending":
        """Start on the unit vectors of all texts; `done(m)` is called as m more are under way."""
        ...


class BatchError(JobError):
    """Some texts could not be embedded. `rows`: which; `what`: why."""

    def __init__(self, rows: Ids, what: str) -> None:
        super().__init__(f"embed: texts {some_rows(rows)}: {what}")
        self.rows, self.what = rows, what


@dataclass(frozen=True)
class Pending:
    """Vectors on their way from the device: `vectors()` waits for them."""

    _host: Any
    _event: Any = None

    def vectors(self) -> Vectors:
        """float32 or float16 [n, dim].

        Raises:
            BatchError: some are not finite.
        """
        if self._event is not None:
            self._event.synchronize()
        result: Vectors = self._host.numpy()
        bad = np.flatnonzero(~np.isfinite(result).all(axis=1))
        if len(bad):
            raise BatchError(bad, "the model gave vectors that are not finite; try embed.precision=fp32")
        return result


class FlagEncoder:
    """A transformer encoder loaded by FlagEmbedding.

    `precision` is that of the weights and of the forward pass; the vectors are normalised in float32. A batch
    that does not fit on the GPU is tried again with half the token budget, which is then kept in `budget`.
    `local`: which of this machine's processes this is, so that each takes a GPU of its own.
    """

    def __init__(
        self,
        model: Model,
        device: str,
        precision: str,
        max_length: int,
        token_budget: int | None,
        local: int = 0,
        extras: bool = True,
    ) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            raise BadInput(
                "device = 'cuda': torch sees no CUDA device; check the driver and torch's build, or set device=cpu"
            )
        self._torch = torch
        self._pooling = model.pooling
        self._floor = FLOOR[device]
        self.budget = token_budget or DEFAULT_BUDGET[device]
        flag = _load(model, precision)
        module: Any = flag.model.model if model.m3 else flag.model
        self.dim = int(module.config.hidden_size)
        longest = min(max_length, _positions(module.config))
        if longest < max_length:
            logger.info("embed: %s reads at most %d tokens a text", model.name, longest)
        self.tokenize = Tokenizer(flag.tokenizer, longest)
        self._padding = int(flag.tokenizer.pad_token_id or 0)
        self._cuda = device == "cuda"
        if self._cuda:
            torch.cuda.set_device(local % torch.cuda.device_count())
            self._up, self._down = torch.cuda.Stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._device = torch.device("cuda", torch.cuda.current_device()) if self._cuda else torch.device("cpu")
        self._module = module.to(self._device).eval()
        if not self._cuda and extras:
            onednn.speed_up(self._module, self.budget)

    def encode(self, texts: Sequence[str], done: Callable[[int], None] = lambda _: None) -> Floats:
        """Unit vectors float32 [n, dim] of a list of texts."""
        return np.asarray(self.forward(self.tokenize(texts), False, done).vectors(), np.float32)

    def forward(self, tokens: Tokens, half: bool, done: Callable[[int], None] = lambda _: None) -> Pending:
        """Launch the forward passes of all texts; `half`: the vectors come back as float16.

        Raises:
            BatchError: a forward pass failed, for another reason than memory.
            JobError: not even the smallest batch fits into the GPU's memory.
        """
        torch = self._torch
        batches = plan(tokens.lengths, self.budget, self._floor)
        with torch.inference_mode():
            try:
                flat = self._to_device(lay_out(tokens, batches, self._padding))
                rows = self._to_device(np.concatenate([batch.rows for batch in batches] or [np.zeros(0, np.int64)]))
                lengths = self._to_device(tokens.lengths)
                out = torch.empty(
                    (len(tokens), self.dim), dtype=torch.float16 if half else torch.float32, device=self._device
                )
            except torch.OutOfMemoryError:
                raise JobError(
                    f"embed: out of GPU memory for a shard of {len(tokens):,} texts; "
                    "free the GPU, or lower embed.shard_rows"
                ) from None
            row = token = 0
            for batch in batches:
                ids = flat[token : token + len(batch) * batch.length].view(len(batch), batch.length)
                places = rows[row : row + len(batch)]
                self._run(batch, ids, places, lengths[places] if batch.padded else None, out, done)
                row, token = row + len(batch), token + ids.numel()
            return self._to_host(out)

    def _run(self, batch: Batch, ids: Any, places: Any, lengths: Any, out: Any, done: Callable[[int], None]) -> None:
        """Write a batch's unit vectors into their places in `out`, in as many parts as the budget asks for."""
        torch = self._torch
        start, before = 0, self.budget
        while start < len(batch):
            part = slice(start, start + max(1, self.budget // batch.length))
            fits = True
            try:
                unit = self._unit(ids[part].long(), None if lengths is None else lengths[part])
                out[places[part]] = unit.to(out.dtype)
            except torch.OutOfMemoryError:
                fits = False  # the retry is outside: until here ends, the error holds on to the batch's memory
            except Exception as error:
                why = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:300]}"
                raise BatchError(batch.rows[part], f"a forward pass at {batch.length} tokens failed: {why}") from error
            if fits:
                done(len(batch.rows[part]))
                start = part.stop
            else:
                self._shrink(batch.length)
        if self.budget < before:
            logger.warning(
                "embed: out of GPU memory with %d tokens a batch: going on with embed.token_budget=%d",
                before,
                self.budget,
            )

    def _unit(self, ids: Any, lengths: Any) -> Any:
        """Unit vectors float32 [m, dim] of a batch of ids [m, length]; `lengths` [m] where some are padded."""
        torch = self._torch
        if lengths is None:
            states = self._module(input_ids=ids).last_hidden_state
        else:
            mask = torch.arange(ids.shape[1], device=self._device) < lengths[:, None]
            # with four axes transformers takes it as it is, and asks the device nothing
            states = self._module(input_ids=ids, attention_mask=mask[:, None, None, :]).last_hidden_state
        if self._pooling == "cls":
            pooled = states[:, 0].float()
        elif lengths is None:
            pooled = states.float().mean(dim=1)
        else:
            pooled = (states.float() * mask[:, :, None]).sum(dim=1) / lengths[:, None]
        return torch.nn.functional.normalize(pooled, dim=-1)

    def _to_device(self, array: Any) -> Any:
        """A NumPy array on the device, from pinned memory on the copy stream; the compute stream waits for it."""
        torch = self._torch
        host = torch.from_numpy(array)
        if not self._cuda:
            return host
        with torch.cuda.stream(self._up):
            there = host.pin_memory().to(self._device, non_blocking=True)
        compute = torch.cuda.current_stream()
        compute.wait_stream(self._up)
        there.record_stream(compute)
        return there

    def _to_host(self, out: Any) -> Pending:
        torch = self._torch
        if not self._cuda:
            return Pending(out)
        self._down.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._down):
            host = torch.empty(out.shape, dtype=out.dtype, pin_memory=True)
            host.copy_(out, non_blocking=True)
            out.record_stream(self._down)
            event = torch.cuda.Event()
            event.record(self._down)
        return Pending(host, event)

    def _shrink(self, length: int) -> None:
        if self.budget <= max(_LOWEST_BUDGET, length):
            raise JobError(
                f"embed: out of GPU memory with a batch of {self.budget} tokens; "
                "free the GPU, or lower embed.max_length"
            )
        self.budget //= 2
        if self._cuda:
            self._torch.cuda.empty_cache()


def some_rows(rows: Ids) -> str:
    """The first few row numbers, in words."""
    return ", ".join(f"{row:,}" for row in rows[:5]) + (f" and {len(rows) - 5:,} more" if len(rows) > 5 else "")


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
