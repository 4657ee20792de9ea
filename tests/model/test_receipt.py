"""Receipts are kept small, and say the same."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcnkit.model import Receipt, Receipts

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def receipt(facts: dict[str, Any], chip: str = "A") -> Receipt:
    return Receipt(chip, "items.pkl", 10, "xxh3_128:0", 3, {"sentinel_2": (5, 3, 8, 8)}, facts, {"read": 0.5})


@given(st.dictionaries(st.text(), PLAIN, max_size=5))
def test_packing_changes_nothing_but_the_seconds(facts: dict[str, Any]) -> None:
    before = receipt(facts)
    packed = before.packed()
    assert packed.facts == facts
    assert packed.unpacked().facts == facts
    assert type(packed.unpacked().facts) is dict
    assert dict(packed.facts) == facts
    assert packed.as_dict() == {**before.as_dict(), "seconds": {}}
    assert packed.packed() == packed
    assert pickle.loads(pickle.dumps(packed)) == packed
    assert Receipt.from_dict(packed.as_dict()).facts == facts


def test_packed_facts_take_a_fraction() -> None:
    frames = [{"period": number, "item_id": f"ref_landcovernet_af_v1_source_sentinel_2_28QDE_11_2018{number:04}"} for number in range(20)]
    facts = {"frames": {"sentinel_2": frames}, "pixels": {str(number): number for number in range(20)}}
    assert len(pickle.dumps(receipt(facts).packed())) < len(pickle.dumps(receipt(facts))) / 3


def test_several_are_ordinary_when_they_are_taken() -> None:
    several = Receipts([receipt({"grid": {"crs": "EPSG:4326"}}, chip) for chip in "ABC"])
    assert [one.chip_id for one in several] == ["A", "B", "C"]
    assert several[1].facts == {"grid": {"crs": "EPSG:4326"}}
    assert type(several[-1].facts) is dict
    assert [type(one.facts) for one in several[:2]] == [dict, dict]
    assert len(several) == 3
    with pytest.raises(IndexError):
        several[3]
