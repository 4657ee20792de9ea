"""Items of an archive as an API is loaded with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lcnkit.archive import Archive
from lcnkit.model import Item
from lcnkit.model.href import relative_to


def items_of(root: Path, assets_at: str | None = None) -> list[dict[str, Any]]:
    """The items of all source collections, without links.

    Args:
        assets_at: An address that takes the place of the archive's folder in asset hrefs; they are ``file://`` otherwise.
    """
    made = []
    archive = Archive.open(str(root))
    for collection in archive.collections:
        if collection.holds_labels:
            continue
        for _, item in collection.items():
            assert isinstance(item, Item), item
            document = {**item.absolute(), "collection": item.document.get("collection") or collection.id}
            for fields in document["assets"].values():
                href = fields["href"]
                fields["href"] = f"file://{href}" if assets_at is None else f"{assets_at}/{relative_to(href, archive.root)}"
            made.append(document)
    return made
