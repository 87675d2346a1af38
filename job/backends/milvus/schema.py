"""The fields of a collection: ours, or what another program's has to have."""

from dataclasses import dataclass, replace
from typing import Any

TEXT_BYTES = 65_535
SPARSE = "SPARSE_FLOAT_VECTOR"


@dataclass(frozen=True)
class Fields:
    """The names of the fields; `extra`: columns kept beside them, in the dynamic field where the schema has none;
    `sparse`: of the lexical weights, empty where none are kept."""

    id: str = "id"
    vector: str = "embedding"
    text: str = "text"
    extra: tuple[str, ...] = ()
    sparse: str = ""


@dataclass(frozen=True)
class Layout:
    """What a collection that is there looks like. `nullable`: fields that a row may leave out; `timestamp`: its
    schema's, which newer servers ask for; `number`: the server's for it, another one once it is dropped and made anew.
    """

    text: str
    types: dict[str, str]
    nullable: frozenset[str]
    dim: int
    auto_id: bool
    dynamic: bool
    primary: str
    timestamp: int
    number: int


def our_schema(client: Any, fields: Fields, dim: int) -> Any:
    """The schema that we make: id INT64 primary, FLOAT_VECTOR, VARCHAR, and a dynamic field where `extra` needs it."""
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=bool(fields.extra))
    schema.add_field(fields.id, DataType.INT64, is_primary=True)
    schema.add_field(fields.vector, DataType.FLOAT_VECTOR, dim=dim)
    schema.add_field(fields.text, DataType.VARCHAR, max_length=TEXT_BYTES)
    if fields.sparse:
        schema.add_field(fields.sparse, DataType.SPARSE_FLOAT_VECTOR)
    return schema


def our_text(fields: Fields, dim: int) -> str:
    """Our schema in words, as `read_layout` gives it."""
    text = f"{fields.id} INT64 primary, {fields.vector} FLOAT_VECTOR({dim}), {fields.text} VARCHAR({TEXT_BYTES})"
    text += f", {fields.sparse} SPARSE_FLOAT_VECTOR" if fields.sparse else ""
    return text + (", dynamic" if fields.extra else "")


def sparse_alone(layout: Layout, fields: Fields, dim: int) -> str | None:
    """What to do where the lexical weights are all that a collection's schema differs in; None where they are not."""
    if fields.sparse and layout.text == our_text(replace(fields, sparse=""), dim):
        return f"embed.sparse = true needs the field '{fields.sparse}': set embed.sparse=false, or"
    for name, kind in layout.types.items():
        if kind == SPARSE and layout.text == our_text(replace(fields, sparse=name), dim):
            return f"'{name}' is for lexical weights: set embed.sparse=true and store.sparse_field={name}, or"
    return None


def read_layout(description: dict[str, Any], fields: Fields) -> Layout:
    """`describe_collection`'s answer."""
    parts: list[str] = []
    types: dict[str, str] = {}
    nullable = set()
    dim, auto_id, primary = 0, False, ""
    for field in description["fields"]:
        params = field.get("params", {})
        size = params.get("dim") or params.get("max_length")
        is_primary, auto = bool(field.get("is_primary")), bool(field.get("auto_id"))
        kind = field["type"].name
        parts.append(f"{field['name']} {kind}{f'({size})' if size else ''}{' primary' * is_primary}{' auto' * auto}")
        types[field["name"]] = kind
        if field.get("nullable") or field.get("default_value") is not None or field.get("is_function_output"):
            nullable.add(field["name"])
        if field["name"] == fields.vector:
            dim = int(params.get("dim") or 0)
        if is_primary:
            primary, auto_id = field["name"], auto or bool(description.get("auto_id"))
    dynamic = bool(description.get("enable_dynamic_field"))
    text = ", ".join(parts) + (", dynamic" if dynamic else "")
    timestamp, number = (int(description.get(key) or 0) for key in ("update_timestamp", "collection_id"))
    return Layout(text, types, frozenset(nullable), dim, auto_id, dynamic, primary, timestamp, number)


def unfit(layout: Layout, fields: Fields) -> str | None:
    """Why a collection of another program cannot be clustered with these field names; None where it can."""
    for key, name, kind in (
        ("id_field", fields.id, "INT64"),
        ("vector_field", fields.vector, "FLOAT_VECTOR"),
        ("text_field", fields.text, "VARCHAR"),
    ):
        found = layout.types.get(name)
        if found != kind:
            there = f"is {found}" if found else "is not there"
            return f"store.{key} = '{name}' {there}, but has to be {kind}; it has ({layout.text})"
    if layout.primary != fields.id:
        return f"store.id_field = '{fields.id}' is not its primary key; it has ({layout.text})"
    lost = [name for name in fields.extra if name not in layout.types]
    if lost and not layout.dynamic:
        return f"store.extra_fields: it has no '{lost[0]}', nor a dynamic field; it has ({layout.text})"
    return None


def unfilled(layout: Layout, fields: Fields) -> str | None:
    """Which vector field our rows would leave empty where it may not be, and what to do; None where there is none."""
    for name, kind in layout.types.items():
        if "VECTOR" in kind and name not in (fields.vector, fields.sparse) and name not in layout.nullable:
            way = f"set embed.sparse=true and store.sparse_field={name}, or " * (kind == SPARSE)
            return (
                f"its field '{name}' {kind} has to be filled in every row, and this run has nothing for it: {way}set "
                "store.collection to another name"
            )
    return None


def fit_text(text: str) -> str:
    """The text, cut at a character's end to the bytes that Milvus holds."""
    raw = text.encode()
    return text if len(raw) <= TEXT_BYTES else raw[:TEXT_BYTES].decode(errors="ignore")
