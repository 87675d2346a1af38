"""Opening the folder of a finished run, for commands that read it."""

import json
from pathlib import Path
from typing import Any

from job.config import resolve
from job.context import Job
from job.pipeline import STAGES
from job.runtime.errors import BadInput
from job.runtime.rundir import RunDir

# what these stages leave is needed only in part: whoever reads it says what is missing
_OPTIONAL = ("embed", "store")


def saved_settings(run: RunDir) -> dict[str, Any]:
    """The settings that the folder's run had, as they stand in a configuration file.

    Raises:
        BadInput: the folder has no readable `config.json`.
    """
    try:
        values = dict(json.loads(run.file("config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise BadInput(f"'{run.path}' is no run folder: it has no config.json; name the run_dir of a run") from None
    # the folder may have been moved; and the file has the recipe's settings already
    values["run_dir"] = str(run.path)
    values.get("cluster", {}).pop("recipe", None)
    return values


def open_finished(run_dir: Path, words: list[str] | None = None, optional: tuple[str, ...] = _OPTIONAL) -> Job:
    """The run in this folder, with `key=value` settings over its own; nothing is written, and no lock is taken.

    `optional`: stages whose files may be gone.

    Raises:
        BadInput: the folder holds no finished run, or a run is changing it.
    """
    run = RunDir(run_dir)
    config = resolve(saved_settings(run), words or [], f"{run_dir}/config.json")
    for stage in STAGES:
        marker = run.marker(stage.name)
        if stage.name in optional or not stage.applies(config):
            continue
        if marker is None or not run.intact(marker):
            holder = run.holder()
            what = f"it is in use by {holder}: wait for that run to end" if holder else "`run` it to the end first"
            raise BadInput(f"'{run_dir}': stage {stage.name} is not done; {what}")
    return Job(config, device=None if any(word.startswith("device=") for word in words or []) else "auto")
