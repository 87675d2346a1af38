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


def test_loading_an_encoder_imports_neither_trainers_nor_datasets_and_all_can_be_imported_later(tiny_m3: Path) -> None:
    script = """
import gc, os, sys
from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.models import find_model
encoder = FlagEncoder(find_model("minilm", "auto"), "cpu", "fp32", 64)
before = encoder.encode(["Ferry strike ends"])
heavy = ("peft", "datasets", "pandas", "scipy", "sklearn", "transformers.trainer")
assert [name for name in heavy if name in sys.modules] == []
assert [name for name in sys.modules if name.startswith("FlagEmbedding") or sys.modules[name] is None] == []
assert os.environ["LRU_CACHE_CAPACITY"] == "16" and gc.isenabled()

from FlagEmbedding import BGEM3FlagModel, FlagAutoModel, FlagModel
import FlagEmbedding.inference.embedder.encoder_only.base as base
import scipy.optimize
from transformers import AutoModel, BertModel
from transformers.models.bert import BertConfig
assert base.BaseEmbedder is FlagModel
assert isinstance(encoder._module, BertModel)
m3 = FlagEncoder(find_model(sys.argv[1], "auto"), "cpu", "fp32", 64, sparse=True)
assert m3.encode(["Ferry strike ends"]).shape == (1, 32)
again = FlagEncoder(find_model("minilm", "auto"), "cpu", "fp32", 64)
assert (again.encode(["Ferry strike ends"]) == before).all()
"""
    run(script, tiny_m3)


@pytest.mark.slow
def test_if_the_light_imports_do_not_suffice_everything_is_imported() -> None:
    """With a stand-in for another version of FlagEmbedding, whose class is only in the package itself."""
    script = """
import sys
from job.backends.embedding import flag_embedding
from job.backends.embedding.models import find_model
flag_embedding._base_class = lambda: __import__("FlagEmbedding").FlagModel
flag = flag_embedding.load_flag_model(find_model("minilm", "auto"), "fp32")
assert flag.model.config.hidden_size == 384
assert "peft" in sys.modules
"""
    run(script)
