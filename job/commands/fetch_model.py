"""`fetch-model`: a model's files from the Hugging Face hub, for a machine without a network."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from job.commands.command import Command


class FetchModelCommand(Command):
    name = "fetch-model"
    help = "download a model's needed files from the Hugging Face hub into a folder"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("id", help="such as BAAI/bge-m3")
        parser.add_argument("dir", type=Path)

    def run(self, arguments: argparse.Namespace) -> Iterator[str]:
        from job.backends.embedding.hub import fetch
        from job.backends.embedding.models import find_model

        folder = arguments.dir.expanduser()
        for name in fetch(arguments.id, folder):
            yield f"{(folder / name).stat().st_size:>15,}  {name}"
        model = find_model(str(folder), "auto")
        heads = ", BGE-M3 heads" if model.m3 else ""
        yield f"{arguments.id}: {model.pooling} pooling{heads}; set embed.model={folder}"
