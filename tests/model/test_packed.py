"""What is packed is small, and is the same when it is taken."""

from __future__ import annotations

import pickle
from datetime import date
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from lcnkit.model import Chip, Frame, Grid, Interval, Packed, PackedDict, Receipt
from lcnkit.model.packed_hrefs import PackedHrefs

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(PLAIN, max_size=6), st.data())
def test_a_sequence_like_any_other(things: list[Any], data: st.DataObject) -> None:
    packed = Packed(things)
    assert packed == things
    assert list(packed) == things
    assert len(packed) == len(things)
    assert list(pickle.loads(pickle.dumps(packed))) == things
    start, stop = data.draw(st.integers(-8, 8)), data.draw(st.integers(-8, 8))
    assert packed[start:stop] == things[start:stop]
    places = data.draw(st.lists(st.integers(0, len(things) - 1), max_size=6)) if things else []
    assert list(packed.at(places)) == [things[place] for place in places]
    for place in range(-len(things), len(things)):
        assert packed[place] == things[place]
    with pytest.raises(IndexError):
        packed[len(things)]


@given(st.lists(st.tuples(st.sampled_from("abcde"), PLAIN | st.just("gone")), max_size=12))
def test_a_dictionary_like_any_other(steps: list[tuple[str, Any]]) -> None:
    plain: dict[str, Any] = {}
    packed: PackedDict[Any] = PackedDict()
    for name, value in steps:
        for one in (plain, packed):
            if value == "gone":
                one.pop(name, None)
            else:
                one[name] = value
    assert packed == plain
    assert list(packed) == list(plain)
    assert list(packed.values()) == list(plain.values())
    assert [name in packed for name in "abcdef"] == [name in plain for name in "abcdef"]
    assert list(packed.of("edcbaf")) == [plain[name] for name in "edcba" if name in plain]


def test_what_is_taken_is_nobody_elses() -> None:
    packed = Packed([["a"]])
    packed[0].append("b")
    assert packed == [["a"]]


def test_an_object_larger_than_zlib_looks_back() -> None:
    things = [bytes(np.random.default_rng(seed).bytes(100_000)) for seed in range(3)]
    assert list(Packed([*things, *things])) == [*things, *things]


def chip(number: int) -> Chip:
    grid = Grid("EPSG:32628", (10.0, 0.0, 464_000.0 + 2560 * number, 0.0, -10.0, 1_600_000.0), (256, 256))
    outline = shapely.box(number, 10, number + 0.02, 10.02)
    name = f"28QDE_{number:02}"
    hrefs = PackedHrefs([f"../sentinel_2_{name}_2018{day:04}/stac.json" for day in range(4)], "/archive/labels/stac.json")
    return Chip(
        name,
        f"ref_landcovernet_af_v1_labels_{name}",
        f"/archive/{name}/labels.tif",
        grid,
        Interval(date(2018, 1, 1), date(2018, 12, 31)),
        outline,
        hrefs,
    )


def frame(number: int) -> Frame:
    return Frame(
        number, np.datetime64("2018-01-03T11:02:03.123456789"), f"ref_landcovernet_af_v1_source_sentinel_2_28QDE_11_2018{number:04}", "a/b", 1.5
    )


def test_chips_frames_and_receipts_stay_what_they_are() -> None:
    chips = [chip(number) for number in range(40)]
    assert Packed(chips) == chips
    assert all(type(one.grid.shape) is tuple and one.grid.bounds == other.grid.bounds for one, other in zip(Packed(chips), chips, strict=True))
    frames = [*map(frame, range(20)), Frame(3, np.datetime64("2018-07-02T12:00", "ns"))]
    again = list(Packed(frames))
    assert [(one.period, one.time, one.item_id, one.item_href, one.missing) for one in again] == [
        (one.period, one.time, one.item_id, one.item_href, one.missing) for one in frames
    ]
    assert {one.time.dtype for one in again} == {np.dtype("datetime64[ns]")}
    assert np.isnan(again[-1].cloud_cover)
    assert again[0].cloud_cover == 1.5
    facts = {"frames": {"sentinel_2": [{"period": number, "item_id": one.item_id} for number, one in enumerate(frames)]}}
    receipts = [Receipt(one.id, "items.pkl", 10, "xxh3_128:0", 3, {"sentinel_2": (5, 3, 8, 8)}, facts, {}) for one in chips]
    assert Packed(receipts) == receipts
    for things in (chips, receipts):
        assert sum(map(len, Packed(things)._kept)) < sum(len(pickle.dumps(one)) for one in things) / 5
