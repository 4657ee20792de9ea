"""Which chip each item of an archive was cut for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lcnkit.contracts import Query
from lcnkit.geometry import coverage
from lcnkit.model import Chip
from lcnkit.ownership import owner_by_id

if TYPE_CHECKING:
    import pandas as pd

# An item whose outline and the chip's cover each other to this share was cut for the chip.
_SAME_OUTLINE = 0.98


def owners_of(items: pd.DataFrame, chips: Sequence[Chip], query: Query, selves: Callable[[], Sequence[str]]) -> np.ndarray:
    """The chip each item was cut for, ``""`` where it is no chip: by its id, else by the one label that links to it.

    Args:
        items: `lcnkit.index.crawl.TABLE`.
        selves: Gives the absolute href of each item; asked only if need be.
    """
    owners = np.array(
        [owner_by_id(item_id, collection, query.chip_ids) for item_id, collection in zip(items["item_id"], items["collection"], strict=True)],
        dtype=object,
    )
    free = np.flatnonzero(owners == "")
    linked = _linked(chips) if len(free) else {}
    if not linked:
        return owners
    hrefs = selves()
    for position in free.tolist():
        chip = linked.get(hrefs[position])
        if chip is not None:
            outline = items["geometry"].iloc[position]
            if min(*coverage([chip.footprint], [outline]), *coverage([outline], [chip.footprint])) >= _SAME_OUTLINE:
                owners[position] = chip.id
    return owners


def _linked(chips: Sequence[Chip]) -> Mapping[str, Chip]:
    """Chips by the items that exactly one label names as its source."""
    found: dict[str, Chip | None] = {}
    for chip in chips:
        for href in chip.source_hrefs:
            found[href] = None if href in found else chip
    return {href: chip for href, chip in found.items() if chip is not None}
