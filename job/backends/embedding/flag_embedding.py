"""Loading a model with FlagEmbedding, without importing most of it."""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from job.backends.embedding.errors import one_line
from job.backends.embedding.models import Model
from job.backends.embedding.own_code import own_code, weights_only, why_refused
from job.backends.torch_import import collector_paused
from job.runtime.errors import BadInput
from job.runtime.log import logger

# packages whose `__init__` loads what an encoder does not use: FlagEmbedding's import peft, the trainers and datasets,
# that of transformers.models reads the 1,600 files below it
_HEAVY_INITS = (
    "FlagEmbedding",
    "FlagEmbedding.inference",
    "FlagEmbedding.inference.embedder",
    "FlagEmbedding.inference.embedder.encoder_only",
    "FlagEmbedding.finetune.embedder",
    "transformers.models",
)
# BGE-M3's class is defined beside its trainer, upon the classes of this package. An encoder needs two of them; the
# others import datasets and transformers' trainer
_TRAINING = "FlagEmbedding.abc.finetune.embedder"
# transformers imports it, if it is installed, for one loss function
_OPTIONAL = "scipy"


def max_tokens(config: Any) -> int:
    """The most tokens that a text may have: XLM-R counts positions from the one after the padding's."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    is_roberta = config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet")
    return positions - (int(config.pad_token_id) + 1 if is_roberta else 0)


def load_flag_model(model: Model, precision: str) -> Any:
    """FlagEmbedding's object for the model, on the CPU. It uses no network: the folder is complete. No code of the
    folder is run.

    Raises:
        BadInput: the folder does not load, or not without code of its own.
    """
    named = own_code(model.folder)
    if named:
        logger.warning(
            "embed: %s: %s: code of its own, which is not run; the vectors are those of the stock architecture",
            model.name,
            "; ".join(named),
        )
    with weights_only(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # other versions of the libraries may need everything; an error of the model itself occurs again below
        with suppress(Exception), _light_imports():
            return _load(model, precision)
        try:
            return _load(model, precision)
        except BadInput:
            raise
        except Exception as error:  # the type depends on where the checkpoint is damaged
            why = why_refused(model.folder, error)
            why = why or f"'{model.folder}' does not load ({one_line(error)}); get the model again"
            raise BadInput(f"embed.model = '{model.name}': {why}") from None


def _load(model: Model, precision: str) -> Any:
    with collector_paused():
        # otherwise imported when the model is made, after the pause
        importlib.import_module("transformers.modeling_utils")
        from transformers.utils import logging as transformers_logging

        flag_class = _m3_class() if model.m3 else _base_class()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    # no name for the model: errors that transformers keeps hold these frames
    with _all_weights(model):
        return flag_class(
            str(model.folder),
            pooling_method=model.pooling,
            trust_remote_code=False,
            use_fp16=precision == "fp16",
            use_bf16=precision == "bf16",
            devices="cpu",
        )


@contextmanager
def _all_weights(model: Model) -> Iterator[None]:
    """Within this block, a model whose folder lacks weights is `BadInput`: transformers would take random ones."""
    from transformers import AutoModel

    load = AutoModel.from_pretrained

    def checked(found: tuple[Any, dict[str, Any]]) -> Any:
        names = [*found[1]["missing_keys"], *(key[0] for key in found[1]["mismatched_keys"])]
        # no vector comes out of the pooler
        lacking = sorted(name for name in names if "pooler." not in name)
        if lacking:
            raise BadInput(
                f"embed.model = '{model.name}': '{model.folder}' lacks {len(lacking)} weights of its architecture, "
                f"such as '{lacking[0]}': get the model again, or name one that needs no code of its own"
            )
        return found[0]

    AutoModel.from_pretrained = lambda *arguments, **settings: checked(
        load(*arguments, output_loading_info=True, **settings)
    )
    try:
        yield
    finally:
        del AutoModel.from_pretrained


def _m3_class() -> Any:
    # FlagEmbedding exports it as BGEM3FlagModel
    from FlagEmbedding.inference.embedder.encoder_only.m3 import M3Embedder

    return M3Embedder


def _base_class() -> Any:
    # FlagEmbedding exports it as FlagModel
    from FlagEmbedding.inference.embedder.encoder_only.base import BaseEmbedder

    return BaseEmbedder


@contextmanager
def _light_imports() -> Iterator[None]:
    """Within this block the packages of `_HEAVY_INITS` and `_TRAINING` are imported without running their `__init__`.

    MiniLM's first vector is there after 3.4 seconds instead of 4.8; on a slower machine BGE-M3's classes take 6.0
    seconds and 355 MB instead of 8.2 and 496. No other thread may import these packages meanwhile. Afterwards these
    packages are forgotten, so that a later import runs their `__init__`; so are all of FlagEmbedding's modules, which
    would be missing as attributes of the package.
    """
    replaced = []
    try:
        if _OPTIONAL not in sys.modules and "transformers" not in sys.modules:
            sys.modules[_OPTIONAL] = None  # type: ignore[assignment]  # to Python this means: not installed
            replaced.append(_OPTIONAL)
        for name in (*_HEAVY_INITS, _TRAINING):
            if name not in sys.modules:
                with collector_paused():
                    spec = importlib.util.find_spec(name)
                if spec is None:
                    raise ModuleNotFoundError(f"No module named '{name}'", name=name)
                sys.modules[name] = importlib.util.module_from_spec(spec)
                replaced.append(name)
        if _TRAINING in replaced:
            sys.modules[_TRAINING].__getattr__ = _class_for_inference  # type: ignore[method-assign]
        yield
    finally:
        if "FlagEmbedding" in replaced:
            replaced += [name for name in sys.modules if name.startswith("FlagEmbedding.") and name not in replaced]
        for name in replaced:
            sys.modules.pop(name, None)


def _class_for_inference(name: str) -> Any:
    """What `_TRAINING` exports by this name: the class of the model and that of its output; for a class that only
    training uses, an empty one, so that others can be derived from it."""
    if name.startswith("_"):
        raise AttributeError(name)
    if name in ("AbsEmbedderModel", "EmbedderOutput"):
        return getattr(importlib.import_module(f"{_TRAINING}.AbsModeling"), name)
    return type(name, (), {})
