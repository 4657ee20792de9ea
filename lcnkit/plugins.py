"""Finding plugins: the built-in ones and those of installed packages take the same road."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from lcnkit import contracts, hookspecs
from lcnkit.errors import PluginError, PluginNameClash, UnknownName, did_you_mean, listing

if TYPE_CHECKING:
    from lcnkit.settings import Run

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "lcnkit"
# Stands for the package of a plugin that no package announces.
_SESSION = "this session"

#: The kinds and their contracts, in the order a run meets them.
KINDS: dict[str, type] = {
    "catalog": contracts.Catalog,
    "strategy": contracts.Strategy,
    "reader": contracts.Reader,
    "transform": contracts.Transform,
    "backend": contracts.Backend,
    "exporter": contracts.Exporter,
}

BUILT_IN = (
    "catalog.static",
    "catalog.api",
    "catalog.geoparquet",
    "catalog.links",
    "strategy.season_min_cc",
    "strategy.min_cc",
    "strategy.monthly_plus_best",
    "strategy.midpoint",
    "strategy.all",
    "strategy.random",
    "reader.auto",
    "reader.rasterio",
    "reader.stackstac",
    "transform.reflectance",
    "transform.raw",
    "transform.index",
    "backend.serial",
    "backend.local",
    "backend.scheduler",
    "backend.gateway",
    "exporter.pickle",
    "exporter.npz",
)


@dataclass(frozen=True)
class Plugin:
    """A class somebody offers under a name."""

    kind: str
    name: str
    cls: type
    package: str
    """The distribution it comes from, with its version; ``lcnkit`` for the built-in ones."""

    @property
    def summary(self) -> str:
        """First line of the class's docstring."""
        text = inspect.getdoc(self.cls) or ""
        return "" if text.startswith(f"{self.cls.__name__}(") else text.split("\n\n")[0].replace("\n", " ")


@dataclass(frozen=True)
class Registry:
    """All plugins by kind and name."""

    plugins: Mapping[str, Mapping[str, Plugin]]
    broken: Mapping[str, str] = field(default_factory=dict)
    """Packages whose plugin module could not be imported, and why."""

    def get(self, kind: str, name: str) -> Plugin:
        """The plugin of that kind and name.

        Raises:
            UnknownName: There is none; the message names near misses and what there is.
        """
        known = self.plugins[kind]
        if name not in known:
            hint = "".join(f" The package {package} could not be loaded: {why}." for package, why in self.broken.items())
            raise UnknownName(f"There is no {kind} {name!r}; there is {listing(known)}.{did_you_mean(name, known)}{hint}")
        return known[name]

    def find(self, target: str) -> Plugin:
        """The plugin whose class has the import path ``target``.

        Raises:
            UnknownName: No plugin offers that class.
        """
        for plugin in self:
            if f"{plugin.cls.__module__}.{plugin.cls.__qualname__}" == target:
                return plugin
        raise UnknownName(f"No plugin offers the class {target!r}; see `python -m lcnkit plugins`.")

    def name_of(self, instance: object) -> str:
        """The name a plugin object goes by; its class's path where it was never registered."""
        for plugin in self:
            if plugin.cls is type(instance):
                return plugin.name
        return f"{type(instance).__module__}.{type(instance).__qualname__}"

    def others_in(self, run: Run) -> list[Plugin]:
        """The plugins of a run that are not built in, in the order in which it meets them."""
        source = run.source
        used: list[tuple[str, object]] = [("catalog", source.catalog), ("strategy", source.strategy), ("reader", source.reader)]
        used += [("transform", transform) for transform in source.transforms]
        used += [("backend", run.backend), ("exporter", run.exporter)]
        known = {plugin.cls: plugin for plugin in self}
        plugins = [known.get(type(one)) or Plugin(kind, self.name_of(one), type(one), _SESSION) for kind, one in used]
        return [plugin for plugin in plugins if plugin.cls.__module__.partition(".")[0] != "lcnkit"]

    def __iter__(self) -> Iterator[Plugin]:
        return (plugin for kind in self.plugins.values() for plugin in kind.values())


