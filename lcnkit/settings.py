"""What a run is: its data set, its sources and its keys, as objects.

Configuration stops here. Nothing in this module, and nothing that takes a `Run`, knows of Hydra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, get_args

from lcnkit.contracts import Backend, Catalog, Exporter, Reader, Strategy, Transform
from lcnkit.errors import ConfigError, UnknownName, did_you_mean, listing
from lcnkit.model import Interval

WhenEmpty = Literal["pad", "drop", "nearest", "error"]
Cloud = Literal["auto", "metadata", "mask"]
OnError = Literal["skip", "raise"]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Where labels and imagery lie, and what their parts are called."""

    root: str | None = None
    """Folder (or catalog.json) of the archive: a path, https://... or s3://BUCKET/PREFIX."""
    endpoint: str | None = None
    """URL of the S3-compatible service that an s3:// root lies in; null: Amazon's."""
    labels: str | None = None
    """The label collection: its id or the end of its id; null: the only one there is."""
    source: str | None = None
    """The source collection: its id or the end of its id (sentinel_2, sentinel_1, landsat_8); null: sentinel_2, or the only one there is."""
    bands: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Band lists by source and name: what bands=rgb means."""
    cloud_assets: dict[str, str] = field(default_factory=dict)
    """The cloud-mask asset of each source: cloud probability in percent, or classes where `cloud_classes` says so."""
    cloud_classes: dict[str, list[int]] = field(default_factory=dict)
    """Sources whose cloud mask holds classes, and which of them are clouds; Sentinel-2's SCL: [8, 9, 10]."""
    label_asset: str = "labels"
    """Key of the label raster among the label item's assets."""
    demo: dict[str, Any] | None = None
    """Options of the synthetic archive that is made where root is null."""
    citation: str | None = None
    """How to cite the data set; null: as its label collection says."""

    def bands_of(self, source: str, bands: str | tuple[str, ...]) -> tuple[str, ...]:
        """The asset keys that ``bands`` means for a source.

        Raises:
            UnknownName: ``bands`` is a name, and the source has no list of that name.
        """
        if not isinstance(bands, str):
            return bands
        presets = self.bands.get(source, {})
        if bands in presets:
            return tuple(presets[bands])
        raise UnknownName(
            f"bands={bands} is no band list of {source!r}; it has {listing(presets)}.{did_you_mean(bands, presets)} "
            f"A list of asset keys works always: bands=[{bands}]."
        )


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Which classes the label raster becomes."""

    band: int = 1
    """Band of the label raster that holds the classes, 1-based."""
    consensus_band: int = 2
    """Band that holds the consensus score, percent; read only with min_consensus."""
    min_consensus: float | None = None
    """Pixels whose consensus score is under this become ignore_index."""
    ignore: tuple[int, ...] = ()
    """Classes (as stored) that become ignore_index; [0] leaves out LandCoverNet's "No Data"."""
    remap: dict[int, int] = field(default_factory=dict)
    """New class numbers by stored class; classes that are not named keep theirs."""
    ignore_index: int = 255
    """The class of pixels that a loss function is to skip."""

    def __post_init__(self) -> None:
        if self.band < 1 or self.consensus_band < 1:
            raise ConfigError("label.band and label.consensus_band count from 1, as in GDAL")
        if self.min_consensus is not None and not 0 <= self.min_consensus <= 100:
            raise ConfigError(f"label.min_consensus is {self.min_consensus}; it is a percentage, 0 to 100")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One sensor of a run: what is read of it, by which rule and through which plugins."""

    catalog: Catalog
    strategy: Strategy
    reader: Reader
    transforms: tuple[Transform, ...]
    bands: str | tuple[str, ...] = "rgb"
    """Asset keys, or the name of a list in `Dataset.bands`."""
    collection: str | None = None
    """Overrides `Dataset.source`."""

    def __post_init__(self) -> None:
        if not self.bands:
            raise ConfigError("bands is empty: name at least one asset, e.g. bands=[B04]")
        if not isinstance(self.bands, str) and len(set(self.bands)) < len(self.bands):
            raise ConfigError(f"bands={list(self.bands)} names a band twice")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides what a data set holds, and where it is made."""

    dataset: Dataset
    sources: tuple[Source, ...]
    backend: Backend
    exporter: Exporter
    label: LabelOptions = field(default_factory=LabelOptions)
    n_periods: int = 5
    """Into how many equal parts the interval is cut."""
    when_empty: WhenEmpty = "pad"
    """A period without an acquisition: pad (a frame of NaN), drop (the chip), nearest (the closest one), error."""
    interval: Interval | None = None
    """Whole days; ``None``: the temporal extent of the label collection."""
    cloud: Cloud = "auto"
    """Where cloud cover comes from: metadata, mask, or auto (metadata, the mask where they say nothing)."""
    cloud_threshold: float | None = None
    """Count the share of mask pixels at or above this probability (percent) instead of their mean."""
    min_coverage: float = 0.5
    """Least fraction of a chip inside an item's footprint, 0 to 1."""
    chips: int | tuple[str, ...] | None = None
    """The first so many, or ids and globs; ``None``: all."""
    plan: str | None = None
    """A saved selection.parquet to run instead of searching."""
    output_dir: str = "outputs/lcnkit"
    overwrite: bool = False
    """Replace what an output folder holds of another configuration."""
    retries: int = 2
    """How often a chip is tried again that failed for a passing reason: the network, a busy server, a lost worker."""
    on_error: OnError = "skip"
    """A chip that cannot be made: skip (record it and go on), raise (stop the run; what is written is kept)."""
    pixel_cache: float | None = None
    """GB on this machine's disk for pixels that later runs of a sweep will want; ``None``: 8 where sources are remote, else none."""

    def __post_init__(self) -> None:
        if isinstance(self.n_periods, bool) or not isinstance(self.n_periods, int) or self.n_periods < 1:
            raise ConfigError(f"n_periods is {self.n_periods!r}; it must be a whole number of at least 1, e.g. n_periods=5")
        _one_of("when_empty", self.when_empty, get_args(WhenEmpty))
        _one_of("cloud", self.cloud, get_args(Cloud))
        if self.cloud_threshold is not None:
            _within("cloud_threshold", self.cloud_threshold, 100.0)
        _within("min_coverage", self.min_coverage, 1.0)
        if isinstance(self.chips, int) and self.chips < 1:
            raise ConfigError(f"chips is {self.chips}; a number of chips must be at least 1 (null: all)")
        if self.chips == ():
            raise ConfigError("chips is an empty list; name at least one chip, or leave it out for all (chips=null)")
        if not isinstance(self.overwrite, bool):
            raise ConfigError(f"overwrite is {self.overwrite!r}; it must be true or false")
        if isinstance(self.retries, bool) or not isinstance(self.retries, int) or self.retries < 0:
            raise ConfigError(f"retries is {self.retries!r}; it must be a whole number, 0 for none")
        _one_of("on_error", self.on_error, get_args(OnError))
        if self.pixel_cache is not None:
            _within("pixel_cache", self.pixel_cache, float("inf"))
        if len(self.sources) != 1:
            raise ConfigError(f"a run has one source for now; this one has {len(self.sources)}")

    @property
    def source(self) -> Source:
        """The only source."""
        return self.sources[0]


