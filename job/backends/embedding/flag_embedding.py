"""Loading a model with FlagEmbedding."""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from job.backends.embedding.errors import one_line
from job.backends.embedding.models import Model
from job.backends.torch_import import collector_paused
from job.runtime.errors import BadInput

# the packages around the module of FlagEmbedding's `FlagModel`
_PACKAGES = (
    "FlagEmbedding",
    "FlagEmbedding.inference",
    "FlagEmbedding.inference.embedder",
    "FlagEmbedding.inference.embedder.encoder_only",
)


def max_tokens(config: Any) -> int:
    """The most tokens that a text may have: XLM-R counts positions from the one after the padding's."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    is_roberta = config.model_type in ("roberta", "xlm-roberta", "camembert")
    return positions - (int(config.pad_token_id) + 1 if is_roberta else 0)


def load_flag_model(model: Model, precision: str) -> Any:
    """FlagEmbedding's object for the model, on the CPU. It uses no network: the folder is complete.

    Raises:
        BadInput: the folder does not load.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with collector_paused():
            flag_class = _m3_class() if model.m3 else _flag_model_class()
            from transformers.utils import logging as transformers_logging

            # otherwise imported while the model is loaded, when the collector is on
            importlib.import_module("transformers.modeling_utils")
        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()
        try:
            return flag_class(
                str(model.folder),
                pooling_method=model.pooling,
                trust_remote_code=False,
                use_fp16=precision == "fp16",
                use_bf16=precision == "bf16",
                devices="cpu",
            )
        except Exception as error:  # the type depends on where the checkpoint is damaged
            raise BadInput(
                f"embed.model = '{model.name}': '{model.folder}' does not load ({one_line(error)}); get the model again"
            ) from None


def _m3_class() -> Any:
    # it is defined together with its trainer, so there is no lighter way
    from FlagEmbedding import BGEM3FlagModel

    return BGEM3FlagModel


def _flag_model_class() -> Any:
    """`FlagEmbedding.FlagModel`, the class for encoders with one vector per text."""
    if "FlagEmbedding" not in sys.modules:
        try:
            with _without_init():
                return importlib.import_module(f"{_PACKAGES[-1]}.base").BaseEmbedder
        except (ImportError, AttributeError):
            pass  # this version of FlagEmbedding has its modules elsewhere
    from FlagEmbedding import FlagModel

    return FlagModel


@contextmanager
def _without_init() -> Iterator[None]:
    """Within this block modules of `_PACKAGES` can be imported without running the packages' `__init__`.

    Those import peft, the trainers and datasets, a fifth of the job's time to the first vector, and loading an encoder
    uses none of it. After the block nothing of FlagEmbedding is registered, so that a later import gets all of it.
    """
    try:
        for name in _PACKAGES:
            spec = importlib.util.find_spec(name)
            if spec is None:
                raise ModuleNotFoundError(f"No module named '{name}'", name=name)
            sys.modules[name] = importlib.util.module_from_spec(spec)
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "FlagEmbedding"]:
            del sys.modules[name]
