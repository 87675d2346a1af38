"""Logging: short lines to stderr for people, dated lines to `job.log` for later."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger("job")

_LIBRARIES = (
    "pymilvus",
    "pymilvus.milvus_client",
    "milvus_lite",
    "FlagEmbedding",
    "transformers",
    "numba",
    "httpx",
    "huggingface_hub",
    "faiss",
)

# `extra` of a message that the command line itself prints to stderr in another form
FILE_ONLY = {"file_only": True}


def to_stderr() -> None:
    """Send the job's log to stderr, except messages marked `FILE_ONLY`; libraries log only critical messages."""
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: not getattr(record, "file_only", False))
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.handlers[:] = [handler]
    quiet_libraries()


def quiet_libraries() -> None:
    """Let libraries log only critical messages: pymilvus logs a traceback for every failed call, and we handle those.

    Call this again after importing pymilvus, which sets its own log levels.
    """
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def to_file(path: Path) -> Iterator[None]:
    """Within this block, also append the job's log to `path`."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
