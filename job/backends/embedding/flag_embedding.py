"""Loading a model with FlagEmbedding."""

import warnings
from typing import Any

from job.backends.embedding.models import Model
from job.runtime.errors import BadInput


def positions(config: Any) -> int:
    """The most tokens a text may have: XLM-R's position numbers start behind the padding's."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    roberta = config.model_type in ("roberta", "xlm-roberta", "camembert")
    return positions - (int(config.pad_token_id) + 1 if roberta else 0)


def load(model: Model, precision: str) -> Any:
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
