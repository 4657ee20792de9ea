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
    near = [list(_near(items, parts)) for items in sources]
    read = sum(items.reads_for(rows) for items, each in zip(sources, near, strict=True) for rows in each)
    if len(parts) > 1 and read > _OFTEN * sum(map(len, sources)):
        every = [np.unique(np.concatenate(each)) for each in near]
        yield from by_part(find(every, list(chain(*parts))), parts)
        return
    for number, part in enumerate(parts):
        yield find([each[number] for each in near], part)


def _near(items: Items, parts: Sequence[Sequence[Chip]]) -> Iterator[NDArray[np.intp]]:
    """Rows of the items that touch a chip of each part."""
    import shapely

    outlines = items.outlines
    tree = shapely.STRtree(outlines.shapes)
    for part in parts:
        touched = np.zeros(len(outlines.shapes) + 1, dtype=bool)  # the last is of items that cannot be used
        if len(part):
            touched[tree.query(np.array([chip.footprint for chip in part], dtype=object), predicate="intersects")[1]] = True
        yield np.flatnonzero(touched[outlines.code])
