"""How large a model is, from its folder."""

from pathlib import Path

from job.backends.embedding.models import find_model
from job.backends.embedding.shape import BGE_M3, ModelShape, shape_of


def test_minilm_has_384_dimensions_and_22_million_weights() -> None:
    assert shape_of(find_model("minilm", "auto").folder) == ModelShape(384, 22_713_728)


def test_what_cannot_be_read_is_taken_from_bge_m3(tmp_path: Path) -> None:
    assert shape_of(tmp_path) == BGE_M3
    for content in (b"", b"x" * 50, b"\xff" * 8 + b"{}"):
        (tmp_path / "model.safetensors").write_bytes(content)
        (tmp_path / "config.json").write_bytes(content)
        assert shape_of(tmp_path) == BGE_M3


def test_a_pickled_checkpoint_is_taken_as_float32(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(4_000))
    assert shape_of(tmp_path) == ModelShape(8, 1_000)
