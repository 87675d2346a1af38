"""`validate`: all that can be known before a run, checked without doing anything."""

import argparse
from collections.abc import Iterator

from job.commands.command import Command, add_config, load_config


class ValidateCommand(Command):
    name = "validate"
    help = "check the configuration, the input's columns, and what else is known before a run; do nothing"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_config(parser)

    def run(self, arguments: argparse.Namespace) -> Iterator[str]:
        config = load_config(arguments)
        from job.backends.tables import shown
        from job.pipeline import STAGES
        from job.runtime import ownership
        from job.runtime.ranks import resolve_ranks
        from job.runtime.rundir import RunDir
        from job.stages.ingest_columns import find_columns, open_sources

        resolve_ranks(config.ranks.rank, config.ranks.world)
        yield from config.notes
        sources = open_sources(config.input, config.run_dir)
        for source in sources:
            yield f"{shown(source.path)}: {', '.join(source.schema.names)}"
        if sources:
            find_columns(config.input, sources)
        yield f"run_dir: '{config.run_dir}' is {ownership.look(config.run_dir)}"
        holder = RunDir(config.run_dir).holder()
        if holder is not None:
            yield f"run_dir: in use now by {holder}"
        for stage in STAGES:
            said = stage.check_offline(config) if stage.applies(config) else ""
            if said:
                yield f"{stage.name}: {said}"
        yield "not checked: whether Milvus or an LLM answers, torch can use the GPU, and memory suffices: see `doctor`"
        yield "not checked: the rows of the input, the content of the model's weights: `run` reads them"
        yield f"{arguments.config}: valid; run_dir {config.run_dir}"
