"""From configuration to objects: the one module that knows Hydra, besides the command line.

`register` gives Hydra a node for every plugin, `compose` makes a `Run` from overrides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lcnkit.errors import ConfigError, PluginError, UnknownName, did_you_mean, in_one_line, listing
from lcnkit.options import build, node_of
from lcnkit.plugins import KINDS, Registry, load_registry
from lcnkit.secrets import reference, refuse_literals
from lcnkit.settings import Dataset, LabelOptions, Run, Source, as_chips, as_interval, as_names

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIG_MODULE = "lcnkit_configs"
CONFIG_NAME = "config"
GROUPS = ("dataset", *KINDS, "label")

_GROUP_CHOICE = re.compile(rf"^\+{{1,2}}({'|'.join(GROUPS)})=")
# What Hydra's grammar (OverrideLexer.g4) takes without quotes, and what has a meaning of its own in a value.
_BARE = re.compile(r"[\w\s/\-+.$%*@?|:]*", re.ASCII)
_MEANT = frozenset("[]{}()'\",\\")
# Hydra makes these folders as they are written.
_FOLDERS = ("output_dir", "hydra.run.dir", "hydra.sweep.dir")
_EXPERIMENT = re.compile(r"^experiment=")
# An option that is a dict takes new keys: Hydra would only let those be changed that are there. `build` checks the option itself.
_DICT_OPTION = re.compile(rf"^(?=({'|'.join(GROUPS)})\.[\w.]+=\{{)")
#: Keys of the primary configuration that `Run` and `Source` take as they are.
_KEYS = (
    *("n_periods", "bands", "when_empty", "interval", "cloud", "cloud_threshold", "min_coverage", "chips", "plan"),
    *("output_dir", "overwrite", "retries", "on_error", "pixel_cache"),
)


def register(registry: Registry) -> None:
    """Store a configuration node for every plugin, so that its options can be set and are checked by type."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    # ${secret:env,NAME} gives the reference, not the secret: what is composed may be written anywhere.
    OmegaConf.register_new_resolver("secret", reference, replace=True)
    store = ConfigStore.instance()
    for plugin in registry:
        # Transforms form a list: each has a place of its own below `transform`.
        package = f"transform.{plugin.name}" if plugin.kind == "transform" else None
        try:
            store.store(group=plugin.kind, name=plugin.name, node=node_of(plugin.cls), package=package, provider="lcnkit")
        except (OmegaConfBaseException, TypeError, ValueError) as error:
            raise PluginError(
                f"{plugin.package}: Hydra cannot store the options of the {plugin.kind} {plugin.name!r} ({plugin.cls.__qualname__}): "
                f"{in_one_line(error)}. See lcnkit.hookspecs for types that it knows; defaults must be of the option's type."
            ) from error
    store.store(group="label", name="default", node=node_of(LabelOptions), provider="lcnkit")
    store.store(group="dataset", name="base", node=node_of(Dataset), provider="lcnkit")


def normalise(overrides: Sequence[str]) -> list[str]:
    """Overrides as Hydra wants them: ``+strategy=x`` and ``strategy=x`` both choose, and so do both of ``experiment``.

    Raises:
        ConfigError: An option ``secret`` holds more than a reference.
    """
    refuse_literals(overrides)
    chosen = [_EXPERIMENT.sub("+experiment=", _GROUP_CHOICE.sub(r"\1=", override)) for override in overrides]
    return [_quoted(_DICT_OPTION.sub("++", override)) for override in chosen]


def _quoted(override: str) -> str:
    """With quotes around a value that Hydra has no letters for: a home folder (~), an accent, an equals sign in a name."""
    key, equals, value = override.partition("=")
    if key in _FOLDERS and value.startswith("~"):
        value = os.path.expanduser(value)
    return f"{key}{equals}{value}" if _BARE.fullmatch(value) or _MEANT & set(value) else f"{key}='{value}'"


