"""A checkpoint with BGE-M3's architecture and random weights, and a Unigram tokenizer with its vocabulary size."""

import json
from pathlib import Path
from typing import Any

from gpu_parts.texts import pieces

# hidden size, layers, heads, feed-forward size, positions, vocabulary
SHAPES = {"bge-m3": (1024, 24, 16, 4096, 8194, 250_002), "tiny": (32, 2, 4, 64, 130, 4_000)}


def tokenizer(shape: str) -> Any:
    """A Unigram tokenizer of the `tokenizers` library, with the vocabulary size of the shape."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = SHAPES[shape][-1]
    # like trained scores: earlier pieces are likelier, and one piece is likelier than two
    scores = [
        (name, 0.0 if i < 4 else -12.0 if len(name) == 1 else -8.0 - 4.0 * i / vocabulary)
        for i, name in enumerate(pieces(vocabulary))
    ]
    result = Tokenizer(models.Unigram(scores, unk_id=3))
    result.normalizer = normalizers.NFKC()
    result.pre_tokenizer = pre_tokenizers.Metaspace()
    result.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return result


def checkpoint(folder: Path, shape: str) -> Path:
    """Write the checkpoint into `folder`, unless it is complete there: the file `whole` is written last."""
    if (folder / "config.json").is_file() and (folder / "whole").is_file():
        return folder
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaModel

    hidden, layers, heads, inner, positions, vocabulary = SHAPES[shape]
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer(shape).save(str(folder / "tokenizer.json"), pretty=False)
    special = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": positions - 2, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    XLMRobertaModel(config).save_pretrained(folder)
    torch.save(torch.nn.Linear(hidden, hidden).state_dict(), folder / "colbert_linear.pt")
    torch.save(torch.nn.Linear(hidden, 1).state_dict(), folder / "sparse_linear.pt")
    (folder / "whole").touch()
    return folder
