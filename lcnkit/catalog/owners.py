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
    owners = _by_id(items, query.chip_ids)
    geometry = items["geometry"].to_numpy(dtype=object)
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


def _by_id(items: pd.DataFrame, chip_ids: frozenset[str]) -> NDArray[np.object_]:
    ids = items["item_id"].to_numpy(dtype=object)
    owners = np.full(len(items), "", dtype=object)
    code, collections = items["collection"].factorize()
    for number, collection in enumerate(collections):
        rows = np.flatnonzero(code == number)
        owners[rows] = owners_by_id(ids[rows], str(collection), chip_ids)
    return owners


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