def source_name(dataset: Dataset, collection: str) -> str:
    """What a source collection is called in the run: the data set's word for it, else its id."""
    known = {*dataset.bands, *dataset.cloud_assets}
    return next((name for name in sorted(known) if collection.endswith(name)), None) or _first_release(collection, known) or collection


def _first_release(collection: str, known: set[str]) -> str | None:
    """The first release of LandCoverNet calls its one collection ``..._source``: that is Sentinel-2."""
    return "sentinel_2" if collection.endswith("source") and "sentinel_2" in known else None


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{name} is {value!r}; it must be one of {listing(known)}.{did_you_mean(str(value), known)}")


def _within(name: str, value: Any, top: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= top:
        raise ConfigError(f"{name} is {value!r}; it must be a number from 0 to {top:g}")


def as_interval(value: Any) -> Interval | None:
    """The interval that ``[2018-01-01, 2018-12-31]`` means.

    Raises:
        ConfigError: It is no pair of dates.
    """
    if value is None or isinstance(value, Interval):
        return value
    try:
        first, last = (date.fromisoformat(str(day)) for day in value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"interval is {value!r}; it must be two dates: interval=[2018-01-01,2018-12-31]") from error
    return Interval(first, last)


def as_names(key: str, value: Any) -> str | tuple[str, ...]:
    """A name, or a list of names."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    example = "[B04,B03,B02]" if key == "bands" else "[28QDE_00,28QDE_01]"
    number = "" if key == "bands" else "a number, "
    raise ConfigError(f"{key} is {value!r}; it must be {number}a name or a list of names, e.g. {key}={example}")


def as_chips(value: Any) -> int | tuple[str, ...] | None:
    """A number of chips, ids or globs."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    names = as_names("chips", value if isinstance(value, str) else [str(entry) for entry in value] if isinstance(value, list | tuple) else value)
    return (names,) if isinstance(names, str) else names


def describe_run(run: Run, names: Mapping[str, str]) -> dict[str, Any]:
    """What decides the contents of a data set, as plain JSON values.

    The backend, retries, what is done about errors, the output folder and whether it may be overwritten are left out: they
    change nothing.

    Args:
        names: Registered plugin names by import path of their classes.
    """
    from lcnkit.options import describe

    def plugin(instance: object) -> dict[str, Any]:
        path = f"{type(instance).__module__}.{type(instance).__qualname__}"
        return {"name": names.get(path, path), **describe(instance)}

    source = run.source
    return {
        "dataset": describe(run.dataset),
        "bands": describe(source.bands),
        "catalog": plugin(source.catalog),
        "strategy": plugin(source.strategy),
        "reader": plugin(source.reader),
        "transform": [plugin(transform) for transform in source.transforms],
        "exporter": plugin(run.exporter),
        "label": describe(run.label),
        "n_periods": run.n_periods,
        "when_empty": run.when_empty,
        "interval": None if run.interval is None else [str(run.interval.first), str(run.interval.last)],
        "cloud": run.cloud,
        "cloud_threshold": run.cloud_threshold,
        "min_coverage": run.min_coverage,
        "chips": describe(run.chips),
        "plan": run.plan,
    }
