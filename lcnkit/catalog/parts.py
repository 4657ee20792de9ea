"""Searching what is at hand for some chips after the other: of its items, only those near these chips are held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from lcnkit.contracts import by_part
from lcnkit.index.items import Items
from lcnkit.model import Chip

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Rows = Sequence["NDArray[np.intp]"]
"""Of each of several sources of items, rows in ascending order."""

# Where items of one chip lie far apart, what holds them is read for each part anew: so often at most, else once for all.
_OFTEN = 3


def search_near(
    sources: Sequence[Items], parts: Sequence[Sequence[Chip]], find: Callable[[Rows, Sequence[Chip]], pd.DataFrame]
) -> Iterator[pd.DataFrame]:
    """Candidates of each part of the chips.

    Args:
        sources: All items that there are.
        find: Gives the candidates of some chips, told the items that touch one of them.
    """
    touched = [_touched(items, parts) for items in sources]

    def near(of: Sequence[int]) -> list[NDArray[np.intp]]:
        return [_rows(items, [each[number] for number in of]) for items, each in zip(sources, touched, strict=True)]

    if len(parts) > 1:
        read = sum(items.reads_for(rows) for number in range(len(parts)) for items, rows in zip(sources, near([number]), strict=True))
        if read > _OFTEN * sum(map(len, sources)):
            yield from by_part(find(near(range(len(parts))), list(chain(*parts))), parts)
            return
    for number, part in enumerate(parts):
        yield find(near([number]), part)


def _touched(items: Items, parts: Sequence[Sequence[Chip]]) -> list[NDArray[np.intp]]:
    """For each part, the outlines that touch one of its chips, by their position in `Outlines.shapes`."""
    import shapely

    tree = shapely.STRtree(items.outlines.shapes)
    footprints = (np.array([chip.footprint for chip in part], dtype=object) for part in parts)
    return [np.unique(tree.query(some, predicate="intersects")[1]) if len(some) else np.empty(0, "intp") for some in footprints]


def _rows(items: Items, touched: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    """The items that have one of these outlines."""
    near = np.zeros(len(items.outlines.shapes) + 1, dtype=bool)  # the last is of items that cannot be used
    for shapes in touched:
        near[shapes] = True
    return np.flatnonzero(near[items.outlines.code])
