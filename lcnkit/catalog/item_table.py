"""Items as the table that `lcnkit.candidates.match` takes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lcnkit.geometry import geometry_of
from lcnkit.terminal import counted

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


def table_of(items: Iterable[tuple[str, Mapping[str, Any]]], collection: str) -> pd.DataFrame:
    """One row per item that has an id, a time and a footprint; the others are counted in a warning.

    Args:
        items: Self link and document of each.
        collection: The collection of items that do not name theirs.

    Returns:
        ``item_id``, ``collection``, ``datetime`` (UTC), ``cloud_cover`` (percent, NaN unknown), ``item_href``, ``geometry``.
    """
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    outlines: dict[str, Any] = {}
    for href, document in items:
        properties = document.get("properties") or {}
        # A composite has no datetime of its own: it counts where its range begins.
        when = properties.get("datetime") or properties.get("start_datetime")
        key = repr((document.get("geometry"), document.get("bbox")))
        if key not in outlines:
            outlines[key] = geometry_of(document)
        owner = str(document.get("collection") or collection)
        rows.append((document.get("id"), owner, when, properties.get("eo:cloud_cover"), href, outlines[key]))
    table = pd.DataFrame(rows, columns=["item_id", "collection", "datetime", "cloud_cover", "item_href", "geometry"])
    table["datetime"] = pd.to_datetime(table["datetime"], utc=True, format="ISO8601", errors="coerce").astype("datetime64[ns, UTC]")
    table["cloud_cover"] = pd.to_numeric(table["cloud_cover"], errors="coerce").astype("float64")
    usable = table["item_id"].notna() & table["datetime"].notna() & table["geometry"].notna()
    table["item_id"] = table["item_id"].fillna("(no id)").astype(str)
    if not usable.all():
        left = table.loc[~usable, "item_id"]
        many = counted(len(left), "item")
        log.warning("%s of %s left out for want of an id, a usable time or a footprint: %s", many, collection, ", ".join(left[:3]))
    return table[usable].reset_index(drop=True)
