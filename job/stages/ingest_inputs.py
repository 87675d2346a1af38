"""Whether the input files are still what they were."""

from pathlib import Path
from typing import Any

from job.backends.tables import find_files, reading
from job.backends.tables.added import named_by_folders
from job.backends.tables.source import file_state
from job.config import Input
from job.runtime.files import digest, digest_file


def input_digest(config: Input, run_dir: Path | None = None) -> str:
    """Digest of the input's content: the files' names and bytes, and the columns that folders name.

    Raises:
        BadInput: as `find_files`.
    """
    parts: list[list[Any]] = []
    for path, root in find_files(config.paths, run_dir, log=False).items():
        with reading(path):
            parts.append([str(path), digest_file(path), named_by_folders(path, root)])
    return digest(parts)


def input_state(config: Input, run_dir: Path | None = None) -> str:
    """Digest of the files' names, sizes and times of change, which is quick.

    Raises:
        BadInput: as `find_files`.
    """
    return digest([[str(path), *file_state(path)] for path in find_files(config.paths, run_dir, log=False)])
