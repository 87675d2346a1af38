"""Which columns of the input ingest reads."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from job.backends.tables import MEGA, Source, find_files, open_source, shown
from job.backends.tables import sources as publishers
from job.backends.tables import times as publication
from job.backends.tables.added import added_to
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
# what `run` and `assign` write beside the input's own
_OURS = {"id", "cluster", "cluster_name", "probability"}
# a longer one is taken for a headline in a file without a header
_LONGEST_NAME = 60
# and so are a link, and the digits of a date or an id
_NO_NAME = re.compile(r"://|^[\d\s.:/-]{6,}$")
# the file is not trusted, and a user may paste the command that a message names
_FOR_A_SHELL = re.compile(r"[A-Za-z0-9_.\[\]]+")


@dataclass(frozen=True)
class Columns:
    """The names of a file's columns that are read; None where it has none. `common`: the names of all its columns in
    the input as a whole, where a column that is read has the same spelling in all files."""

    title: str
    description: str | None
    time: str | None
    source: str | None
    common: tuple[str, ...]


def column_of(key: str, columns: Sequence[Columns]) -> str | None:
    """The column that `input.KEY` names, as the first file that has it spells it; None where none has it."""
    return next((name for mine in columns if (name := getattr(mine, key)) is not None), None)


def open_sources(config: Input, run_dir: Path | None = None) -> list[Source]:
    """Open every file's head and check that it has the title column.

    Raises:
        BadInput: a file is missing, empty, unreadable, or lacks the title column (the message lists what it has).
    """
    files = find_files(config.paths, run_dir)

    others = [name for name in (config.time, config.source) if name not in (None, "auto")]

    def opened(path: Path, texts: list[str]) -> Source:
        limit = config.max_line_mb * MEGA
        return open_source(path, config.format, config.encoding, set(texts), limit, others, files[path])

    wanted = [name for name in (config.title, config.description) if name]
    sources = []
    for path in files:
        source = opened(path, wanted)
        spelled = [find_column(name, source.schema.names) or name for name in wanted]
        sources.append(source if spelled == wanted else opened(path, spelled))
        _named(sources[-1], "title", config.title, _TITLES)
        for name, problem in sources[-1].never_text.items():
            raise BadInput(f"input.path: '{shown(path)}': {problem}{_set_inner(config, sources[-1], name)}")
    return sources


def _set_inner(config: Input, source: Source, column: str) -> str:
    inner = first_within(column, source.texts_within)
    key = "title" if find_column(config.title, [column]) else "description"
    return f"; no row has text there itself: set input.{key}={inner}" if inner else "; no row has text there"


def find_columns(config: Input, sources: list[Source]) -> list[Columns]:
    """The columns that are read of each file.

    Raises:
        BadInput: a file lacks a column that the configuration names.
    """
    found = []
    for source in sources:
        title = _named(source, "title", config.title, _TITLES)
        # the object that has the title is the whole row: `_source` is no publisher
        names = [name for name in source.schema.names if not title.startswith(f"{name}.")]
        time = _usual(config, "time", source, names, publication.USUAL_NAMES)
        publisher = _usual(config, "source", source, names, publishers.USUAL_NAMES)
        found.append(Columns(title, _description(config, source), time, publisher, tuple(source.schema.names)))
    for key, wanted in (("title", config.title), ("description", config.description)):
        if (name := column_of(key, found)) not in (wanted, None):
            logger.info("ingest: input.%s = %s: column '%s'", key, wanted, name)
    for key in ("time", "source"):
        if sources and getattr(config, key) == "auto":
            usual = dict.fromkeys(f"column '{name}'" for mine in found if (name := getattr(mine, key)))
            logger.info("ingest: input.%s = auto: %s", key, ", ".join(usual) or "no column of a usual name")
    _note_descriptions(config, sources, found)
    for source in sources:
        if {*source.schema.names} >= _OURS:
            logger.warning(
                "ingest: '%s' has the columns of an answer of this job: if it is no news, leave it out of input.path",
                shown(source.path),
            )
    return [replace(mine, common=_common(mine, found)) for mine in found]


def _common(mine: Columns, columns: Sequence[Columns]) -> tuple[str, ...]:
    """The names of a file's columns, those that are read in the spelling of the first file that has them."""
    names = list(mine.common)
    for key in ("title", "description", "time", "source"):
        own, first = getattr(mine, key), column_of(key, columns)
        if own and first and first not in names and find_column(own, [first]):
            names[mine.common.index(own)] = first
    return tuple(names)


def _named(source: Source, key: str, wanted: str, usual: Sequence[str] = ()) -> str:
    """The column that `input.KEY` names, as the file spells it.

    Raises:
        BadInput: the file lacks it; of `usual` names, one that is there is what the message says to set.
    """
    name = find_column(wanted, source.schema.names)
    if name is None:
        raise BadInput(_no_column(source, key, wanted, usual))
    return name


def _description(config: Input, source: Source) -> str | None:
    """The description column; None where the file does not have the default one: then only its titles are used."""
    if config.description is None or config.description == Input.model_fields["description"].default:
        return find_column(config.description or "", source.schema.names) if config.description else None
    return _named(source, "description", config.description)


def _note_descriptions(config: Input, sources: Sequence[Source], columns: Sequence[Columns]) -> None:
    without = [source for source, mine in zip(sources, columns, strict=True) if mine.description is None]
    if config.description is None or not without:
        return
    likely = _likely(without[0], config.description, _DESCRIPTIONS)
    hint = f"; if '{likely}' is one, set input.description={likely}" if likely else ""
    path = shown(without[0].path) + (f" and {len(without) - 1:,} more" if len(without) > 1 else "")
    logger.warning("ingest: no column 'description' in %s: only titles are used there%s", path, hint)


def _usual(config: Input, key: str, source: Source, names: Sequence[str], usual: Sequence[str]) -> str | None:
    """The column that `input.KEY` names; with `auto` that of `names` with the first of the usual names, or None.

    What the file itself holds comes before the names of its folders.
    """
    wanted: str | None = getattr(config, key)
    if wanted != "auto":
        return wanted and _named(source, key, wanted)
    own = [name for name in names if name not in added_to(source)]
    return first_usual(usual, own) or first_usual(usual, names)


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


def _is_turned(source: Source) -> bool:
    """Whether an object holds a table in another form of pandas: rows by their number, or columns, index and data."""
    names = source.schema.names
    return (bool(source.texts_within) and all(map(str.isdigit, names))) or {*names} == {"columns", "index", "data"}


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
    if _is_turned(source):
        action = "these are no rows one after the other: with pandas, write to_json(orient='records')"
    if "\ufffd" in names:
        action = f"its header is in another encoding: set input.encoding=cp1252, or what it is; then {action}"
    folder = next((part for part in source.path.parent.parts if part.startswith(f"{name}=")), None)
    if folder:
        glob = shown(source.path).replace(shown(folder), f"{shown(folder)}*", 1)
        action += f"; '{shown(folder)}' names one where the glob has a wildcard in it: 'input.path={glob}'"
    if any(len(name) > _LONGEST_NAME or _NO_NAME.search(name) for name in source.schema.names):
        action += ", or give the file a first line with the columns' names"
    return f"input.{key} = '{name}': no such column in '{shown(source.path)}'; it has: {has}; {action}"
