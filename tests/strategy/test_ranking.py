"""What the strategies share: sentences for many rows at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lcnkit.strategy.ranking import worded

numbers = st.sampled_from([0.0, 0.5, 12.25, 100.0, float("inf")]) | st.floats(0, 100)


@given(st.lists(st.tuples(st.integers(1, 3), numbers, st.sampled_from(["2018-01", "2018-02"]))))
def test_a_sentence_for_each_row_as_if_written_alone(rows: list[tuple[int, float, str]]) -> None:
    def sentence(place: int, cloud: float, month: str) -> str:
        return f"{place} of {month}: {cloud!r}"

    facts = [np.array([row[column] for row in rows], dtype) for column, dtype in enumerate((np.int64, np.float64, object))]
    made = worded(sentence, *facts)
    assert made.dtype == object
    assert made.tolist() == [sentence(*row) for row in rows]


def test_equal_rows_share_one_text() -> None:
    made = worded(lambda number: f"number {number}", np.array([7, 8, 7]))
    assert made[0] is made[2]
