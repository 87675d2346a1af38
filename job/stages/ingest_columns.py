"""Which columns of the input ingest reads."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from job.backends.tables import MEGA, Source, find_files, open_source, shown
from job.backends.tables import sources as publishers
from job.backends.tables import times as publication
from job.backends.tables.columns import find_column, first_usual
from job.backends.tables.within import array_around, first_within
from job.config import Input
from job.runtime.errors import BadInput
from job.runtime.log import logger

# named in messages where the input has no column of the name that is set
_TITLES = (
    *("headline", "headline_text", "news_title", "web_title", "heading", "titles", "headlines"),
    *("titulo", "título", "titre"),
)
_DESCRIPTIONS = (
    *("summary", "abstract", "short_description", "snippet", "excerpt", "lead", "lead_paragraph", "subtitle"),
    *("teaser", "trail_text", "standfirst"),
)
# a longer one is taken for a headline in a file without a header
_LONGEST_NAME = 60
# the file is not trusted, and a user may paste the command that a message names
_FOR_A_SHELL = re.compile(r"[A-Za-z0-9_.\[\]]+")


@dataclass(frozen=True)
class Columns:
    """The names of the columns that are read; None where the input has none."""

    title: str
    description: str | None
    time: str | None
    source: str | None


def open_sources(config: Input, run_dir: Path | None = None) -> list[Source]:
    """Open every file's head and check that it has the title column.

    Raises:
        BadInput: a file is missing, empty, unreadable, or lacks the title column (the message lists what it has).
    """
    files = find_files(config.paths, run_dir)

    others = [name for name in (config.time, config.source) if name not in (None, "auto")]

    def opened(texts: Iterable[str]) -> list[Source]:
        limit = config.max_line_mb * MEGA
        return [open_source(path, config.format, config.encoding, set(texts), limit, others) for path in files]

    wanted = [name for name in (config.title, config.description) if name]
    sources = opened(wanted)
    spelled = [_spelled(name, sources) for name in wanted]
    if spelled != wanted:
        sources = opened(spelled)
    _in_all(sources, "title", config.title, _TITLES)
    return sources


def find_columns(config: Input, sources: list[Source]) -> Columns:
    """The columns that are read.

    Raises:
        BadInput: a file lacks a column that the configuration names.
    """
    title, description = _in_all(sources, "title", config.title, _TITLES), _description(config, sources)
    for key, wanted, found in (("title", config.title, title), ("description", config.description, description)):
        if found not in (wanted, None):
            logger.info("ingest: input.%s = %s: column '%s'", key, wanted, found)
    # the object that has the title is the whole row: `_source` is no publisher
    names = [name for name in _names(sources) if not title.startswith(f"{name}.")]
    time = _usual(config, "time", sources, names, publication.USUAL_NAMES)
    return Columns(title, description, time, _usual(config, "source", sources, names, publishers.USUAL_NAMES))


def _names(sources: list[Source]) -> list[str]:
    return [name for source in sources for name in source.schema.names]


def _spelled(name: str, sources: list[Source]) -> str:
    """The name as the files spell it."""
    return find_column(name, _names(sources)) or name


def _without(sources: list[Source], name: str) -> list[Source]:
    return [source for source in sources if name not in source.schema.names]


def _in_all(sources: list[Source], key: str, wanted: str, usual: Sequence[str] = ()) -> str:
    """The column that `input.KEY` names, as the files spell it.

    Raises:
        BadInput: a file lacks it; of `usual` names, one that is there is what the message says to set.
    """
    name = _spelled(wanted, sources)
    without = _without(sources, name)
    if without:
        raise BadInput(_no_column(without[0], key, wanted, usual))
    return name


def _description(config: Input, sources: list[Source]) -> str | None:
    """The description column; None where no file has the default one: then only titles are used."""
    if config.description is None:
        return None
    if config.description != Input.model_fields["description"].default:
        return _in_all(sources, "description", config.description)
    name = _spelled(config.description, sources)
    without = _without(sources, name)
    if not without:
        return name
    likely = _likely(without[0], name, _DESCRIPTIONS)
    hint = f"; if '{likely}' is one, set input.description={likely}" if likely else ""
    path = shown(without[0].path)
    logger.warning("ingest: no column 'description' in %s: only its titles are used%s", path, hint)
    return name if len(without) < len(sources) else None


def _usual(config: Input, key: str, sources: list[Source], names: Sequence[str], usual: Sequence[str]) -> str | None:
    """The column that `input.KEY` names; with `auto` that of `names` with the first of the usual names, or None."""
    wanted: str | None = getattr(config, key)
    if wanted != "auto":
        return wanted and _in_all(sources, key, wanted)
    found = first_usual(usual, names)
    logger.info("ingest: input.%s = auto: %s", key, f"column '{found}'" if found else "no column of a usual name")
    return found


def _likely(source: Source, name: str, usual: Sequence[str]) -> str | None:
    """The column that is probably meant: of that name, or of a usual one; a text within it, or within any other."""
    found = find_column(name, source.schema.names) or first_usual(usual, source.schema.names)
    if found:
        return first_within(found, source.texts_within) or found
    # `_source.title`
    return _first_ending(name, usual, [text for text in source.texts_within if not array_around(text)])


def _first_ending(name: str, usual: Sequence[str], texts: Sequence[str]) -> str | None:
    """The first of the texts whose last key is that name, or a usual one."""
    ends = {text.rpartition(".")[2]: text for text in reversed(texts)}
    return ends.get(first_usual((name, *usual), ends) or "")


def _no_column(source: Source, key: str, name: str, usual: Sequence[str] = ()) -> str:
    names = ", ".join(source.schema.names)
    has = repr(names)
    has = has if len(has) < 500 else has[:497] + "..."
    likely = _likely(source, name, usual)
    action = f"set input.{key}={likely or 'COLUMN'}"
    if not likely and (in_array := _first_ending(name, usual, source.texts_within)):
        rows = array_around(in_array)
        action += f"; if its rows are in '{rows}', write each on a line of its own"
        action += f": jq -c '.{rows}[]'" if _FOR_A_SHELL.fullmatch(rows) else ""
    if any(len(name) > _LONGEST_NAME for name in source.schema.names):
        action += ", or give the file a first line with the columns' names"
    return f"input.{key} = '{name}': no such column in '{shown(source.path)}'; it has: {has}; {action}"
