"""The names of those who published the headlines."""

import json

import pyarrow as pa

from job.backends.tables.source import as_strings
from job.backends.text.markup import without_markup

# `input.source: auto` takes the first of these that the input has
USUAL_NAMES = (
    *("source", "publisher", "outlet", "source_name", "publication", "news_source", "provider"),
    *("site", "site_name", "website", "domain", "hostname", "sourcecommonname", "feed"),
)


def source_names(column: pa.Array) -> pa.Array:
    """The column as names without HTML, string [n], null where there is none.

    Of an object, such as the `source` of a news service, its `name` or `title` is taken.
    """
    texts = as_strings(column).cast(pa.string()).dictionary_encode()
    names = pa.array([_name(text) for text in texts.dictionary.to_pylist()], pa.string())
    return names.take(texts.indices)


def _name(text: str) -> str | None:
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            found = {}
        text = str(found.get("name") or found.get("title") or text)
    return " ".join(without_markup(text).split()) or None
