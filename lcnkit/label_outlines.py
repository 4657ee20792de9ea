"""Where the chips of a label collection lie, also those that a run leaves out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from lcnkit.archive import Collection
from lcnkit.model import Chip, Item, Packed

if TYPE_CHECKING:
    from shapely import Geometry


class CollectionOutlines:
    """Answers `lcnkit.contracts.Query.label_outlines`: the run's chips are in memory, other labels are read again where they matter."""

    def __init__(
        self,
        collection: Collection,
        chips: Packed[Chip],
        made: Sequence[str],
        paths: Mapping[str, str],
        read: Callable[[str, Item], Geometry | None],
    ) -> None:
        """Nothing is read yet.

        Args:
            made: Ids of the chips, in their order.
            paths: Of all labels of the collection, by the ids of their chips.
            read: Makes a label's outline of its item; ``None`` where nobody knows.
        """
        self._collection, self._chips, self._paths, self._read = collection, chips, paths, read
        self._place = {chip_id: place for place, chip_id in enumerate(made)}
        self._others: dict[str, Geometry | None] = {}

    def __call__(self, chip_ids: Sequence[str]) -> dict[str, Geometry]:
        """Outlines (shapely, lon/lat) by chip; a chip is missing where nobody knows where it lies."""
        found = {chip.id: chip.footprint for chip in self._chips.at(self._place[name] for name in chip_ids if name in self._place)}
        unread = [name for name in chip_ids if name in self._paths and name not in self._place and name not in self._others]
        loaded = self._collection.load(self._paths[name] for name in unread)
        for name, (_, item) in zip(unread, loaded, strict=True):
            self._others[name] = None if isinstance(item, str) else self._read(name, item)
        known = {name: self._others.get(name) for name in chip_ids}
        return found | {name: outline for name, outline in known.items() if outline is not None}
