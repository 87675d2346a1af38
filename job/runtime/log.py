"""Logging: short lines to stderr for people, dated lines to `job.log` for later."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

# what a terminal acts on instead of showing it, and what turns the direction of the text around it
_ACTS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

# `extra` of a message that the command line itself prints to stderr in another form
FILE_ONLY = {"file_only": True}


def printable(text: str) -> str:
    """The text with escapes, such as \\x1b, in place of characters that a terminal acts on, but tabs and line ends."""
    return _ACTS.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class _ForPeople(_Printable):
    """Names the level from WARNING on."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        level = f"{record.levelname} " if record.levelno >= logging.WARNING else ""
        return f"{self.formatTime(record, '%H:%M:%S')} {level}{record.message}"


def _stderr() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: not getattr(record, "file_only", False))
    handler.setFormatter(_ForPeople())
    return handler


def to_stderr() -> None:
    """Send the job's log to stderr, except messages marked `FILE_ONLY`; libraries log only critical messages."""
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers[:] = [_stderr()]
    quiet_libraries()


@contextmanager
def warnings_to_stderr() -> Iterator[None]:
    """Within this block, send warnings to stderr, unless whoever uses the job as a library has set up logging."""
    handler = None if logger.hasHandlers() else _stderr()
    if handler is not None:
        handler.setLevel(logging.WARNING)
        logger.addHandler(handler)
    try:
        yield
    finally:
        if handler is not None:
            logger.removeHandler(handler)


def quiet_libraries() -> None:
    """Let libraries log only critical messages: pymilvus logs a traceback for every failed call, and we handle those.

    Call this again after importing pymilvus, which sets its own log levels.
    """
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)


class _LogFile(logging.FileHandler):
    """A log that cannot be written, as on a full disk, is no reason to stop, and neither for a traceback per line."""

    told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.told:
            self.told = True
            sys.stderr.write(printable(f"log: '{self.baseFilename}' cannot be written ({error.strerror})\n"))

    def close(self) -> None:
        # what could not be written is still in its buffer
        with suppress(OSError):
            super().close()


@contextmanager
def to_file(path: Path) -> Iterator[None]:
    """Within this block, also append the job's log to `path`, from INFO on. Where whoever uses the job as a library has
    set a higher level, all other handlers still get only records of that level."""
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(_Printable("%(asctime)s %(levelname)s %(message)s"))
    level, least, others = logger.level, logger.getEffectiveLevel(), list(_handlers())

    def as_before(record: logging.LogRecord) -> bool:
        return record.name != logger.name or record.levelno >= least

    for other in others:
        other.addFilter(as_before)
    logger.addHandler(handler)
    logger.setLevel(min(least, logging.INFO))
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        for other in others:
            other.removeFilter(as_before)
        handler.close()


def _handlers() -> Iterator[logging.Handler]:
    """All that get the job's records: the logger's own, and those of the loggers above it."""
    above: logging.Logger | None = logger
    while above is not None:
        yield from above.handlers
        above = above.parent if above.propagate else None
