"""News headlines in; story clusters with names, and a map to look at, out. Read `pipeline.py` first.

import job

job.run(job.load("configs/demo.yaml", "input.path=news.csv", "run_dir=runs/mine"))
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from job.config import Config

__version__ = "0.1.0"
__all__ = ["load", "run"]


def load(path: str | Path, *settings: str) -> "Config":
    """The configuration in a YAML file, with `key=value` settings over it.

    Raises:
        job.runtime.errors.BadInput: all errors at once, one per line.
    """
    from job.config import load

    return load(Path(path), list(settings))


def run(config: "Config") -> Path:
    """Run the whole job, as `python -m job run`; returns the run folder.

    Raises:
        job.runtime.errors.JobError: see there for what each kind means.
    """
    from job.pipeline import run

    run(config)
    return config.run_dir
