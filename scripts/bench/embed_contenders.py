"""The encoders that embed.py compares. Each function loads a model and returns its `encode`: texts to vectors."""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

BATCH_SIZES = (32, 64, 128, 256)
MAX_LENGTH = 512
Encode = Callable[[list[str]], np.ndarray]


def ours(folder: str, device: str, precision: str, own_layers: bool = True) -> Encode:
    from job.backends.embedding.encoder import FlagEncoder
    from job.backends.embedding.models import find_model

    return FlagEncoder(find_model(folder, "auto"), device, precision, MAX_LENGTH, own_layers=own_layers).encode


def flagembedding(folder: str, device: str, precision: str) -> Encode:
    from FlagEmbedding import BGEM3FlagModel, FlagAutoModel

    from job.backends.embedding.models import find_model

    model = find_model(folder, "auto")
    settings = {"use_fp16": precision == "fp16", "use_bf16": precision == "bf16", "devices": device}
    if model.m3:
        m3 = BGEM3FlagModel(folder, **settings)
        return with_best_batch(lambda t, size: m3.encode(t, batch_size=size, max_length=MAX_LENGTH)["dense_vecs"])
    flag = FlagAutoModel.from_finetuned(
        folder,
        model_class="encoder-only-base",
        pooling_method=model.pooling,
        query_instruction_format="{}{}",
        **settings,
    )
    return with_best_batch(lambda t, size: flag.encode(t, batch_size=size, max_length=MAX_LENGTH))


def sentence_transformers(folder: str, device: str, precision: str) -> Encode:
    import torch
    from sentence_transformers import SentenceTransformer, models

    from job.backends.embedding.models import find_model

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    word = models.Transformer(folder, max_seq_length=MAX_LENGTH, model_kwargs={"torch_dtype": dtype})
    pooling = models.Pooling(word.get_embedding_dimension(), find_model(folder, "auto").pooling)
    model = SentenceTransformer(modules=[word, pooling, models.Normalize()], device=device)
    return with_best_batch(lambda t, size: model.encode(t, batch_size=size, show_progress_bar=False).astype(np.float32))


def onnx(folder: str, device: str, precision: str) -> Encode:
    """ONNX Runtime on the exported model, with our batches of texts of one length, which suit it best."""
    import onnxruntime
    import torch

    from job.backends.embedding.batches import pack_tokens, plan_batches
    from job.backends.embedding.encoder import FlagEncoder
    from job.backends.embedding.models import find_model

    model = find_model(folder, "auto")
    encoder = FlagEncoder(model, "cpu", "fp32", MAX_LENGTH, own_layers=False)

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = encoder._module

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.inner(input_ids=ids).last_hidden_state

    with tempfile.TemporaryDirectory() as out:
        torch.onnx.export(
            Plain(),
            (torch.zeros(2, 9, dtype=torch.int64),),
            f"{out}/model.onnx",
            input_names=["ids"],
            dynamic_axes={"ids": {0: "m", 1: "length"}},
            dynamo=False,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count() or 1
        session = onnxruntime.InferenceSession(f"{out}/model.onnx", options, providers=["CPUExecutionProvider"])

    def encode(texts: list[str]) -> np.ndarray:
        tokens = encoder.tokenize(texts)
        batches = plan_batches(tokens.lengths, 4_096)
        packed = pack_tokens(tokens, batches, 0)
        vectors = np.empty((len(texts), encoder.dim), np.float32)
        start = 0
        for batch in batches:
            ids = packed[start : start + len(batch) * batch.length].reshape(len(batch), batch.length)
            start += ids.size
            states = session.run(None, {"ids": ids.astype(np.int64)})[0]
            pooled = states[:, 0] if model.pooling == "cls" else states.mean(axis=1)
            vectors[batch.rows] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return vectors

    return encode


def with_best_batch(encode: Callable[[list[str], int], np.ndarray]) -> Encode:
    """`encode` with the batch size that is fastest on the first texts; it is reported on stderr."""
    best: list[int] = []

    def encode_all(texts: list[str]) -> np.ndarray:
        if not best:
            some = texts[:800]
            encode(some[:200], 32)
            seconds = {size: timed(lambda size=size: encode(some, size))[0] for size in BATCH_SIZES}
            best.append(min(seconds, key=seconds.__getitem__))
            print(f"batch size {best[0]}", file=sys.stderr)
        return encode(texts, best[0])

    return encode_all


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


CONTENDERS: dict[str, tuple[Callable[..., Encode], dict[str, Any]]] = {
    "ours fp32": (ours, {"precision": "fp32"}),
    "flagembedding fp32": (flagembedding, {"precision": "fp32"}),
    "sentence-transformers fp32": (sentence_transformers, {"precision": "fp32"}),
    "onnxruntime fp32": (onnx, {"precision": "fp32"}),
    "ours bf16": (ours, {"precision": "bf16"}),
    "sentence-transformers bf16": (sentence_transformers, {"precision": "bf16"}),
    "ours fp16": (ours, {"precision": "fp16"}),
    "flagembedding fp16": (flagembedding, {"precision": "fp16"}),
    "sentence-transformers fp16": (sentence_transformers, {"precision": "fp16"}),
    "ours fp32, torch's layers": (ours, {"precision": "fp32", "own_layers": False}),
    "ours bf16, torch's layers": (ours, {"precision": "bf16", "own_layers": False}),
}
