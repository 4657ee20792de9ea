"""Columns of a stac-geoparquet file: the types of what STAC leaves open, found from the items themselves.

A property may be a number in one item and a text in another: such a column holds JSON, and its field says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

_JSON_MARK = {b"encoding": b"json"}
#: A link, and the sides of a bbox.
LINK = pa.struct([("href", pa.string()), ("rel", pa.string()), ("type", pa.string()), ("title", pa.string())])
BBOX = pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])

#: Times that STAC itself defines; a value that is no time is left out.
TIMES = ("datetime", "start_datetime", "end_datetime", "created", "updated", "published", "expires", "unpublished")
TIME = pa.timestamp("ns", tz="UTC")

#: Columns that every file has, whatever its items hold.
FIXED: dict[str, pa.DataType] = {
    "type": pa.string(),
    "stac_version": pa.string(),
    "stac_extensions": pa.list_(pa.string()),
    "id": pa.string(),
    "collection": pa.string(),
    "datetime": TIME,
    "geometry": pa.binary(),
    "bbox": BBOX,
    "links": pa.list_(LINK),
}


def json_field(name: str) -> pa.Field:
    """A column of JSON texts."""
    return pa.field(name, pa.string(), metadata=_JSON_MARK)


def holds_json(field: pa.Field) -> bool:
    """Whether the texts of a column are JSON that we wrote."""
    return bool((field.metadata or {}).get(b"encoding") == b"json")


def field_of(name: str, values: Sequence[Any]) -> tuple[pa.Field | None, pa.Array | None]:
    """The column that holds ``values``, and the values in it if they are converted already; no column where all of them are empty."""
    if name in FIXED or name in TIMES:
        return pa.field(name, FIXED.get(name, TIME)), None
    try:
        made = pa.array(values)
        kind = _pruned(made.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return json_field(name), None
    return (None, None) if kind is None else (pa.field(name, kind), made if kind == made.type else None)


def merged(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    """The columns of both, each wide enough for the values of both."""
    fields = {field.name: field for field in one}
    for field in other:
        known = fields.get(field.name)
        fields[field.name] = field if known is None else _wider(known, field)
    return pa.schema(list(fields.values()))


def array_of(field: pa.Field, values: Sequence[Any]) -> pa.Array:
    """Values as a column."""
    if holds_json(field):
        return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())
    return pa.array(values, field.type)


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with the columns of a wider schema."""
    columns = []
    for field in schema:
        position = table.schema.get_field_index(field.name)
        if position < 0:
            columns.append(pa.nulls(len(table), field.type))
        elif holds_json(field) and not holds_json(table.schema.field(position)):
            columns.append(array_of(field, table.column(position).to_pylist()))
        else:
            columns.append(table.column(position).cast(field.type, safe=False))
    return pa.table(columns, schema=schema)


def without_nulls(value: Any) -> Any:
    """A value of a column as it was in the item's JSON: a struct has a field for every key of any item."""
    if isinstance(value, Mapping):
        return {key: without_nulls(entry) for key, entry in value.items() if entry is not None}
    return [without_nulls(entry) for entry in value] if isinstance(value, list) else value


def _pruned(kind: pa.DataType) -> pa.DataType | None:
    """The type without what is empty everywhere, which Parquet cannot hold."""
    if pa.types.is_null(kind):
        return None
    if pa.types.is_list(kind):
        inner = _pruned(kind.value_type)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(kind):
        fields = [(field.name, _pruned(field.type)) for field in kind]
        kept = [(name, inner) for name, inner in fields if inner is not None]
        return pa.struct(kept) if kept else None
    return kind


def _wider(one: pa.Field, other: pa.Field) -> pa.Field:
    if holds_json(one) or holds_json(other):
        return json_field(one.name)
    kind = _wider_type(one.type, other.type)
    return json_field(one.name) if kind is None else pa.field(one.name, kind)


def _wider_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """A type for the values of both, ``None`` where there is none."""
    if one == other:
        return one
    if {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pa.types.is_list(one) and pa.types.is_list(other):
        inner = _wider_type(one.value_type, other.value_type)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        fields = {field.name: field.type for field in one}
        for field in other:
            inner = _wider_type(fields.get(field.name, field.type), field.type)
            if inner is None:
                return None
            fields[field.name] = inner
        return pa.struct(list(fields.items()))
    return None
