"""Which items the labels of a collection name as their sources, also the labels that a run leaves out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lcnkit.archive import Collection
from lcnkit.model import Chip, Item, Packed
from lcnkit.model.chip import LabelLinks
from lcnkit.model.packed_hrefs import PackedHrefs

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely import Geometry

log = logging.getLogger(__name__)

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees; NaN where they are not known."""
_UNKNOWN: Box = (float("nan"),) * 4
# A label may be that of a footprint if their boxes share so much of both; what is the same is decided by the outlines.
_SAME_PLACE = 0.5
# Chips of a collection are about as large as each other: what is larger than so many of them is a scene.
_CHIPS_IN_A_SCENE = 4
# Chips that are unpacked together.
_AT_ONCE = 512


@dataclass(frozen=True)
class LabelPlace:
    """A label that may link to sources: all that is remembered of thousands."""

    chip_id: str
    path: str
    box: Box = _UNKNOWN


def place_of(chip_id: str, path: str, item: Item | str) -> list[LabelPlace]:
    """The place of a label that was read; none where it links to nothing."""
    if isinstance(item, str) or not any(_is_source(link) for link in item.links):
        return []
    return [LabelPlace(chip_id, path, _box_of(item.document))]


def source_hrefs(item: Item) -> Sequence[str]:
    """Absolute hrefs of an item's links ``rel=source``."""
    hrefs = [str(link.get("href", "")) for link in item.links if _is_source(link)]
    return PackedHrefs(hrefs, item.href) if hrefs else ()


def _is_source(link: Any) -> bool:
    return isinstance(link, dict) and link.get("rel") == "source"


class CollectionLinks:
    """Answers `lcnkit.contracts.Query.label_links`: the run's chips are in memory, other labels are read again where they matter."""

    def __init__(
        self,
        collection: Collection,
        chips: Packed[Chip],
        made: set[str],
        places: Sequence[LabelPlace],
        read: Callable[[str, Item], LabelLinks | None],
    ) -> None:
        """Nothing is read yet.

        Args:
            made: Ids of the chips.
            places: Of all labels of the collection that may have links.
            read: Makes a label's links of its item; ``None`` where there are none.
        """
        self._collection, self._read = collection, read
        self._chips: list[LabelLinks] = []
        self._largest = 0.0
        for start in range(0, len(chips), _AT_ONCE):
            some = chips[start : start + _AT_ONCE]
            self._chips += [LabelLinks(chip.id, chip.footprint, chip.source_hrefs) for chip in some if chip.source_hrefs]
            self._largest = max(self._largest, float(_area(_boxes([chip.footprint for chip in some])).max()))
        self._chip_boxes = _boxes([links.footprint for links in self._chips])
        self._others = [place for place in places if place.chip_id not in made]
        self._boxes: NDArray[np.float64] = np.array([place.box for place in self._others], dtype="float64").reshape(-1, 4)
        self._asked = np.zeros(len(self._others), dtype=bool)

    def __call__(self, footprints: Sequence[Geometry]) -> list[LabelLinks]:
        """What the labels in these places link to."""
        if not len(footprints) or not (self._chips or len(self._others)):
            return []
        around = np.unique(_boxes(footprints), axis=0)
        found = [self._chips[position] for position in _near(self._chip_boxes, around)]
        wanted = _near(self._boxes, around)
        if (_area(around) <= _CHIPS_IN_A_SCENE * self._largest).any():
            wanted = np.union1d(wanted, np.flatnonzero(np.isnan(self._boxes[:, 0]) & ~self._asked))
        for links in self._loaded(wanted):
            # One whose place was not known before may lie anywhere.
            if _overlap(np.broadcast_to(_boxes([links.footprint]), around.shape), around).any():
                found.append(links)
        return found

    def _loaded(self, positions: NDArray[np.intp]) -> list[LabelLinks]:
        from lcnkit.terminal import progress

        if not len(positions):
            return []
        found = []
        log.debug("links of %d labels that the run leaves out are read", len(positions))
        with progress(len(positions), "labels") as advance:
            paths = [self._others[position].path for position in positions]
            for position, (_, item) in zip(positions, self._collection.load(paths), strict=True):
                links = None if isinstance(item, str) else self._read(self._others[position].chip_id, item)
                self._asked[position] = True
                if links is not None:
                    self._boxes[position] = _boxes([links.footprint])[0]
                    found.append(links)
                advance(isinstance(item, str))
        return found


def _near(boxes: NDArray[np.float64], around: NDArray[np.float64]) -> NDArray[np.intp]:
    """Positions of the boxes that are about one of ``around``; one that is not known is none."""
    import shapely

    known = np.flatnonzero(~np.isnan(boxes[:, 0]))
    if not len(known):
        return known
    place, box = shapely.STRtree(np.asarray(shapely.box(*boxes[known].T), dtype=object)).query(shapely.box(*around.T))
    near: NDArray[np.intp] = known[np.unique(box[_overlap(boxes[known][box], around[place])])]
    return near


def _box_of(document: Any) -> Box:
    from lcnkit.geometry import geometry_of

    bbox = document.get("bbox")
    if isinstance(bbox, list) and len(bbox) in (4, 6) and all(isinstance(value, int | float) for value in bbox):
        half = len(bbox) // 2
        if bbox[0] < bbox[half] and bbox[1] < bbox[half + 1]:  # else it may cross the date line
            return float(bbox[0]), float(bbox[1]), float(bbox[half]), float(bbox[half + 1])
    outline = geometry_of(document)
    if outline is None:
        return _UNKNOWN
    west, south, east, north = _boxes([outline])[0].tolist()
    return west, south, east, north


def _boxes(footprints: Sequence[Geometry]) -> NDArray[np.float64]:
    import shapely

    return np.asarray(shapely.bounds(np.asarray(footprints, dtype=object)), dtype="float64").reshape(-1, 4)


def _area(boxes: NDArray[np.float64]) -> Any:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether boxes share the greater part of both."""
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    sides = np.clip(high - low, 0, None)
    share = sides[..., 0] * sides[..., 1]
    return np.asarray(share >= _SAME_PLACE * np.maximum(_area(one), _area(other)))