def make_manager() -> tuple[pluggy.PluginManager, dict[str, str]]:
    """A fresh plugin manager with the built-in and all installed plugins, and the packages that would not load.

    Raises:
        PluginError: A function marked as a hook has no such name or signature.
    """
    manager = pluggy.PluginManager("lcnkit")
    manager.add_hookspecs(hookspecs)
    for name in BUILT_IN:
        _register(manager, importlib.import_module(f"lcnkit.{name}"), "lcnkit")
    broken: dict[str, str] = {}
    for entry_point in sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        dist = entry_point.dist
        package = f"{dist.name} {dist.version}" if dist else entry_point.value
        try:
            module = entry_point.load()
        except (Exception, SystemExit) as error:
            broken[package] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            _warn_once(package, broken[package])
            continue
        if not manager.is_registered(module):
            _register(manager, module, package)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(f"{error}{did_you_mean(str(error).split(chr(39))[1], [f'lcnkit_{kind}' for kind in KINDS])}") from error
    return manager, broken


@cache
def _warn_once(package: str, why: str) -> None:
    """Say it the first time; a run asks for its plugins more than once."""
    log.warning("The plugin package %s cannot be loaded: %s", package, why)


def _register(manager: pluggy.PluginManager, module: ModuleType, package: str) -> None:
    try:
        manager.register(module, name=f"{package}:{getattr(module, '__name__', module)}")
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(f"The plugin {getattr(module, '__name__', module)} of {package} cannot be registered: {error}") from error


def load_registry(extra: Iterable[ModuleType] = ()) -> Registry:
    """Ask every plugin what it offers.

    Args:
        extra: Modules with hooks that no package announces, for tests and notebooks.

    Raises:
        PluginNameClash: Two plugins offer the same name of one kind.
        PluginError: A plugin offers something that is no plugin.
    """
    manager, broken = make_manager()
    for module in extra:
        _register(manager, module, _SESSION)
    found: dict[str, dict[str, Plugin]] = {kind: {} for kind in KINDS}
    for kind in KINDS:
        # Hooks are called last-registered first; names are to be listed in the order of registration.
        for implementation in getattr(manager.hook, f"lcnkit_{kind}").get_hookimpls():
            package = implementation.plugin_name.split(":")[0]
            for name, cls in _offered(implementation, kind, package).items():
                if name in found[kind]:
                    other = found[kind][name]
                    raise PluginNameClash(
                        f"The {kind} {name!r} is offered twice: by {other.package} ({other.cls.__module__}) and by "
                        f"{package} ({cls.__module__}). Uninstall one of them, or ask its authors for another name."
                    )
                found[kind][name] = Plugin(kind, name, cls, package)
    return Registry(found, broken)


def _offered(implementation: Any, kind: str, package: str) -> dict[str, type]:
    """What one hook function answers, checked."""
    where = f"{package}: lcnkit_{kind}()"
    try:
        offered = implementation.function()
    except Exception as error:  # somebody else's function; the message says whose
        raise PluginError(f"{where} failed with {type(error).__name__}: {error}") from error
    if not isinstance(offered, Mapping):
        raise PluginError(f"{where} must return a dict of classes by name; it returned {type(offered).__name__}.")
    for name, cls in offered.items():
        if not (isinstance(name, str) and name.isidentifier()):
            raise PluginError(f"{where}: {name!r} is no name that can be written on the command line: use letters, digits and _.")
        if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
            raise PluginError(f"{where}: {name!r} must be a dataclass, the class itself; it is {cls!r}.")
        if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise PluginError(f"{where}: {name!r} must be frozen: write @dataclass(frozen=True, kw_only=True) above {cls.__name__}.")
        reserved = [entry.name for entry in dataclasses.fields(cls) if entry.init and (entry.name == "defaults" or entry.name.startswith("_"))]
        if reserved:
            raise PluginError(f"{where}: {name!r} has the option {reserved[0]!r}, a name that Hydra keeps to itself: choose another.")
        _check_contract(cls, kind, f"{where}: {name!r}")
    return dict(offered)


def _check_contract(cls: type, kind: str, where: str) -> None:
    contract = KINDS[kind]
    if kind == "strategy":
        if not callable(getattr(cls, "select", None)):
            raise PluginError(f"{where} ({cls.__name__}) has no method select(candidates); see lcnkit.contracts.Strategy.")
        return
    if not issubclass(cls, contract):
        raise PluginError(f"{where} ({cls.__name__}) must inherit from lcnkit.contracts.{contract.__name__}.")
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"{where} ({cls.__name__}) lacks {listing(missing)}; see lcnkit.contracts.{contract.__name__}.")
