"""Many granularities from one tree: cut a finished run's single linkage tree anew, without redoing the graph."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from job.config import Config, resolve
from job.context import Job
from job.pipeline import STAGES, carry_out, record
from job.preflight import note_config
from job.runtime import log, signals
from job.runtime.errors import BadInput
from job.runtime.measure import Meter
from job.runtime.rundir import RunDir
from job.stages.cluster import CUT_KEYS, cut_as, load_linkage
from job.steps import tree_key

_BEFORE = ("ingest", "embed", "neighbors", "project")
_AFTER = ("cluster", "describe", "report")


def recut(run_dir: Path, words: list[str]) -> Iterator[str]:
    """Cut with `key=value` settings of `cluster`, and write the answer again; or, where one of them has several
    values (`min_cluster_size=5,10,20`), write nothing and say what each would give. Yields lines to print.

    Raises:
        BadInput: the folder holds no finished run, or a setting is none that cuts.
    """
    run = RunDir(run_dir)
    try:
        values = dict(json.loads(run.file("config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise BadInput(f"'{run_dir}' is no run folder: it has no config.json; name the run_dir of a run") from None
    # the folder may have been moved, and the recipe's settings stand in the file already
    values["run_dir"] = str(run_dir)
    values.get("cluster", {}).pop("recipe", None)
    for stage in _BEFORE:
        marker = run.marker(stage)
        if marker is None or not run.intact(marker):
            raise BadInput(f"'{run_dir}': stage {stage} is not done, there is nothing to cut yet: `run` first")
    choices = [_choices(word) for word in words]
    several = [choice for choice in choices if len(choice) > 1]
    if len(several) > 1:
        raise BadInput(f"'{words}': give several values to one setting only")
    fixed = [choice[0] for choice in choices if len(choice) == 1]
    if several:
        yield from _compare([(word, _config(values, [*fixed, word], run_dir)) for word in several[0]])
    else:
        _write(_config(values, fixed, run_dir))


def _choices(word: str) -> list[str]:
    key, equals, text = word.partition("=")
    key = key.strip().removeprefix("cluster.")
    if not equals or key not in CUT_KEYS:
        raise BadInput(f"'{word}': recut takes {', '.join(CUT_KEYS)}; for other settings use `run`")
    return [f"cluster.{key}={value}" for value in text.split(",")]


def _config(values: dict[str, Any], words: list[str], run_dir: Path) -> Config:
    return resolve(json.loads(json.dumps(values)), words, f"{run_dir}/config.json")


def _compare(configs: list[tuple[str, Config]]) -> Iterator[str]:
    job = Job(configs[0][1], device="auto")
    tree = load_linkage(job.run, tree_key(job))
    if tree is None:
        raise BadInput(f"'{job.run.path}' keeps no tree (cuML gives none): give one value, and it is clustered anew")
    yield f"{'':<40} {'clusters':>9} {'noise':>7} {'largest':>9}"
    for word, config in configs:
        labels = cut_as(config.cluster, tree).labels
        sizes = np.bincount(labels[labels >= 0])
        noise = float((labels < 0).mean())
        yield f"{word:<40} {len(sizes):>9,} {noise:>7.1%} {int(sizes.max(initial=0)):>9,}"


def _write(config: Config) -> None:
    meter, job = Meter(), Job(config, device="auto")
    with job.run.locked(), log.to_file(job.run.file("job.log")), signals.stop_signals():
        done: list[str] = []
        note_config(job)
        try:
            for stage in STAGES:
                if stage.name in _AFTER:
                    carry_out(stage, job, done)
        finally:
            job.close()
            record(job, done, meter)
