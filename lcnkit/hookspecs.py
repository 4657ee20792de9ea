"""The hooks a plugin package can implement, one per kind.

A package needs one Python file with a class and a function, and one entry point::

    [project.entry-points.lcnkit]
    latest_clear = "lcnkit_latest_clear"

The entry point names the module that holds the functions marked ``@lcnkit.hookimpl``; what stands left of
``=`` is only a label. ``python -m lcnkit plugins`` lists what was found, and where it came from.

All hooks answer with classes by the name people write on the command line. Each class is a frozen dataclass
(``@dataclass(frozen=True, kw_only=True)``): the fields are its options, each with a default and a type that Hydra knows (``bool``,
``int``, ``float``, ``str``, ``Literal``, lists, tuples and dicts of these, ``| None``; others are passed on as they are written, for the class
to check); a string below a field is its help. ``defaults`` and names that begin with ``_`` are Hydra's own. They are called
once per process, before the configuration is composed: keep the module quick to import, and import heavy
libraries in the method that needs them. A name offered twice raises `PluginNameClash`, naming both packages.
A class that is no plugin stops the run with `PluginError` before any pixel is read. Answers are looked at when they come
(`lcnkit.answers`): a chip's cost the chip, all others end the run with `PluginError`, which names the plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from lcnkit.contracts import Backend, Catalog, Exporter, Reader, Strategy, Transform

hookspec = pluggy.HookspecMarker("lcnkit")
hookimpl = pluggy.HookimplMarker("lcnkit")


@hookspec
def lcnkit_catalog() -> dict[str, type[Catalog]]:  # type: ignore[empty-body]
    """Offer places to find acquisitions.

    Returns:
        Catalog classes by the name users write after ``catalog=``. One call of ``search`` answers for all
        chips of a run, unless the class has a `search_in_parts` of its own; ``items`` is called on workers.

    Example: ``lcnkit/catalog/static.py``. Contract: ``lcnkit.testing.catalog.CatalogContract``.
    """


@hookspec
def lcnkit_strategy() -> dict[str, type[Strategy]]:  # type: ignore[empty-body]
    """Offer rules that choose, for every chip, among its candidates.

    Returns:
        Strategy classes by the name users write after ``+strategy=``. ``select`` gets the candidates of
        many chips in one table (all of a run, or some hundred after the other) and should work on the whole table at once.

    Example: ``lcnkit/strategy/midpoint.py``, ``examples/lcnkit-latest-clear``. Contract:
    ``lcnkit.testing.strategy.StrategyContract``.
    """


@hookspec
def lcnkit_reader() -> dict[str, type[Reader]]:  # type: ignore[empty-body]
    """Offer ways to read the pixels of items on a chip's grid.

    Returns:
        Reader classes by the name users write after ``reader=``. ``read`` runs on workers.

    Example: ``lcnkit/reader/rasterio.py``, ``plugins/lcnkit-odc``. Contract: ``lcnkit.testing.reader.ReaderContract``.
    """


@hookspec
def lcnkit_transform() -> dict[str, type[Transform]]:  # type: ignore[empty-body]
    """Offer changes to an image between reading and writing.

    Returns:
        Transform classes by the name users write in ``transform=[...]``; they are applied in that order.

    Example: ``lcnkit/transform/index.py``. Contract: ``lcnkit.testing.transform.TransformContract``.
    """


@hookspec
def lcnkit_backend() -> dict[str, type[Backend]]:  # type: ignore[empty-body]
    """Offer places where tasks run.

    Returns:
        Backend classes by the name users write after ``backend=``.

    Example: ``lcnkit/backend/serial.py``. Contract: ``lcnkit.testing.backend.BackendContract``.
    """


@hookspec
def lcnkit_exporter() -> dict[str, type[Exporter]]:  # type: ignore[empty-body]
    """Offer file formats.

    Returns:
        Exporter classes by the name users write after ``exporter=``. ``write`` runs on workers, ``finish``
        on the client, ``read`` in ``lcnkit.open_dataset``.

    Example: ``lcnkit/exporter/npz.py``. Contract: ``lcnkit.testing.exporter.ExporterContract``.
    """
