"""The names of those who published the headlines."""

import json
from contextlib import suppress

import pyarrow as pa

from job.backends.tables.source import as_strings

# `input.source: auto` takes the first of these that the input has
USUAL_NAMES = (
    *("source", "publisher", "outlet", "source_name", "publication", "news_source", "provider"),
    *("site", "site_name", "website", "domain", "hostname", "sourcecommonname", "feed"),
)


def source_names(column: pa.Array) -> pa.Array:
    """The column as names, string [n], null where there is none.

    Of an object, such as the `source` of a news service, its `name` or `title` is taken; half of a surrogate pair in it
    becomes "?".
    """
    texts = as_strings(column).cast(pa.string()).dictionary_encode()
    names = pa.array([_name(text) for text in texts.dictionary.to_pylist()], pa.string())
    return names.take(texts.indices)


def _name(text: str) -> str | None:
    if text.lstrip().startswith("{"):
        # RecursionError: nested too deeply
        with suppress(ValueError, RecursionError):
            found = json.loads(text)
            text = str(found.get("name") or found.get("title") or text)
    # an escape in JSON may be half of a surrogate pair, which Arrow does not take
    return " ".join(text.split()).encode("utf-8", "replace").decode() or None
