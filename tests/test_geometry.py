"""Footprints: cut at the antimeridian as RFC 7946 wants it, and how much of a chip they cover."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.affinity import rotate, translate
from shapely.geometry import mapping

from lcnkit.geometry import coverage, cut_at_180, geometry_of
from lcnkit.index.file_items import _shapes

ACROSS = [(179.0, 10.0), (-179.0, 10.0), (-179.0, 11.0), (179.0, 11.0)]
IN_PIECES = shapely.MultiPolygon([shapely.box(179, 10, 180, 11), shapely.box(-180, 10, -179, 11)])


def wrapped(shape: shapely.Geometry) -> shapely.Geometry:
    """Longitudes as they are published: from -180 to 180."""
    return shapely.transform(shape, lambda xy: np.column_stack([(xy[:, 0] + 180) % 360 - 180, xy[:, 1]]))


def read(shape: shapely.Geometry) -> list[shapely.Geometry]:
    """What the footprint becomes in an item's JSON and in a stac-geoparquet file."""
    return [geometry_of({"geometry": mapping(shape)}), _shapes([shapely.to_wkb(shape)])[0]]


@pytest.mark.parametrize("corners", [ACROSS, ACROSS[::-1], ACROSS[1:] + ACROSS[:1]])
def test_a_ring_across_the_antimeridian_is_cut(corners: list[tuple[float, float]]) -> None:
    for shape in read(shapely.Polygon(corners)):
        assert shape.equals(IN_PIECES)
        assert not shape.intersects(shapely.Point(3, 10.5))


@pytest.mark.parametrize("bbox", [[179, 10, -179, 11], [179, 10, 0, -179, 11, 500]])
def test_a_bbox_across_the_antimeridian_is_cut(bbox: list[float]) -> None:
    made = geometry_of({"geometry": None, "bbox": bbox})
    assert made is not None
    assert made.equals(IN_PIECES)


@pytest.mark.parametrize(
    "shape",
    [
        IN_PIECES,
        shapely.box(-180, -90, 180, 90),
        shapely.box(-180, 50, 180, 60),
        shapely.Polygon([(-170, 0), (0, 0), (170, 0), (170, 10), (0, 10), (-170, 10)]),
        shapely.box(0, 0, 180, 10),
    ],
)
def test_others_stay_as_they_are(shape: shapely.Geometry) -> None:
    assert all(found.equals_exact(shape, 0) for found in read(shape))


def test_a_wide_bbox_means_what_it_says_also_in_an_index() -> None:
    made = geometry_of({"bbox": [-170, -60, 170, 60]})
    assert made is not None
    assert all(shape.equals(shapely.box(-170, -60, 170, 60)) for shape in (made, *read(made)))


def test_a_ring_round_a_pole_encloses_it() -> None:
    for turn in (0, 100, 180):
        ring = shapely.Polygon([((turn + lon + 180) % 360 - 180, 80) for lon in (0, 90, 180, 270)])
        for shape in read(ring):
            assert shape.equals(shapely.box(-180, 80, 180, 90))
    south = cut_at_180(shapely.Polygon([(0, -80), (90, -80), (180, -80), (-90, -80)]))
    assert south.equals(shapely.box(-180, -90, 180, -80))


@pytest.mark.parametrize("middle", [180, -180])
def test_holes_and_several_parts(middle: int) -> None:
    ring, hole = shapely.box(middle - 3, 0, middle + 3, 4), shapely.box(middle - 1, 1, middle + 2, 2)
    part = shapely.Polygon(ring.exterior, [hole.exterior])
    far = shapely.box(0, 0, 1, 1)
    for made in read(wrapped(shapely.MultiPolygon([part, far]))):
        assert made.area == pytest.approx(part.area + 1)
        assert made.contains(far)
        assert not made.intersects(shapely.box(179.5, 1.2, 180, 1.8))


def test_of_a_collection_its_areas_count() -> None:
    line, ring = shapely.LineString(ACROSS), shapely.Polygon(ACROSS)
    for shape in ([line, ring], [shapely.MultiPolygon([ring]), line]):
        assert cut_at_180(shapely.GeometryCollection(shape)).equals(IN_PIECES)


sides = st.floats(0.01, 80)


@given(st.floats(-180, 180), st.floats(-70, 70), sides, sides, st.floats(0, 90))
def test_where_a_footprint_lies_does_not_depend_on_the_antimeridian(lon: float, lat: float, width: float, height: float, angle: float) -> None:
    """What is cut has the area of what was meant, lies within -180 to 180, and is not cut again."""
    meant = rotate(shapely.box(lon - width / 2, lat - height / 8, lon + width / 2, lat + height / 8), angle)
    meant = shapely.intersection(meant, shapely.box(-1000, -90, 1000, 90))
    for made in read(wrapped(meant)):
        assert made.is_valid
        assert made.area == pytest.approx(meant.area, rel=1e-6, abs=1e-9)
        assert -180 <= made.bounds[0] <= made.bounds[2] <= 180
        back = shapely.union_all([translate(made, turn) for turn in (-360, 0, 360)])
        assert coverage([meant], [back]) == 1
        assert cut_at_180(made) is made


@given(st.floats(-180, 180), st.floats(-70, 70), st.floats(0.01, 80), st.floats(0, 90), st.lists(st.integers(-40, 40), min_size=10, max_size=10))
def test_an_outline_that_differs_in_its_last_bits_covers_all(lon: float, lat: float, side: float, angle: float, bits: list[int]) -> None:
    """One computed the label's outline, another the item's."""
    chip = rotate(shapely.box(lon - side / 2, lat - side / 9, lon + side / 2, lat + side / 9), angle)
    corners = shapely.get_coordinates(chip)[:4]
    item = shapely.Polygon(corners + np.reshape(bits[:8], (4, 2)) * np.spacing(np.abs(corners)))
    same = shapely.transform(chip, lambda xy: np.column_stack([(xy[:, 0] + 180) % 360 - 180 if abs(lon) + side < 170 else xy[:, 0], xy[:, 1]]))
    assert coverage([chip, item, chip], [item, chip, same]).tolist() == [1, 1, 1]


def test_one_of_the_pairs_that_geos_finds_apart() -> None:
    """GEOS 3.14, without a grid: no common area. The corners of one are those of the other but for four last bits."""
    corners = np.array([[-172.321245909, -0.012344225], [-172.320955775, 0.012654091], [-172.345954091, 0.012944225], [-172.346244225, -0.012054091]])
    bits = np.array([[0, -1], [1, -1], [0, 1], [0, 0]])
    chip, item = shapely.Polygon(corners), shapely.Polygon(corners + bits * np.spacing(np.abs(corners)))
    assert coverage([chip, item], [item, chip]).tolist() == [1, 1]
