"""What every transform must keep to, as tests to inherit.

Inherit them, and say in a fixture which transform to try::

    class TestBrighten(TransformContract):
        @pytest.fixture
        def transform(self):
            return Brighten(factor=2)

The images have the bands of `TransformContract.bands`; name others there if the transform needs them.
"""

from __future__ import annotations

import pickle
import warnings
from typing import Any, ClassVar

import numpy as np
import pytest

from lcnkit.contracts import Transform
from lcnkit.errors import ChipError
from lcnkit.model import Image
from lcnkit.testing.plugin import PluginContract


def stored_image(bands: tuple[str, ...], dtype: str = "uint16", n_times: int = 3) -> Image:
    """An image as a reader gives it: nodata here and there, the last frame that of an empty period.

    Integers have the nodata value 0, floats NaN. Every band publishes a scale of 0.0001 and an offset of -0.1.
    """
    rng = np.random.default_rng(0)
    shape = (n_times, len(bands), 4, 5)
    values = rng.integers(1, 10_001, shape).astype(dtype)
    valid = np.ones(shape, dtype=bool)
    valid[0, :, 1, 2] = False  # nodata in all bands
    valid[0, 0, 3, 4] = False  # and in one
    valid[-1] = False
    nodata = 0.0 if np.issubdtype(values.dtype, np.integer) else float("nan")
    values[~valid] = nodata
    return Image(values, valid, bands, nodata, scale=np.full(shape[:2], 0.0001), offset=np.full(shape[:2], -0.1))


def assert_same_image(one: Image, other: Image) -> None:
    """Fail unless values, mask and bands are equal (NaN equals NaN)."""
    assert one.bands == other.bands
    assert one.values.dtype == other.values.dtype
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.valid, other.valid)


class TransformContract(PluginContract):
    """Inherit in a class named ``Test...`` and write one fixture, ``transform``, which gives the transform to try."""

    kind: ClassVar[str] = "transform"

    bands: ClassVar[tuple[str, ...]] = ("B02", "B03", "B04", "B08")
    """Bands of the images that are tried."""
    fills_gaps: ClassVar[bool] = False
    """``True`` for a transform that is there to make up values where there are none (interpolation in time)."""

    @pytest.fixture
    def transform(self) -> Transform:
        """The transform to try."""
        raise NotImplementedError("A test class that inherits TransformContract needs a fixture named 'transform'.")

    @pytest.fixture
    def plugin(self, transform: Transform) -> Transform:
        """For the tests that all kinds share."""
        return transform

    @pytest.fixture(params=["uint16", "float32"])
    def image(self, request: pytest.FixtureRequest) -> Image:
        """An image as a reader gives it, and as another transform does."""
        return stored_image(self.bands, request.param)

    def test_gives_an_image_of_the_same_time_and_grid(self, transform: Transform, image: Image) -> None:
        """Only bands may change; each has a name of its own, and the mask is boolean."""
        answer = transform.apply(image)
        assert isinstance(answer, Image), f"apply must return an Image; it returned {type(answer).__name__}"
        assert answer.values.shape[0] == image.values.shape[0], "the number of frames changed"
        assert answer.values.shape[2:] == image.values.shape[2:], "the grid changed"
        assert answer.valid.dtype == np.dtype(bool)
        assert len(set(answer.bands)) == len(answer.bands), f"a band name stands twice: {answer.bands}"

    def test_leaves_its_input_alone(self, transform: Transform, image: Image) -> None:
        """The arrays handed in are the reader's, and may be used again."""
        before = {name: np.array(getattr(image, name)) for name in ("values", "valid", "scale", "offset")}
        transform.apply(image)
        for name, array in before.items():
            np.testing.assert_array_equal(getattr(image, name), array, err_msg=f"apply changed image.{name} in place")

    def test_makes_up_no_data(self, transform: Transform, image: Image) -> None:
        """What was not valid is not valid afterwards; where no band was, no new band is either."""
        if self.fills_gaps:
            pytest.skip("this transform fills gaps")
        answer = transform.apply(image)
        nothing = ~image.valid.any(axis=1)
        for position, band in enumerate(answer.bands):
            was = image.valid[:, image.bands.index(band)] if band in image.bands else ~nothing
            assert not (answer.valid[:, position] & ~was).any(), f"band {band} became valid where there were no data"

    def test_marks_what_is_not_valid(self, transform: Transform, image: Image) -> None:
        """Exporters keep the values: in float images exactly what is not valid is NaN, in others it is ``nodata``."""
        answer = transform.apply(image)
        if np.issubdtype(answer.values.dtype, np.floating):
            np.testing.assert_array_equal(np.isnan(answer.values), ~answer.valid, err_msg="NaN and `valid` contradict each other")
        elif answer.nodata is not None:
            assert (answer.values[~answer.valid] == answer.nodata).all(), "pixels that are not valid do not hold `nodata`"

    @pytest.mark.parametrize("dtype", ["uint16", "float32"])
    def test_takes_an_image_without_data(self, transform: Transform, dtype: str) -> None:
        """A chip whose frames are all empty or cloudy: nothing valid, and no warning about it."""
        empty = stored_image(self.bands, dtype, n_times=1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            answer = transform.apply(empty)
        assert not answer.valid.any()

    def test_says_the_same_when_asked_again(self, transform: Transform, image: Image) -> None:
        """Two calls, or a copy on a worker, give the same image."""
        answer = transform.apply(image)
        assert_same_image(transform.apply(image), answer)
        assert_same_image(pickle.loads(pickle.dumps(transform)).apply(image), answer)

    def test_keeps_what_it_knows_of_each_band_in_step(self, transform: Transform, image: Image) -> None:
        """``scale`` and ``offset``, where kept, have an entry for every frame and band; ``derived`` names bands there are."""
        answer = transform.apply(image)
        for name in ("scale", "offset"):
            array: Any = getattr(answer, name)
            assert array is None or array.shape == answer.values.shape[:2], f"image.{name} does not fit the bands"
        assert set(answer.derived) <= set(answer.bands)

    def test_takes_other_bands_or_says_what_it_lacks(self, transform: Transform) -> None:
        """A band that is needed and not there costs the chip with a `ChipError`, not with a KeyError."""
        said = ""
        try:
            transform.apply(stored_image(("some_other_band",)))
        except ChipError as error:
            said = str(error)
        assert not said or "some_other_band" in said, "the message should name the bands there are"
