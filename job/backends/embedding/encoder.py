"""Texts to unit vectors: FlagEmbedding loads the model and defines the vectors, the loop is ours.

FlagEmbedding's loop pads every batch to its longest text and masks the rest, and nothing of it overlaps. Here the
texts of a shard are grouped by their exact length in tokens, under a budget of tokens a batch: no padding, hence no
mask, and the same vectors (../shared/facts/embedding.md measures 1.9e-7 on a float32 checkpoint). The tokens go to
the device in one copy and the vectors come back in one, on streams of their own; between them the host only launches.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from job.backends.embedding import onednn
from job.backends.embedding.batches import Batch, lay_out, plan
from job.backends.embedding.flag_embedding import load, positions
from job.backends.embedding.lexical_weights import Entries, entries
from job.backends.embedding.models import Model
from job.backends.embedding.tokenizer import Tokenizer, Tokens
from job.data import Floats, Ids, Ints, Vectors
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
    """Vectors on their way from the device: `vectors()` waits for them. `_lexical`: what `lexical()` is made of."""

    _host: Any
    _event: Any = None
    _lexical: tuple[Any, list[Batch], Ints, list[int]] | None = None

    def vectors(self) -> Vectors:
        """float32 or float16 [n, dim].

        Raises:
            BatchError: some are not finite.
        """
        self._wait()
        result: Vectors = self._host.numpy()
        bad = np.flatnonzero(~np.isfinite(result).all(axis=1))
        if len(bad):
            raise BatchError(bad, "the model gave vectors that are not finite; try embed.precision=fp32")
        return result

    def lexical(self) -> Entries:
        """The texts' lexical weights; of an encoder made with `sparse` only."""
        assert self._lexical is not None
        self._wait()
        weights, batches, ids, unused = self._lexical
        return entries(batches, ids, weights.numpy(), unused)

    def _wait(self) -> None:
        if self._event is not None:
            self._event.synchronize()


class FlagEncoder:
    """A transformer encoder loaded by FlagEmbedding.

    `precision` is that of the weights and of the forward pass; the vectors are normalised in float32. A batch
    that does not fit on the GPU is tried again with half the token budget, which is then kept in `budget`.
    `local`: which of this machine's processes this is, so that each takes a GPU of its own. `sparse`: BGE-M3's lexical
    weights too. `extras`: on a CPU, oneDNN's layers in place of torch's.
    """

    def __init__(
        self,
        model: Model,
        device: str,
        precision: str,
        max_length: int,
        token_budget: int | None,
        local: int = 0,
        sparse: bool = False,
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
        if sparse and not model.m3:
            raise BadInput(
                f"embed.sparse = true: '{model.name}' gives no lexical weights (no sparse_linear.pt in "
                f"'{model.folder}'): set embed.model=BAAI/bge-m3, or embed.sparse=false"
            )
        flag = load(model, precision)
        module: Any = flag.model.model if model.m3 else flag.model
        self.dim = int(module.config.hidden_size)
        longest = min(max_length, positions(module.config))
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
        self._lexical_head = flag.model.sparse_linear.to(self._device).eval() if sparse else None
        special = ("cls_token_id", "eos_token_id", "pad_token_id", "unk_token_id")
        self._without_weight = [id for name in special if (id := getattr(flag.tokenizer, name)) is not None]
        if not self._cuda and extras:
            onednn.speed_up(self._module, self.budget)

    def release(self) -> int | None:
        """Give the GPU's memory back, which ends this encoder; the most that tensors held in MB, None on a CPU."""
        if not self._cuda:
            return None
        peak = int(self._torch.cuda.max_memory_allocated(self._device)) // 2**20
        self._module = self._lexical_head = None
        self._torch.cuda.empty_cache()
        return peak

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
                laid_out = lay_out(tokens, batches, self._padding)
                flat = self._to_device(laid_out)
                rows = self._to_device(np.concatenate([batch.rows for batch in batches] or [np.zeros(0, np.int64)]))
                lengths = self._to_device(tokens.lengths)
                kind = {"dtype": torch.float16 if half else torch.float32, "device": self._device}
                out = torch.empty((len(tokens), self.dim), **kind)
                weights = None if self._lexical_head is None else torch.empty(len(laid_out), **kind)
            except torch.OutOfMemoryError:
                raise JobError(
                    f"embed: out of GPU memory for a shard of {len(tokens):,} texts; "
                    "free the GPU, or lower embed.shard_rows"
                ) from None
            row = token = 0
            for batch in batches:
                span, shape = slice(token, token + len(batch) * batch.length), (len(batch), batch.length)
                places = rows[row : row + len(batch)]
                self._run(
                    batch,
                    flat[span].view(shape),
                    places,
                    lengths[places] if batch.padded else None,
                    out,
                    None if weights is None else weights[span].view(shape),
                    done,
                )
                row, token = row + len(batch), span.stop
            if weights is None:
                return Pending(*self._to_host(out))
            host, _ = self._to_host(weights)
            return Pending(*self._to_host(out), (host, batches, laid_out, self._without_weight))

    def _run(
        self,
        batch: Batch,
        ids: Any,
        places: Any,
        lengths: Any,
        out: Any,
        weights: Any,
        done: Callable[[int], None],
    ) -> None:
        """Write a batch's unit vectors into their places in `out`, in as many parts as the budget asks for."""
        torch = self._torch
        start, before = 0, self.budget
        while start < len(batch):
            part = slice(start, start + max(1, self.budget // batch.length))
            fits = True
            try:
                some = None if lengths is None else lengths[part]
                states, mask = self._states(ids[part].long(), some)
                out[places[part]] = self._unit(states, mask, some).to(out.dtype)
                if self._lexical_head is not None:
                    weights[part] = torch.relu(self._lexical_head(states)).squeeze(-1)
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

    def _states(self, ids: Any, lengths: Any) -> tuple[Any, Any]:
        """Last hidden states [m, length, dim] of a batch of ids [m, length], and its mask where some are padded."""
        if lengths is None:
            return self._module(input_ids=ids).last_hidden_state, None
        mask = self._torch.arange(ids.shape[1], device=self._device) < lengths[:, None]
        # with four axes transformers takes it as it is, and asks the device nothing
        return self._module(input_ids=ids, attention_mask=mask[:, None, None, :]).last_hidden_state, mask

    def _unit(self, states: Any, mask: Any, lengths: Any) -> Any:
        """Unit vectors float32 [m, dim]."""
        if self._pooling == "cls":
            pooled = states[:, 0].float()
        elif mask is None:
            pooled = states.float().mean(dim=1)
        else:
            pooled = (states.float() * mask[:, :, None]).sum(dim=1) / lengths[:, None]
        return self._torch.nn.functional.normalize(pooled, dim=-1)

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

    def _to_host(self, out: Any) -> tuple[Any, Any]:
        """A tensor in pinned host memory once the event that comes with it is over."""
        torch = self._torch
        if not self._cuda:
            return out, None
        self._down.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._down):
            host = torch.empty(out.shape, dtype=out.dtype, pin_memory=True)
            host.copy_(out, non_blocking=True)
            out.record_stream(self._down)
            event = torch.cuda.Event()
            event.record(self._down)
        return host, event

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
