"""Items as STAC JSON again, from the rows of a stac-geoparquet file."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from lcnkit.index.columns import holds_json, without_nulls
from lcnkit.index.item_columns import HREF

# Columns that are no properties, in the order that items mostly have them.
_ABOUT = ("type", "stac_version", "stac_extensions", "id", "collection", "bbox", "geometry", "links", "assets")
_SIDES = ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")


def with_plain_times(table: pa.Table) -> pa.Table:
    """The table with its times of UTC as Python's own, without their zone: for others Arrow loads pandas, which a worker does without."""
    for number, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz in (None, "UTC"):
            try:
                table = table.set_column(number, field.name, table[number].cast(pa.timestamp("us")))
            except pa.ArrowInvalid:  # they are finer than a microsecond
                continue
    return table


def document_of(row: dict[str, Any], schema: pa.Schema, geometry: str) -> dict[str, Any]:
    """The item in a row.

    Args:
        row: Values by column.
        schema: Of the file.
        geometry: The column of footprints.
    """
    import orjson
    import shapely

    values = {name: decoded(value, schema.field(name)) for name, value in row.items() if value is not None and name != geometry}
    raw = row.get(geometry)
    values["geometry"] = None if raw is None else orjson.loads(shapely.to_geojson(shapely.from_wkb(raw)))
    bbox = values.get("bbox")
    if isinstance(bbox, dict):
        values["bbox"] = [bbox[side] for side in _SIDES if side in bbox]
    nested = values.pop("properties", None)  # some tools keep them together
    own = {name: value for name, value in values.items() if name not in _ABOUT and name != HREF}
    properties = {"datetime": None, **(nested if isinstance(nested, dict) else {}), **own}
    return {"type": "Feature", **{name: values[name] for name in _ABOUT if name in values}, "properties": properties}


def decoded(value: Any, field: pa.Field) -> Any:
    """A value as STAC JSON has it: times as texts, no nulls in structs, objects where a text holds them as JSON."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and (holds_json(field) or field.name in ("assets", "links", "bbox", "stac_extensions", "properties")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return without_nulls(value)


def self_link(links: Any) -> str:
    """The href of the link rel=self, ``""`` where there is none."""
    every = [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
    return next((str(link["href"]) for link in every if link.get("rel") == "self" and link.get("href")), "")
