"""From configuration to objects: the one module that knows Hydra, besides the command line.

`register` gives Hydra a node for every plugin, `compose` makes a `Run` from overrides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lcnkit.options import build, node_of
from lcnkit.plugins import KINDS, Registry, load_registry
from lcnkit.settings import Dataset, LabelOptions, Run, Source, as_chips, as_interval, as_names

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONFIG_MODULE = "lcnkit_configs"
CONFIG_NAME = "config"
GROUPS = ("dataset", *KINDS, "label")

_GROUP_CHOICE = re.compile(rf"^\+{{1,2}}({'|'.join(GROUPS)})=")


def register(registry: Registry) -> None:
    """Store a configuration node for every plugin, so that its options can be set and are checked by type."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    for plugin in registry:
        # Transforms form a list: each has a place of its own below `transform`.
        package = f"transform.{plugin.name}" if plugin.kind == "transform" else None
        store.store(group=plugin.kind, name=plugin.name, node=node_of(plugin.cls), package=package, provider="lcnkit")
    store.store(group="label", name="default", node=node_of(LabelOptions), provider="lcnkit")
    store.store(group="dataset", name="base", node=node_of(Dataset), provider="lcnkit")


def normalise(overrides: Sequence[str]) -> list[str]:
    """Overrides as Hydra wants them: ``+strategy=x`` and ``strategy=x`` both choose, whatever is the default."""
    return [_GROUP_CHOICE.sub(r"\1=", override) for override in overrides]


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

    from lcnkit.config_errors import explained

    every = [overrides, *more] if isinstance(overrides, str) else [*overrides, *more]
    if config_dir is not None:
        every = [*every, f"hydra.searchpath=[file://{config_dir}]"]
    registry = load_registry()
    register(registry)
    GlobalHydra.instance().clear()
    with explained(registry), initialize_config_module(CONFIG_MODULE, version_base="1.3"):
        config = hydra_compose(CONFIG_NAME, overrides=normalise(every))
        return run_from(config, registry)


def run_from(config: DictConfig, registry: Registry) -> Run:
    """The objects that a composed configuration describes.

    Raises:
        ConfigError: A value cannot be meant.
    """
    from omegaconf import OmegaConf

    values: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
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
        overwrite=bool(values["overwrite"]),
    )


def _plugin(registry: Registry, kind: str, values: Mapping[str, Any], where: str | None = None) -> Any:
    return build(registry.find(str(values["_target_"])).cls, values, where or kind)
