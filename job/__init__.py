"""News headlines in; story clusters with names, and a map to look at, out. Read `pipeline.py` first.

import job

result = job.run(job.load("configs/demo.yaml", "input.path=news.csv", "run_dir=runs/mine"))
result.headlines().to_pandas()

`Result("runs/mine")` opens a finished run again.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from job.config import Config
    from job.result import Result

__version__ = "0.1.0"
__all__ = ["Result", "load", "run"]


def load(path: str | Path, *settings: str) -> "Config":
    """The configuration in a YAML file, with `key=value` settings over it.

    Raises:
        job.runtime.errors.BadInput: all errors at once, one per line.
        TypeError: settings that are no texts.
    """
    from job.config import load

    for word in settings:
        if not isinstance(word, str):
            raise TypeError(f"job.load(path, 'key=value', ...): settings are texts of their own, not a {_type(word)}")
    return load(Path(path), list(settings))


def run(config: "Config", force: bool = False) -> "Result":
    """Run the whole job, as `python -m job run`, also in a notebook or in a thread; returns what it found.

    `force`: also where memory or disk will not suffice, as estimated.

    Warnings go to stderr, unless logging is set up. Of several ranks the first returns when the run is done, the others
    when their share is: there, ask for tables after the launch only.

    In a thread other than the main one, stop signals are not handled: they end the process, and the same call again
    continues the run.

    Raises:
        job.runtime.errors.JobError: see there for what each kind means.
        TypeError: `config` is no configuration.
    """
    from job.config import Config
    from job.pipeline import run
    from job.result import Result
    from job.runtime.log import warnings_to_stderr
    from job.runtime.ranks import resolve_ranks

    if not isinstance(config, Config):
        raise TypeError(f"job.run(config): expected what job.load(path) returns, not a {_type(config)}")
    with warnings_to_stderr():
        run(config, force=force)
    return Result(config.run_dir, finished=resolve_ranks(config.ranks.rank, config.ranks.world).rank == 0)


def _type(value: object) -> str:
    return type(value).__name__


def __getattr__(name: str) -> Any:
    """`Result`, whose import is left to its first use."""
    if name == "Result":
        from job.result import Result

        return Result
    raise AttributeError(f"module 'job' has no attribute '{name}'")
