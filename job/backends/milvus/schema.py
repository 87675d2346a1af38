"""The schema of a collection: the one that this job makes, and the one that another program's collection needs."""

from dataclasses import dataclass, replace
from typing import Any

TEXT_BYTES = 65_535
SPARSE = "SPARSE_FLOAT_VECTOR"


@dataclass(frozen=True)
class Fields:
    """The names of the fields. `extra`: further columns, kept in the dynamic field where the schema has no field of
    that name. `sparse`: the field of the lexical weights, empty where none are kept."""

    id: str = "id"
    vector: str = "embedding"
    text: str = "text"
    extra: tuple[str, ...] = ()
    sparse: str = ""


@dataclass(frozen=True)
class CollectionSchema:
    """The schema of an existing collection. `text`: the schema for messages. `types`: the type of each field.
    `nullable`: fields that a row may omit. `timestamp`: of the schema; newer servers require it in requests.
    `identity`: what tells the collection from any other, wherever its server is; empty for Lite."""

    text: str
    types: dict[str, str]
    nullable: frozenset[str]
    dim: int
    auto_id: bool
    dynamic: bool
    primary: str
    timestamp: int
    identity: str


def make_schema(client: Any, fields: Fields, dim: int) -> Any:
    """Our schema: id INT64 primary, FLOAT_VECTOR, VARCHAR, and a dynamic field if `extra` needs one."""
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=bool(fields.extra))
    schema.add_field(fields.id, DataType.INT64, is_primary=True)
    schema.add_field(fields.vector, DataType.FLOAT_VECTOR, dim=dim)
    schema.add_field(fields.text, DataType.VARCHAR, max_length=TEXT_BYTES)
    if fields.sparse:
        schema.add_field(fields.sparse, DataType.SPARSE_FLOAT_VECTOR)
    return schema


def schema_text(fields: Fields, dim: int) -> str:
    """Our schema as text, in the form of `CollectionSchema.text`."""
    text = f"{fields.id} INT64 primary, {fields.vector} FLOAT_VECTOR({dim}), {fields.text} VARCHAR({TEXT_BYTES})"
    if fields.sparse:
        text += f", {fields.sparse} SPARSE_FLOAT_VECTOR"
    if fields.extra:
        text += ", dynamic"
    return text


def sparse_field_advice(schema: CollectionSchema, fields: Fields, dim: int) -> str | None:
    """What to set if the schema differs from ours only in the field of the lexical weights; None otherwise."""
    if fields.sparse and schema.text == schema_text(replace(fields, sparse=""), dim):
        return f"embed.sparse = true needs the field '{fields.sparse}': set embed.sparse=false, or"
    for name, kind in schema.types.items():
        if kind == SPARSE and schema.text == schema_text(replace(fields, sparse=name), dim):
            return f"'{name}' is for lexical weights: set embed.sparse=true and store.sparse_field={name}, or"
    return None


def read_schema(description: dict[str, Any], fields: Fields) -> CollectionSchema:
    """The schema from the answer of `describe_collection`."""
    field_texts: list[str] = []
    types: dict[str, str] = {}
    nullable = set()
    dim, auto_id, primary = 0, False, ""
    for field in description["fields"]:
        name, kind, params = field["name"], field["type"].name, field.get("params", {})
        is_primary, is_auto = bool(field.get("is_primary")), bool(field.get("auto_id"))
        types[name] = kind
        field_texts.append(_field_text(name, kind, params.get("dim") or params.get("max_length"), is_primary, is_auto))
        if field.get("nullable") or field.get("default_value") is not None or field.get("is_function_output"):
            nullable.add(name)
        if name == fields.vector:
            dim = int(params.get("dim") or 0)
        if is_primary:
            primary, auto_id = name, is_auto or bool(description.get("auto_id"))
    dynamic = bool(description.get("enable_dynamic_field"))
    if dynamic:
        field_texts.append("dynamic")
    timestamp = int(description.get("update_timestamp") or 0)
    number, created = description.get("collection_id"), description.get("created_timestamp")
    identity = f"collection {number} of {created}" if number and created else ""
    return CollectionSchema(
        ", ".join(field_texts), types, frozenset(nullable), dim, auto_id, dynamic, primary, timestamp, identity
    )


def _field_text(name: str, kind: str, size: Any, is_primary: bool, is_auto: bool) -> str:
    text = f"{name} {kind}"
    if size:
        text += f"({size})"
    if is_primary:
        text += " primary"
    if is_auto:
        text += " auto"
    return text


def why_not_readable(schema: CollectionSchema, fields: Fields) -> str | None:
    """Why another program's collection cannot be clustered with these field names; None if it can."""
    for key, name, kind in (
        ("id_field", fields.id, "INT64"),
        ("vector_field", fields.vector, "FLOAT_VECTOR"),
        ("text_field", fields.text, "VARCHAR"),
    ):
        found = schema.types.get(name)
        if found != kind:
            problem = f"is {found}" if found else "does not exist"
            return f"store.{key} = '{name}' {problem}, but has to be {kind}; the schema is ({schema.text})"
    if schema.primary != fields.id:
        return f"store.id_field = '{fields.id}' is not the primary key; the schema is ({schema.text})"
    missing = [name for name in fields.extra if name not in schema.types]
    if missing and not schema.dynamic:
        return (
            f"store.extra_fields: the collection has no field '{missing[0]}' and no dynamic field; "
            f"the schema is ({schema.text})"
        )
    return None


def why_not_fillable(schema: CollectionSchema, fields: Fields) -> str | None:
    """Which required field our rows would leave empty, and what to do; None if there is no such field."""
    filled = {fields.id, fields.vector, fields.text, fields.sparse, *fields.extra}
    for name, kind in schema.types.items():
        if name not in filled and name not in schema.nullable:
            advice = "set store.collection to another name"
            if kind == SPARSE:
                advice = f"set embed.sparse=true and store.sparse_field={name}, or {advice}"
            elif "VECTOR" not in kind:
                advice = f"add {name} to store.extra_fields, if the input has such a column in every row, or {advice}"
            return f"its field '{name}' {kind} has to be filled in every row, and this run has nothing for it: {advice}"
    return None


def fit_text(text: str) -> str:
    """The text, cut between two characters to the bytes that Milvus can hold."""
    raw = text.encode()
    return text if len(raw) <= TEXT_BYTES else raw[:TEXT_BYTES].decode(errors="ignore")
