"""The encoder on a CUDA device: the same vectors as FlagEmbedding, and what happens if memory is short."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import Model, find_model
from job.data import Floats
from job.runtime.errors import JobError

pytestmark = pytest.mark.gpu

LimitMemory = Callable[[int], None]

ODD = ["x", "…", "naïve café — “quotes”", "日本語の見出し", "</s> is only text", "🎈", "UPPER lower 12%"]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """512 texts of all lengths, and odd ones."""
    from gpu_parts.texts import headlines

    titles, descriptions = headlines(512, 250_002)
    return [f"{title}\n{more}" if more else title for title, more in zip(titles, descriptions, strict=True)] + ODD


def encoder(folder: Path, precision: str = "fp32", budget: int | None = None, longest: int = 512) -> FlagEncoder:
    return FlagEncoder(found(folder), "cuda", precision, longest, budget)


def found(folder: Path) -> Model:
    """The model, whose 2 GB are read once for their checksums."""
    return find_model(str(folder), "auto", folder.parent / f"{folder.name}.json")


def flagembedding(folder: Path, texts: list[str], longest: int) -> Floats:
    """FlagEmbedding's own loop in float32 on the same device."""
    from FlagEmbedding import BGEM3FlagModel

    flag = BGEM3FlagModel(str(folder), use_fp16=False, devices="cuda:0")
    found = flag.encode(texts, batch_size=32, max_length=longest)["dense_vecs"]
    flag.model.to("cpu")
    return np.asarray(found, np.float32)


@pytest.fixture
def exact_products() -> Iterator[None]:
    """float32 products are computed in float32: TF32 has 10 bits, which is too inexact for a reference."""
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


def check(ours: Floats, theirs: Floats, least: float, mean: float) -> None:
    """The cosines are at least `least`, on average `mean`, and the norms are 1."""
    norms = np.linalg.norm(ours.astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, 1.0, atol=1e-3)
    theirs = theirs / np.linalg.norm(theirs, axis=1, keepdims=True)
    cosine = (ours.astype(np.float64) * theirs).sum(axis=1) / norms
    assert cosine.min() >= least
    assert cosine.mean() >= mean


@pytest.mark.usefixtures("exact_products")
def test_a_tiny_m3_in_fp32_equals_flagembedding(tiny_m3: Path, texts: list[str]) -> None:
    ours = encoder(tiny_m3, longest=128).encode(texts)
    np.testing.assert_allclose(ours, flagembedding(tiny_m3, texts, 128), atol=1e-5)


@pytest.mark.usefixtures("exact_products")
def test_a_full_size_m3_equals_flagembedding(bge_m3: Path, texts: list[str]) -> None:
    theirs = flagembedding(bge_m3, texts, 512)
    for precision, least, mean in (("fp32", 0.99999, 0.999999), ("fp16", 0.999, 0.9999)):
        check(encoder(bge_m3, precision).encode(texts), theirs, least, mean)


def test_the_fused_layers_give_what_torchs_give(bge_m3: Path, texts: list[str]) -> None:
    """With lexical weights, for which the last layer computes all tokens; the test above is without them."""
    vectors, weights = [], []
    for own_layers in (True, False):
        model = FlagEncoder(found(bge_m3), "cuda", "fp16", 512, sparse=True, own_layers=own_layers)
        assert (model._fused is not None) == own_layers
        pending = model.forward(model.tokenize(texts), False)
        vectors.append(np.asarray(pending.vectors()))
        weights.append(float(pending.lexical()["weight"].sum()))
        model.release()
    check(vectors[0], vectors[1], 0.9995, 0.9999)
    assert weights[0] == pytest.approx(weights[1], rel=0.01)


