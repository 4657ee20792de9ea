"""Whose an item is, by its id: many at once give what each gives alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lcnkit.ownership import owner_by_id, owners_by_id

names = st.text(alphabet="ab_", max_size=6)


@given(ids=st.lists(names, max_size=8), collection=st.text(alphabet="ab_", max_size=3), chips=st.frozensets(names, max_size=4))
def test_many_at_once(ids: list[str], collection: str, chips: frozenset[str]) -> None:
    assert owners_by_id(ids, collection, chips) == [owner_by_id(item_id, collection, chips) for item_id in ids]


def test_as_in_landcovernet() -> None:
    chips = frozenset({"28QDE_1", "28QDE_11"})
    ids = ["src_28QDE_1_20180105", "src_28QDE_11_20180105", "src_28QDE_1", "28QDE_11", "src_28QDE_2_20180105"]
    assert owners_by_id(ids, "src", chips) == ["28QDE_1", "28QDE_11", "28QDE_1", "28QDE_11", ""]
