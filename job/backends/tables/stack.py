"""Tables one after the other, whatever the types of their columns."""

from collections.abc import Sequence

import pyarrow as pa

from job.backends.tables.source import as_strings


def stack(tables: Sequence[pa.Table]) -> pa.Table:
    """The tables' rows, and nulls where a table lacks a column.

    A column has the smallest type that holds all its values without loss, such as double for small integers and
    doubles; it becomes text where there is none, as for numbers and texts.
    """
    names = dict.fromkeys(name for table in tables for name in table.column_names)
    texts = {
        name for name in names if not _fit([table.select([name]) for table in tables if name in table.column_names])
    }
    return pa.concat_tables([_with_texts(table, texts) for table in tables], promote_options="permissive")


def _fit(columns: list[pa.Table]) -> bool:
    try:
        pa.concat_tables(columns, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return False
    return True


def _with_texts(table: pa.Table, names: set[str]) -> pa.Table:
    for position, name in enumerate(table.column_names):
        if name in names:
            table = table.set_column(position, pa.field(name, pa.string()), as_strings(table[name]))
    return table