def compose(overrides: str | Sequence[str] = (), *more: str, config_dir: str | None = None) -> Run:
    """The run that the command line would make of these overrides.

    Args:
        overrides: As on the command line: ``compose(["+strategy=season_min_cc", "n_periods=3"])``; single
            strings work too.
        config_dir: A folder with configuration files of your own, as ``--config-dir``.

    Raises:
        ConfigError: An override is misspelt or has a value that cannot be meant.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    from lcnkit.config_errors import explain, explained

    every = [overrides, *more] if isinstance(overrides, str) else [*overrides, *more]
    if config_dir is not None:
        folder = os.path.abspath(os.path.expanduser(config_dir))
        if not os.path.isdir(folder):
            raise ConfigError(f"The configuration folder {folder} does not exist.")
        every = [*every, f"hydra.searchpath=['file://{folder}']"]
    registry = load_registry()
    register(registry)
    state = GlobalHydra.instance()
    # Whoever calls us may use Hydra too: theirs steps aside, and is put back.
    others, state.hydra = state.hydra, None
    try:
        with explained(registry), initialize_config_module(CONFIG_MODULE, version_base="1.3"):
            try:
                config = hydra_compose(CONFIG_NAME, overrides=normalise(every))
            except (ValueError, AttributeError, TypeError) as error:  # what Hydra and OmegaConf let through
                raise explain(error, registry) from error
            return run_from(config, registry)
    finally:
        GlobalHydra.instance().hydra = others


def run_from(config: DictConfig, registry: Registry) -> Run:
    """The objects that a composed configuration describes.

    Raises:
        ConfigError: A value cannot be meant.
    """
    from omegaconf import OmegaConf

    values: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    _check_keys(values)
    source = Source(
        catalog=_plugin(registry, "catalog", values["catalog"]),
        strategy=_plugin(registry, "strategy", values["strategy"]),
        reader=_plugin(registry, "reader", values["reader"]),
        transforms=tuple(_plugin(registry, "transform", options, f"transform.{name}") for name, options in (values.get("transform") or {}).items()),
        bands=as_names("bands", values["bands"]),
    )
    return Run(
        dataset=build(Dataset, values["dataset"], "dataset"),
        sources=(source,),
        backend=_plugin(registry, "backend", values["backend"]),
        exporter=_plugin(registry, "exporter", values["exporter"]),
        label=build(LabelOptions, values["label"], "label"),
        n_periods=values["n_periods"],
        when_empty=values["when_empty"],
        interval=as_interval(values["interval"]),
        cloud=values["cloud"],
        cloud_threshold=values["cloud_threshold"],
        min_coverage=values["min_coverage"],
        chips=as_chips(values["chips"]),
        plan=None if values["plan"] is None else str(values["plan"]),
        output_dir=str(values["output_dir"]),
        overwrite=values["overwrite"],
        retries=values["retries"],
        on_error=values["on_error"],
        pixel_cache=values["pixel_cache"],
    )


def _check_keys(values: Mapping[str, Any]) -> None:
    """Refuse what Hydra lets through: ``+n_period=3`` adds a key that nothing reads, ``~n_periods`` takes one away."""
    known = [*GROUPS, *_KEYS]
    for key in values:
        if key not in known:
            raise UnknownName(f"There is no key {key!r}; there is {listing(known, 40)}.{did_you_mean(str(key), known)}")
    for key in known:
        if key not in values and key != "transform":
            raise ConfigError(f"The key {key!r} was taken away, and is needed: leave ~{key} out.")
    for kind in GROUPS:
        if kind in values and not isinstance(values[kind], Mapping):
            raise ConfigError(f"{kind} is {values[kind]!r}; it must be the name of one: {kind}=NAME")


def _plugin(registry: Registry, kind: str, values: Mapping[str, Any], where: str | None = None) -> Any:
    where = where or kind
    if not isinstance(values, Mapping) or "_target_" not in values:
        name = where.rpartition(".")[2]
        choose = f"transform=[...,{name}]" if kind == "transform" else f"{kind}=NAME"
        raise UnknownName(f"{where} has options, but is not chosen: choose it with {choose}.{did_you_mean(name, registry.plugins[kind])}")
    return build(registry.find(str(values["_target_"])).cls, values, where)
