"""Chips into areas to search: all are covered, none is too large, and they are few."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from lcnkit.catalog.api_groups import groups_of
from lcnkit.model import Chip, Grid, Interval

GRID = Grid("EPSG:32633", (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), (256, 256))
YEAR = Interval(date(2018, 1, 1), date(2018, 12, 31))
SIZE = 0.025


def chip(number: int, west: float, south: float) -> Chip:
    return Chip(f"{number}", f"{number}", "", GRID, YEAR, shapely.box(west, south, west + SIZE, south + SIZE))


places = st.lists(st.tuples(st.floats(-179, 179, width=32), st.floats(-75, 75, width=32)), max_size=40)


@settings(max_examples=80, deadline=None)
@given(places, st.integers(1, 50))
def test_every_chip_is_in_an_area_of_bounded_size(where: list[tuple[float, float]], most: int) -> None:
    chips = [chip(number, *place) for number, place in enumerate(where)]
    boxes = groups_of(chips, most)
    assert len(boxes) <= len(chips)
    for one in chips:
        west, south, east, north = one.footprint.bounds
        assert any(box[0] <= west and box[1] <= south and box[2] >= east and box[3] >= north for box in boxes)
    for west, south, east, north in boxes:
        assert north - south <= 1.5 + 1e-9
        assert (east - west) * max(0.1, np.cos(np.radians((south + north) / 2))) <= 1.5 + 1e-6


def test_chips_of_a_tile_are_one_area() -> None:
    assert len(groups_of([chip(number, 14 + 0.2 * (number % 5), 45 + 0.2 * (number // 5)) for number in range(25)])) == 1


def test_tiles_far_apart_are_areas_of_their_own() -> None:
    chips = [chip(4 * number + tile, west + 0.2 * number, 10.0) for tile, west in enumerate((0.0, 3.0, 6.0, 90.0)) for number in range(4)]
    assert len(groups_of(chips)) == 4


def test_a_dense_region_is_cut_into_few() -> None:
    """A lattice of 10,000 chips over 20 x 20 degrees: not one search per chip, nor one for all."""
    chips = [chip(number, 0.2 * (number % 100), 0.2 * (number // 100)) for number in range(10_000)]
    assert 200 <= len(groups_of(chips)) <= 300


@pytest.mark.parametrize(("most", "areas"), [(1000, 1), (10, 4), (1, 25)])
def test_an_area_holds_a_bounded_number_of_chips(most: int, areas: int) -> None:
    assert len(groups_of([chip(number, 14 + 0.2 * (number % 5), 45 + 0.2 * (number // 5)) for number in range(25)], most)) == areas


def test_chips_in_one_place_are_not_cut_forever() -> None:
    assert len(groups_of([chip(number, 14, 45) for number in range(50)], 1)) == 50


def test_a_footprint_cut_at_the_date_line() -> None:
    both = shapely.union_all([shapely.box(179.99, 10, 180, 10.02), shapely.box(-180, 10, -179.99, 10.02)])
    assert sorted(groups_of([Chip("1", "1", "", GRID, YEAR, both)])) == [(-180, 10, -179.99, 10.02), (179.99, 10, 180, 10.02)]


def test_no_chips_no_areas() -> None:
    assert groups_of([]) == []
