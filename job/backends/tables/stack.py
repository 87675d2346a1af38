"""Tables one after the other, whatever the types of their columns."""

from collections.abc import Sequence

import pyarrow as pa

from job.backends.tables.source import as_strings


def stack(tables: Sequence[pa.Table]) -> pa.Table:
    """The tables' rows, and nulls where a table lacks a column.

    A column has the smallest type that holds all its values without loss of kind, such as double for integers and
    doubles; it becomes text where there is none, as for numbers and texts.
    """
    fields: dict[str, list[pa.Field]] = {}
    for table in tables:
        for field in table.schema:
            fields.setdefault(field.name, []).append(field)
    texts = {name for name, found in fields.items() if not _fit(found)}
    return pa.concat_tables([_with_texts(table, texts) for table in tables], promote_options="permissive")


def _fit(fields: list[pa.Field]) -> bool:
    try:
        pa.unify_schemas([pa.schema([field]) for field in fields], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True


def _with_texts(table: pa.Table, names: set[str]) -> pa.Table:
    for position, name in enumerate(table.column_names):
        if name in names:
            table = table.set_column(position, pa.field(name, pa.string()), as_strings(table[name]))
    return table
