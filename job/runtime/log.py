"""Logging: a short line to stderr for people, a dated one to `job.log` for later."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger("job")

_NOISY = (
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


# for what the command line says in its own words
FILE_ONLY = {"file_only": True}


def to_stderr() -> None:
    """Send the job's log to stderr, but for what is marked `FILE_ONLY`; libraries speak only when they fail."""
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: not getattr(record, "file_only", False))
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.handlers[:] = [handler]
    quiet_libraries()


def quiet_libraries() -> None:
    """Let libraries log what is critical alone: pymilvus prints a traceback for every failed call, which we handle.

    To be called again after importing pymilvus, which sets its own levels.
    """
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def to_file(path: Path) -> Iterator[None]:
    """Within this block, append the job's log to `path` too."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
