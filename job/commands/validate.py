"""`validate`: the configuration and the input's columns, checked without doing anything."""

import argparse
from collections.abc import Iterator

from job.commands.command import Command, add_config, load_config


class ValidateCommand(Command):
    name = "validate"
    help = "check a configuration and its input's columns, and do nothing"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_config(parser)

    def run(self, arguments: argparse.Namespace) -> Iterator[str]:
        config = load_config(arguments)
        from job.backends.tables import shown
        from job.stages.ingest import open_sources
        from job.stages.store import check_index

        check_index(config)
        yield from config.notes
        for source in open_sources(config.input, config.run_dir):
            yield f"{shown(source.path)}: {', '.join(source.schema.names)}"
        yield f"{arguments.config}: valid; run_dir {config.run_dir}"
