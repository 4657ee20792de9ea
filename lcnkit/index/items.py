"""Items to search: where they lie is known of all, whatever else of those that are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Outlines:
    """Where items lie; they mostly share a few outlines."""

    shapes: NDArray[np.object_]
    """Footprints (shapely, lon/lat), each once or so."""
    code: NDArray[np.int32]
    """For each item the position of its footprint in ``shapes``; -1 where the item cannot be used."""


class Items(Protocol):
    """Items of a collection or of several, by row."""

    def __len__(self) -> int:
        """How many there are, also of those that cannot be used."""

    @property
    def outlines(self) -> Outlines:
        """Where they lie."""

    def at(self, rows: NDArray[np.intp] | None = None) -> pd.DataFrame:
        """`lcnkit.index.crawl.TABLE` of some rows, in ascending order, or of all."""

    def reads_for(self, rows: NDArray[np.intp]) -> int:
        """How many items are read where these rows are asked for."""


@dataclass(frozen=True)
class TableItems:
    """Items that are in memory: `lcnkit.index.crawl.TABLE`, all of them to be used."""

    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def outlines(self) -> Outlines:
        """See `Items.outlines`; items that share a footprint share the object."""
        import pandas as pd

        geometry = self.table["geometry"].to_numpy(dtype=object)
        code, _ = pd.factorize(np.fromiter(map(id, geometry), "int64", len(geometry)))
        _, first = np.unique(code, return_index=True)
        return Outlines(geometry[first], code.astype("int32"))

    def at(self, rows: NDArray[np.intp] | None = None) -> pd.DataFrame:
        """See `Items.at`."""
        return self.table if rows is None else self.table.iloc[rows].reset_index(drop=True)

    def reads_for(self, rows: NDArray[np.intp]) -> int:
        """See `Items.reads_for`."""
        return len(rows)
