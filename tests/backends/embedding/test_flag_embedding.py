"""Loading a model imports little, and leaves the libraries whole."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, clean_environment


def run(script: str, *arguments: object) -> None:
    """Run it in a new process, where nothing is imported yet."""
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_loading_encoders_imports_neither_trainers_nor_datasets_and_all_can_be_imported_later(tiny_m3: Path) -> None:
    script = """
import gc, os, sys
from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
def encoders():
    return [FlagEncoder(find_model(model, "auto"), "cpu", "fp32", 64, sparse=model != "minilm") for model in models]
models = (sys.argv[1], "minilm")
m3, minilm = encoders()
before = [one.encode(["Ferry strike ends"]) for one in (m3, minilm)]
assert [vectors.shape for vectors in before] == [(1, 32), (1, 384)]
heavy = ("peft", "datasets", "pandas", "scipy", "sklearn", "transformers.trainer")
assert [name for name in heavy if name in sys.modules] == []
assert [name for name in sys.modules if name.startswith("FlagEmbedding") or sys.modules[name] is None] == []
assert os.environ["LRU_CACHE_CAPACITY"] == "16" and gc.isenabled()

from FlagEmbedding import BGEM3FlagModel, FlagAutoModel, FlagModel
import FlagEmbedding.abc.finetune.embedder as training
import FlagEmbedding.inference.embedder.encoder_only.base as base
import scipy.optimize
from transformers import AutoModel, BertModel, Trainer
from transformers.models.bert import BertConfig
assert base.BaseEmbedder is FlagModel
assert issubclass(training.AbsEmbedderTrainer, Trainer) and not hasattr(training, "AbsOther")
assert isinstance(minilm._module, BertModel)
assert all((a.encode(["Ferry strike ends"]) == b).all() for a, b in zip(encoders(), before))
"""
    run(script, tiny_m3)


@pytest.mark.slow
@pytest.mark.parametrize(("m3", "width"), [(False, 384), (True, 32)])
def test_if_the_light_imports_do_not_suffice_everything_is_imported(tiny_m3: Path, m3: bool, width: int) -> None:
    """With a stand-in for another version of FlagEmbedding, whose classes are only in the package itself."""
    script = """
import sys
from job.backends.embedding import flag_embedding
from job.backends.embedding.models import find_model
flag_embedding._base_class = lambda: __import__("FlagEmbedding").FlagModel
flag_embedding._m3_class = lambda: __import__("FlagEmbedding").BGEM3FlagModel
module = flag_embedding.load_flag_model(find_model(sys.argv[1], "auto"), "fp32").model
assert getattr(module, "model", module).config.hidden_size == int(sys.argv[2])
assert "peft" in sys.modules
"""
    run(script, tiny_m3 if m3 else "minilm", width)
