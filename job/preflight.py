"""Before an hour is spent: what can be known to go wrong, and what differs from the last run in the folder."""

import json
from typing import Any

from job.backends.milvus import is_lite
from job.backends.milvus.index_choice import require
from job.backends.milvus.index_kinds import complaint
from job.config import SPARE_HITS, Config
from job.context import Job
from job.runtime.errors import BadInput
from job.runtime.log import logger
from job.runtime.rundir import write_json


def fail_early(job: Job) -> None:
    """See that the model and the server are there before an hour is spent on what comes before them."""
    check(job.config)
    if job.run.marker("embed") is None and job.config.input.paths:
        _ = job.model
    if job.ranks.rank:
        return
    store = job.config.store
    if store.bulk_uri is not None and store.write == "bulk" and job.run.marker("store") is None:
        from job.backends.milvus.bulk_files import open_place

        open_place(store.bulk_uri, store.bulk_endpoint)
    if job.living:
        job.milvus.adopt(writes=bool(job.config.input.paths))
    if job.run.marker("neighbors") is None and not is_lite(job.config.store_uri):
        milvus = job.milvus
        if store.index != "auto" and job.run.marker("store") is None:
            require(milvus.connection, store.index, store.metric, job.config.graph_k + SPARE_HITS)


def check(config: Config) -> None:
    """See that what is known of Milvus's limits allows this configuration, without asking a server.

    Raises:
        BadInput: it does not.
    """
    uri, store = config.store_uri, config.store
    if config.neighbors.backend == "milvus" and store.index != "auto":
        why = complaint(store.index, store.metric, config.graph_k + SPARE_HITS, is_lite(uri), "zillizcloud" in uri)
        if why is not None:
            raise BadInput(why)


def note_config(job: Job) -> None:
    """Save the resolved configuration, and say which settings differ from the last run's in this folder."""
    file = job.run.file("config.json")
    now = job.config.public()
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = now
    changed = [
        f"{path}: {old!r} -> {new!r}" for path, new in _flat(now).items() if (old := _flat(before).get(path)) != new
    ]
    if changed:
        logger.info("run: changed since the last run here: %s", "; ".join(changed))
    write_json(file, now)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
