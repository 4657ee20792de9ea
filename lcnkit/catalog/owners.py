"""Which chip each item was cut for."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import numpy as np

from lcnkit.contracts import Query
from lcnkit.geometry import coverage
from lcnkit.model import Chip
from lcnkit.model.chip import LabelLinks
from lcnkit.model.href import is_url
from lcnkit.ownership import owners_by_id

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from shapely import Geometry

# Chips and what was cut for them are about as large as each other: what is larger than so many chips is a scene.
_CHIPS_IN_A_SCENE = 4
# An item whose outline and the chip's cover each other to this share was cut for the chip.
_SAME_OUTLINE = 0.98


def owners_of(items: pd.DataFrame, chips: Sequence[Chip], query: Query, selves: Callable[[], Sequence[str]]) -> np.ndarray:
    """The chip each item was cut for, ``""`` where it is no chip: by its id, else by the one label that links to it and has its outline.

    Links count only where the query knows those of all labels: a chip's candidates do not depend on the other chips of a run.

    Args:
        items: `lcnkit.index.crawl.TABLE`.
        chips: Those that are searched for; items that touch none of them are not looked at closely.
        selves: Gives the absolute href of each item; asked only if need be.
    """
    owners, geometry = _by_id(items, query.chip_ids), items["geometry"].to_numpy(dtype=object)
    owners[_scenes(owners, geometry, chips, query)] = ""
    near = _near(geometry, np.flatnonzero(owners == ""), chips) if query.label_links is not None else ()
    labels = query.label_links(list(geometry[near])) if query.label_links is not None and len(near) else ()
    if not labels:
        return owners
    hrefs, ids = selves(), items["item_id"].to_numpy(dtype=object)
    item, label = _linked(labels, {int(position): (hrefs[position], str(ids[position])) for position in near})
    same = _same_outline(geometry[item], np.array([links.footprint for links in labels], dtype=object)[label])
    found: dict[int, set[str]] = {}
    for position, number in zip(item[same].tolist(), label[same].tolist(), strict=True):
        found.setdefault(position, set()).add(labels[number].chip_id)
    for position, names in found.items():
        if len(names) == 1:  # what two labels of one place share is free for both
            owners[position] = names.pop()
    return owners


def is_scene(outline: Geometry, chips: Sequence[Chip]) -> bool:
    """Whether an item is too large to be cut for any of these chips."""
    import shapely

    return bool(shapely.area(outline) > _CHIPS_IN_A_SCENE * _largest(chips))


def _by_id(items: pd.DataFrame, chip_ids: frozenset[str]) -> NDArray[np.object_]:
    ids = items["item_id"].to_numpy(dtype=object)
    owners = np.full(len(items), "", dtype=object)
    code, collections = items["collection"].factorize()
    for number, collection in enumerate(collections):
        rows = np.flatnonzero(code == number)
        owners[rows] = owners_by_id(ids[rows], str(collection), chip_ids)
    return owners


def _scenes(owners: NDArray[np.object_], geometry: np.ndarray, chips: Sequence[Chip], query: Query) -> NDArray[np.intp]:
    """The items that touch a chip and were not cut for the other one that their id names.

    Scenes may be called after the places that chips are called after. What was cut for a chip lies there and is no larger than
    a few of it. It may be larger: a coarse sensor's pixels reach over the edge, and a bbox is larger than what it is around.
    """
    import pandas as pd
    import shapely

    rows = np.flatnonzero(owners != "")
    if not len(rows) or not chips:
        return rows[:0]
    # The items of a chip mostly share one outline, which is looked at once.
    shape, _ = pd.factorize(np.fromiter(map(id, geometry[rows]), "int64", len(rows)))
    code, names = pd.factorize(owners[rows])
    pair, keys = pd.factorize(shape * len(names) + code)
    first = np.empty(len(keys), dtype="int64")
    first[pair[::-1]] = np.arange(len(rows))[::-1]
    outlines, named = geometry[rows[first]], owners[rows[first]]
    hits, near = shapely.STRtree(np.array([chip.footprint for chip in chips], dtype=object)).query(outlines)
    ids = np.array([chip.id for chip in chips], dtype=object)
    foreign = np.unique(hits[named[hits] != ids[near]])
    scenes = foreign[~_is_cut_for(outlines[foreign], named[foreign], chips, query)]
    return np.asarray(rows[np.isin(pair, scenes)]) if len(scenes) else rows[:0]


def _is_cut_for(outlines: np.ndarray, named: np.ndarray, chips: Sequence[Chip], query: Query) -> NDArray[np.bool_]:
    """Whether each outline is about that of the chip beside it."""
    import shapely

    known = {chip.id: chip.footprint for chip in chips}
    others = sorted({*named} - {*known})
    if others and query.label_outlines is not None:
        known |= query.label_outlines(others)
    own = np.array([known.get(name) for name in named], dtype=object)
    is_known = ~shapely.is_missing(own)
    is_cut = shapely.area(outlines) <= _CHIPS_IN_A_SCENE * np.where(is_known, shapely.area(own), _largest(chips))
    is_cut[is_known] &= coverage(own[is_known], outlines[is_known]) > 0
    return np.asarray(is_cut, dtype=bool)


def _largest(chips: Sequence[Chip]) -> float:
    import shapely

    return max(map(float, shapely.area([chip.footprint for chip in chips])))


def _same_outline(one: np.ndarray, other: np.ndarray) -> NDArray[np.bool_]:
    """Which pairs of outlines are about the same; the items of a chip mostly share one, which is compared once."""
    import pandas as pd
    import shapely

    keys = [pd.factorize(pd.Series(shapely.to_wkb(shapes), dtype=object))[0].astype("int64") for shapes in (one, other)]
    _, first, inverse = np.unique(keys[0] * (len(one) + 1) + keys[1], return_index=True, return_inverse=True)
    pair = list(one[first]), list(other[first])
    same = (coverage(*pair) >= _SAME_OUTLINE) & (coverage(*reversed(pair)) >= _SAME_OUTLINE)
    return np.asarray(same[inverse], dtype=bool)


def _near(geometry: np.ndarray, free: NDArray[np.intp], chips: Sequence[Chip]) -> NDArray[np.intp]:
    """The ``free`` items that touch a chip: of the others it does not matter whose they are."""
    import shapely

    if not len(free) or not chips:
        return free[:0]
    hits, _ = shapely.STRtree(np.array([chip.footprint for chip in chips], dtype=object)).query(geometry[free])
    near: NDArray[np.intp] = free[np.unique(hits)]
    return near


def _linked(labels: Sequence[LabelLinks], items: dict[int, tuple[str, str]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of item and label, by position: the label links to the item.

    By its address, else (where labels and imagery are kept in different places) by the id that the link's path ends in.
    """
    pairs = _pairs(labels, _positions({position: href for position, (href, _) in items.items()}), lambda href: (href,))
    left = {position: item_id for position, (_, item_id) in items.items()}
    for position, _ in pairs:
        left.pop(position, None)
    if left:
        pairs += _pairs(labels, _positions(left), _names)
    unique = np.array(sorted(set(pairs)), dtype=np.intp).reshape(-1, 2)
    return unique[:, 0], unique[:, 1]


def _positions(keys: dict[int, str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for position, key in keys.items():
        found.setdefault(key, []).append(position)
    return found


def _pairs(labels: Sequence[LabelLinks], items: dict[str, list[int]], keys: Callable[[str], Sequence[str]]) -> list[tuple[int, int]]:
    return [
        (position, number) for number, links in enumerate(labels) for href in links.hrefs for key in keys(href) for position in items.get(key, ())
    ]


def _names(href: str) -> tuple[str, str]:
    """The ids that a path may tell: ``.../ID``, ``.../ID.json``, ``.../ID/stac.json``."""
    path = (urlsplit(href).path if is_url(href) else href).rstrip("/")
    folder, name = posixpath.split(path)
    return unquote(name.removesuffix(".json")), unquote(posixpath.basename(folder))
