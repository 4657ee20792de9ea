"""Which chip an item was cut for, where it is a chip itself and not a scene."""

from __future__ import annotations


def owner_by_id(item_id: str, collection: str, chip_ids: frozenset[str]) -> str:
    """The chip that an item's id names, ``""`` where it names none. LandCoverNet: ``COLLECTION_CHIP_DATE``."""
    rest = item_id.removeprefix(f"{collection}_")
    while rest:
        if rest in chip_ids:
            return rest
        rest = rest.rpartition("_")[0]
    return ""
