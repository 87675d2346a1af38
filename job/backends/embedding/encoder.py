"""Texts to unit vectors: FlagEmbedding loads the model and defines the vectors, the loop is ours.

FlagEmbedding's loop pads every batch to its longest text and masks the padding, and none of its steps overlap. Here
the texts of a shard are grouped by their exact length in tokens, under a budget of tokens per batch: no padding, so no
mask, and the same vectors (up to 1.9e-7, measured on a float32 checkpoint). The tokens go to the device in one copy and
the vectors come back in one, on separate streams; in between the host only launches kernels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from job.backends.embedding import fused, onednn
from job.backends.embedding.batches import Batch, pack_tokens, plan_batches
from job.backends.embedding.device_copies import DeviceCopies
from job.backends.embedding.errors import BatchError, one_line, some_rows
from job.backends.embedding.flag_embedding import load_flag_model, max_tokens
from job.backends.embedding.models import Model, check_sparse
from job.backends.embedding.pending import Pending, TokenWeights
from job.backends.embedding.precision import check_precision
from job.backends.embedding.tokenizer import Tokenizer, Tokens
from job.backends.gpu import select_gpu
from job.backends.torch_import import import_torch
from job.data import Floats, Ints
from job.runtime.errors import BadInput, JobError
from job.runtime.log import logger
from job.runtime.memory import give_back

__all__ = ["BatchError", "Encoder", "FlagEncoder", "Pending", "some_rows"]

_DEFAULT_BUDGET = {"cuda": 16_384, "cpu": 4_096}
# a forward pass of fewer tokens takes no less time: to launch its 200 kernels takes 1 to 2 ms, as these tokens do
_FLOOR = {"cuda": 2_048, "cpu": 0}
_LOWEST_BUDGET = 512


class Encoder(Protocol):
    """What the embed stage needs of a model."""

    dim: int
    budget: int

    def tokenize(self, texts: Sequence[str]) -> Tokens: ...

    def forward(self, tokens: Tokens, half: bool, done: Callable[[int], None]) -> Pending:
        """Start computing the unit vectors of all texts; `done(m)` is called after m more are launched."""
        ...


@dataclass(frozen=True)
class _Shard:
    """A shard's tensors on the device.

    Input: `ids` [total], packed batch after batch; `rows` [n] in the same order; `lengths` [n] in tokens, by row.
    Output: `vectors` [n, dim] by row; `weights` [total], one per packed token, or None.
    """

    ids: Any
    rows: Any
    lengths: Any
    vectors: Any
    weights: Any


class FlagEncoder:
    """A transformer encoder loaded by FlagEmbedding.

    `precision`: of the weights and the forward pass; the vectors are normalized in float32. `token_budget`: tokens per
    batch; a batch that does not fit into the GPU's memory is tried again with half of it, which is then kept in
    `budget`. `local`: the number of this process on this machine, so that each process uses another GPU. `sparse`:
    also compute BGE-M3's lexical weights. `own_layers`: instead of torch's, oneDNN's on a CPU and fused ones on a GPU.

    Raises:
        BadInput: this machine cannot run it, or the model cannot be loaded or has no lexical weights.
    """

    def __init__(
        self,
        model: Model,
        device: str,
        precision: str,
        max_length: int,
        token_budget: int | None = None,
        local: int = 0,
        sparse: bool = False,
        own_layers: bool = True,
    ) -> None:
        torch = self._torch = import_torch()
        self._cuda = device == "cuda"
        if self._cuda and not torch.cuda.is_available():
            raise BadInput(
                "device = 'cuda': torch sees no CUDA device; check the driver and torch's build, or set device=cpu"
            )
        if sparse:
            check_sparse(model)
        check_precision(precision, device)
        self._pooling = model.pooling
        self._floor = _FLOOR[device]
        self.budget = token_budget or _DEFAULT_BUDGET[device]
        flag = load_flag_model(model, precision)
        module: Any = flag.model.model if model.m3 else flag.model
        self.dim = int(module.config.hidden_size)
        longest = min(max_length, max_tokens(module.config))
        if longest < max_length:
            logger.info("embed: %s reads at most %d tokens per text", model.name, longest)
        self.tokenize = Tokenizer(flag.tokenizer, longest)
        self._padding = int(flag.tokenizer.pad_token_id or 0)
        special = ("cls_token_id", "eos_token_id", "pad_token_id", "unk_token_id")
        self._without_weight = [id for name in special if (id := getattr(flag.tokenizer, name)) is not None]
        if self._cuda:
            select_gpu(local)
        self._device = torch.device("cuda", torch.cuda.current_device()) if self._cuda else torch.device("cpu")
        self._copies = DeviceCopies(self._device)
        self._module = module.to(self._device).eval()
        self._lexical_head: Any = flag.model.sparse_linear.to(self._device).eval() if sparse else None
        self._fused: fused.FusedEncoder | None = None
        if own_layers and not self._cuda:
            onednn.use_onednn(self._module, self.budget)
        elif own_layers and fused.is_supported(self._module):
            problem = fused.why_unusable(self._module)
            if problem is None:
                self._fused = fused.FusedEncoder(self._module, self._pooling == "cls" and not sparse)
            else:
                logger.warning("embed: computes by torch's layers, which are slower: %s", problem)
        # an error that an import caught may hold this call's variables, and `collector_paused` keeps it for ever
        del flag, module

    def release(self) -> int | None:
        """Free the model's memory; the encoder cannot be used afterwards.

        Returns the peak of what torch's tensors held on the GPU in MB, None on a CPU.
        """
        self._module = self._lexical_head = self._fused = None
        # the layers refer to each other
        give_back()
        if not self._cuda:
            return None
        peak = int(self._torch.cuda.max_memory_allocated(self._device)) // 2**20
        self._torch.cuda.empty_cache()
        return peak

    def encode(self, texts: Sequence[str], done: Callable[[int], None] = lambda _: None) -> Floats:
        """Unit vectors float32 [n, dim] of a list of texts."""
        return np.asarray(self.forward(self.tokenize(texts), False, done).vectors(), np.float32)

    def forward(self, tokens: Tokens, half: bool, done: Callable[[int], None] = lambda _: None) -> Pending:
        """Launch the forward passes of all texts. `half`: the vectors are returned as float16.

        Raises:
            BatchError: a forward pass failed, for another reason than memory.
            JobError: not even the smallest batch fits into the GPU's memory.
        """
        batches = plan_batches(tokens.lengths, self.budget, self._floor)
        packed = pack_tokens(tokens, batches, self._padding)
        with self._torch.inference_mode(), fused.attention_kernels():
            shard = self._copy_to_device(tokens, batches, packed, half)
            row = token = 0
            for batch in batches:
                self._run(batch, shard, row, token, done)
                row, token = row + len(batch), token + len(batch) * batch.length
            if shard.weights is None:
                return Pending(*self._copies.to_host(shard.vectors))
            # the copies come one after the other, so the event of the second is enough
            weights, _ = self._copies.to_host(shard.weights)
            token_weights = TokenWeights(weights, batches, packed, self._without_weight)
            return Pending(*self._copies.to_host(shard.vectors), token_weights)

    def _copy_to_device(self, tokens: Tokens, batches: list[Batch], packed: Ints, half: bool) -> _Shard:
        torch = self._torch
        to_device = self._copies.to_device
        output = {"dtype": torch.float16 if half else torch.float32, "device": self._device}
        try:
            return _Shard(
                to_device(packed),
                to_device(np.concatenate([batch.rows for batch in batches] or [np.zeros(0, np.int64)])),
                to_device(tokens.lengths),
                torch.empty((len(tokens), self.dim), **output),
                None if self._lexical_head is None else torch.empty(len(packed), **output),
            )
        except torch.OutOfMemoryError:
            raise JobError(
                f"embed: out of GPU memory for a shard of {len(tokens):,} texts; "
                "free the GPU, or lower embed.shard_rows"
            ) from None

    def _run(self, batch: Batch, shard: _Shard, row: int, token: int, done: Callable[[int], None]) -> None:
        """Compute a batch's output, in as many forward passes as the budget requires.

        `row`, `token`: where the batch starts in `shard.rows` and `shard.ids`.
        """
        torch = self._torch
        shape, tokens = (len(batch), batch.length), slice(token, token + len(batch) * batch.length)
        ids, rows = shard.ids[tokens].view(shape), shard.rows[row : row + len(batch)]
        lengths = shard.lengths[rows] if batch.padded else None
        weights = None if shard.weights is None else shard.weights[tokens].view(shape)
        start, budget_before = 0, self.budget
        while start < len(batch):
            texts = slice(start, start + max(1, self.budget // batch.length))
            fits = True
            try:
                some_lengths = None if lengths is None else lengths[texts]
                states, mask = self._states(ids[texts].long(), some_lengths)
                shard.vectors[rows[texts]] = self._unit_vectors(states, mask, some_lengths).to(shard.vectors.dtype)
                if weights is not None:
                    weights[texts] = torch.relu(self._lexical_head(states)).squeeze(-1)
            except torch.OutOfMemoryError:
                fits = False  # retried outside of this block: until it ends, the error keeps the tensors in memory
            except Exception as error:
                why = f"a forward pass at {batch.length} tokens failed: {one_line(error, 300)}"
                raise BatchError(batch.rows[texts], why) from error
            if fits:
                done(len(batch.rows[texts]))
                start = texts.stop
            else:
                self._halve_budget(batch.length)
        if self.budget < budget_before:
            logger.warning(
                "embed: out of GPU memory with %d tokens per batch: going on with embed.token_budget=%d",
                budget_before,
                self.budget,
            )

    def _states(self, ids: Any, lengths: Any) -> tuple[Any, Any]:
        """Last hidden states [m, length, dim] of ids [m, length], and the mask if some texts are padded.

        With fused layers only the first token's [m, 1, dim], if these are the vectors.
        """
        mask = None
        if lengths is not None:
            mask = self._torch.arange(ids.shape[1], device=self._device) < lengths[:, None]
        if self._fused is not None:
            return self._fused(ids, None if mask is None else mask[:, None, None, :]), mask
        # some architectures have windows, or add the mask: each makes its own of one with two axes
        masks = {} if mask is None else {"attention_mask": mask}
        return self._module(input_ids=ids, **masks).last_hidden_state, mask

    def _unit_vectors(self, states: Any, mask: Any, lengths: Any) -> Any:
        """Unit vectors float32 [m, dim]."""
        if self._pooling == "cls":
            pooled = states[:, 0].float()
        elif mask is None:
            pooled = states.float().mean(dim=1)
        else:
            pooled = (states.float() * mask[:, :, None]).sum(dim=1) / lengths[:, None]
        return self._torch.nn.functional.normalize(pooled, dim=-1)

    def _halve_budget(self, length: int) -> None:
        if self.budget <= max(_LOWEST_BUDGET, length):
            raise JobError(
                f"embed: out of GPU memory with a batch of {self.budget} tokens; "
                "free the GPU, or lower embed.max_length"
            )
        self.budget //= 2
        if self._cuda:
            self._torch.cuda.empty_cache()
