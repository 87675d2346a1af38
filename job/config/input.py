"""The section `input`: what is read."""

import os
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator

from job.config.sections import NO_EFFECT, Name, Section


class Input(Section):
    """What is read. `path`: a file, a glob, or a list of either; None where only a collection is clustered.

    `max_line_mb`: a line, or a value of Parquet, of more than so many million characters is a reject. `time`: the
    column of publication times, as evidence that headlines belong together; `auto`: the first of the usual names that
    the input has; None: times are not used. `time_format`: how they are written, in the directives of Python's
    `strptime`; None: in one of the usual forms. `source`: the column of who published it, for the tables and the names;
    likewise. The files' names and content are part of ingest's key.
    """

    path: Annotated[Name | Annotated[list[Name], Field(min_length=1)] | None, NO_EFFECT] = None
    format: Literal["auto", "csv", "tsv", "jsonl", "parquet"] = "auto"
    title: Name = "title"
    description: Name | None = "description"
    time: Name | None = None
    time_format: Name | None = None
    source: Name | None = "auto"
    encoding: Name = "utf-8"
    max_line_mb: int = Field(default=16, ge=1, le=2_000)
    deduplicate: bool = True

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError("Python knows no such encoding; utf-8, utf-16, latin-1 and cp1252 are common") from None
        return value

    @field_validator("time_format")
    @classmethod
    def _reads_a_date(cls, value: str | None) -> str | None:
        if value is None:
            return None
        day = datetime(2024, 10, 25, tzinfo=UTC)
        try:
            read = datetime.strptime(day.strftime(value), value)
        except ValueError as error:
            raise ValueError(f"{error}; an example is '%d/%m/%Y %H:%M'") from None
        if (read.year, read.month, read.day) != (day.year, day.month, day.day):
            raise ValueError("expected a year, a month and a day, as in '%d/%m/%Y %H:%M'")
        return value

    @property
    def paths(self) -> list[str]:
        """The paths and globs, with `~` as the home folder: behind `input.path=`, a shell does not replace it."""
        paths = [self.path] if isinstance(self.path, str) else self.path or []
        return [os.path.expanduser(path) for path in paths]  # noqa: PTH111 - a glob is no path
