"""The names of those who published the headlines."""

import ast
import contextlib
import json
from typing import Any

import pyarrow as pa

from job.backends.tables.missing import is_missing
from job.backends.tables.source import as_strings
from job.backends.text.markup import without_markup

# `input.source: auto` takes the first of these that the input has
USUAL_NAMES = (
    *("source", "publisher", "outlet", "source_name", "publication", "news_source", "provider"),
    *("site", "site_name", "website", "domain", "hostname", "sourcecommonname", "feed"),
)
# of an object, such as the `source` of a news service or of a feed that was XML
_NAMES = ("name", "title", "#text", "_")
_LONGEST_OBJECT = 1_000


def source_names(column: pa.Array) -> pa.Array:
    """The column as names without HTML, string [n], null where there is none.

    Of an object its `name` or `title` is taken; half of a surrogate pair in it becomes "?".
    """
    texts = as_strings(column).cast(pa.string()).dictionary_encode()
    names = pa.array([_name(text) for text in texts.dictionary.to_pylist()], pa.string())
    return names.take(texts.indices)


def _name(text: str) -> str | None:
    found = _object(text)
    named = next((found[key] for key in _NAMES if isinstance(found.get(key), str)), None)
    # an escape in JSON may be half of a surrogate pair, which Arrow does not take
    name = " ".join(without_markup(named or text).split()).encode("utf-8", "replace").decode()
    return None if is_missing(name) else name


def _object(text: str) -> dict[str, Any]:
    """The object that the text writes, as JSON or, as pandas puts it into CSV, as Python; empty where it is none."""
    if text.lstrip().startswith("{") and len(text) < _LONGEST_OBJECT:
        for read in (json.loads, ast.literal_eval):
            with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                found = read(text.strip())
                return found if isinstance(found, dict) else {}
    return {}
