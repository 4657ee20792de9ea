"""Which chip an item was cut for, where it is a chip itself and not a scene."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache


def owners_by_id(item_ids: Iterable[str], collection: str, chip_ids: frozenset[str]) -> list[str]:
    """`owner_by_id` of many items of a collection: those of a chip differ in the last part of their id only."""
    prefix = f"{collection}_"
    exact = _exact(prefix, chip_ids)
    known: dict[str, str] = {}
    owners = []
    for item_id in item_ids:
        owner = exact.get(item_id)
        if owner is None:
            key = item_id.rpartition("_")[0]
            owner = known.get(key)
            if owner is None:
                owner = known[key] = _owner(item_id.removeprefix(prefix).rpartition("_")[0], chip_ids)
        owners.append(owner)
    return owners


@lru_cache(maxsize=1)  # asked for some hundred chips after the other
def _exact(prefix: str, chip_ids: frozenset[str]) -> dict[str, str]:
    """What an item is called that has a chip's id and no more, and the chip."""
    return {name: chip for chip in chip_ids for name in (prefix + chip, chip) if name.removeprefix(prefix) == chip}


def owner_by_id(item_id: str, collection: str, chip_ids: frozenset[str]) -> str:
    """The chip that an item's id names, ``""`` where it names none. LandCoverNet: ``COLLECTION_CHIP_DATE``."""
    return _owner(item_id.removeprefix(f"{collection}_"), chip_ids)


def _owner(rest: str, chip_ids: frozenset[str]) -> str:
    while rest:
        if rest in chip_ids:
            return rest
        rest = rest.rpartition("_")[0]
    return ""