def test_the_device_gives_what_the_cpu_gives(tiny_m3: Path, texts: list[str]) -> None:
    on_cpu = FlagEncoder(find_model(str(tiny_m3), "auto"), "cpu", "fp32", 128, None).encode(texts)
    check(encoder(tiny_m3, "fp16", longest=128).encode(texts), on_cpu, 0.999, 0.9999)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_text_has_the_same_vector_alone_and_in_any_batch(tiny_m3: Path, texts: list[str], precision: str) -> None:
    model = encoder(tiny_m3, precision, longest=128)
    together = model.encode(texts)
    tolerance = {"fp32": 1e-5, "fp16": 2e-3}[precision]
    for row in (0, 7, 300, len(texts) - 1):
        np.testing.assert_allclose(model.encode([texts[row]])[0], together[row], atol=tolerance)
    np.testing.assert_allclose(model.encode(texts[::-1])[::-1], together, atol=tolerance)
    np.testing.assert_allclose(encoder(tiny_m3, precision, 512, 128).encode(texts), together, atol=tolerance)


def test_half_precision_vectors_are_float16_and_of_unit_length(tiny_m3: Path, texts: list[str]) -> None:
    model = encoder(tiny_m3, "fp16", longest=128)
    found = model.forward(model.tokenize(texts), True).vectors()
    assert found.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(found.astype(np.float64), axis=1), 1.0, atol=1e-3)


def test_release_frees_the_memory_and_returns_its_peak(tiny_m3: Path, texts: list[str]) -> None:
    import torch

    model = encoder(tiny_m3, "fp16", longest=128)
    before = torch.cuda.memory_allocated()
    model.encode(texts)
    peak = model.release()
    assert peak is not None and peak >= before // 2**20
    assert torch.cuda.memory_allocated() < before


def test_no_texts_give_no_vectors(tiny_m3: Path) -> None:
    assert encoder(tiny_m3, "fp16", longest=128).encode([]).shape == (0, 32)


@pytest.fixture
def limit_memory() -> Iterator[LimitMemory]:
    """`limit_memory(bytes)`: torch may allocate so many more bytes on the device than it has now."""
    import torch

    def limit(count: int) -> None:
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + count) / total)

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_out_of_memory_halves_the_budget_and_the_vectors_are_right(
    bge_m3: Path, texts: list[str], limit_memory: LimitMemory
) -> None:
    """The limit is 400 MB: 65,536 tokens need 512 MB for the feed-forward product alone, 16,384 about 130 MB."""
    texts = texts * 40
    model = encoder(bge_m3, "fp16", 65_536)
    expected = model.encode(texts)
    assert model.budget == 65_536
    limit_memory(400 << 20)
    limited = model.encode(texts)
    assert 512 <= model.budget < 65_536
    kept = model.budget
    np.testing.assert_allclose(limited, expected, atol=3e-3)
    np.testing.assert_allclose(model.encode(texts[:2000]), expected[:2000], atol=3e-3)
    assert model.budget == kept, "the lower budget is kept"


def test_if_not_even_the_smallest_batch_fits_the_error_says_what_to_do(
    bge_m3: Path, texts: list[str], limit_memory: LimitMemory
) -> None:
    model = encoder(bge_m3, "fp16")
    limit_memory(2 << 20)
    with pytest.raises(JobError, match=r"out of GPU memory"):
        model.encode(texts * 4)


def test_the_devices_memory_stays_within_what_the_budget_needs(bge_m3: Path, texts: list[str]) -> None:
    import torch

    model = encoder(bge_m3, "fp16", 16_384)
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    model.encode(texts * 20)
    # configs/workstation.yaml promises 3 GB, including the weights (1.1 GB)
    assert torch.cuda.max_memory_allocated() < 3 << 30
    assert torch.cuda.memory_allocated() - held < 64 << 20, "a call keeps no memory"


def test_the_encoder_runs_on_the_device_of_its_process(tiny_m3: Path, texts: list[str]) -> None:
    import torch

    last = torch.cuda.device_count() - 1
    model = FlagEncoder(found(tiny_m3), "cuda", "fp16", 128, local=last)
    assert torch.cuda.current_device() == model._module.device.index == last
    assert np.isfinite(model.encode(texts)).all()
    torch.cuda.set_device(0)
