"""Finding plugins: what is offered, what is refused, and what the messages say."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import sys
import textwrap
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

import lcnkit
from lcnkit import plugins
from lcnkit.contracts import Reader
from lcnkit.errors import PluginError, PluginNameClash, UnknownName
from lcnkit.options import node_of, options_of
from lcnkit.plugins import BUILT_IN, load_registry


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A strategy that does nothing."""

    limit: float = 5.0
    """Percent."""

    def select(self, candidates: Any) -> Any:
        return candidates


def offering(answer: Any, hook: str = "lcnkit_strategy") -> ModuleType:
    """A module with one hook function, which gives ``answer``."""
    made = ModuleType("somebodys_plugin")

    def function() -> Any:
        return answer

    function.__name__ = hook
    setattr(made, hook, lcnkit.hookimpl(function))
    return made


class FakeEntryPoint:
    """What ``importlib.metadata`` finds of an installed package."""

    def __init__(self, name: str, load: Any) -> None:
        self.name, self.value, self.load = name, name, load
        self.dist = type("Dist", (), {"name": f"lcnkit-{name}", "version": "1.2"})


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend that packages are installed: ``install(name=module)``; an exception in place of a module is raised on import."""

    def do(**packages: Any) -> None:
        def loader(found: Any) -> Any:
            def load() -> Any:
                if isinstance(found, BaseException):
                    raise found
                return found

            return load

        points = [FakeEntryPoint(name, loader(found)) for name, found in packages.items()]
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: points)

    plugins._warn_once.cache_clear()
    return do


def test_every_built_in_plugin_is_found_under_its_modules_name() -> None:
    registry = load_registry()
    found = {(plugin.kind, plugin.name) for plugin in registry if plugin.package == "lcnkit"}
    assert found == {tuple(name.split(".")) for name in BUILT_IN}


def test_every_built_in_plugin_has_help_for_all_its_options() -> None:
    for plugin in load_registry():
        assert plugin.summary, f"{plugin.kind} {plugin.name} has no docstring"
        assert all(option.help for option in options_of(plugin.cls)), f"{plugin.kind} {plugin.name} has an option without help"


def test_a_plugin_of_another_package_is_listed_with_its_package(install: Any) -> None:
    install(rules=offering({"my_rule": Rule}))
    plugin = load_registry().get("strategy", "my_rule")
    assert (plugin.package, plugin.cls, plugin.summary) == ("lcnkit-rules 1.2", Rule, "A strategy that does nothing.")
    assert [(option.name, option.default, option.help) for option in options_of(plugin.cls)] == [("limit", "5.0", "Percent.")]


def test_a_module_can_be_tried_without_a_package() -> None:
    registry = load_registry(extra=[offering({"my_rule": Rule})])
    assert registry.get("strategy", "my_rule").package == "this session"
    assert registry.name_of(Rule()) == "my_rule"
    assert registry.find(f"{Rule.__module__}.Rule").name == "my_rule"


def test_two_packages_that_offer_the_same_name_are_both_named(install: Any) -> None:
    install(one=offering({"my_rule": Rule}), two=offering({"my_rule": Rule}))
    with pytest.raises(PluginNameClash, match=r"'my_rule' is offered twice: by lcnkit-one 1\.2 .* and by lcnkit-two 1\.2"):
        load_registry()


def test_a_name_of_ours_cannot_be_taken() -> None:
    with pytest.raises(PluginNameClash, match=r"'season_min_cc' is offered twice: by lcnkit "):
        load_registry(extra=[offering({"season_min_cc": Rule})])


def test_the_same_name_may_stand_for_two_kinds() -> None:
    assert load_registry(extra=[offering({"raw": Rule})]).get("strategy", "raw").cls is Rule


def test_a_misspelt_hook_is_an_error_with_the_right_name(install: Any) -> None:
    install(rules=offering({"my_rule": Rule}, hook="lcnkit_strategies"))
    with pytest.raises(PluginError, match=r"lcnkit_strategies.*Did you mean 'lcnkit_strategy'"):
        load_registry()


def test_a_hook_with_arguments_of_its_own_is_an_error(install: Any) -> None:
    made = ModuleType("somebodys_plugin")

    @lcnkit.hookimpl
    def lcnkit_strategy(config: Any) -> Any:
        return {}

    made.lcnkit_strategy = lcnkit_strategy
    install(rules=made)
    with pytest.raises(PluginError, match=r"somebodys_plugin of lcnkit-rules 1\.2 cannot be registered"):
        load_registry()


@dataclass(kw_only=True)
class NotFrozen:
    limit: int = 1

    def select(self, candidates: Any) -> Any:
        return candidates


class NoDataclass:
    def select(self, candidates: Any) -> Any:
        return candidates


@dataclass(frozen=True)
class NoSelect:
    limit: int = 1


@dataclass(frozen=True)
class Defaults(Rule):
    defaults: int = 1


@dataclass(frozen=True)
class Target(Rule):
    _target_: str = "x"


@dataclass(frozen=True)
class NoReader:
    def read(self, chip: Any, items: Any, bands: Any) -> Any: ...


@dataclass(frozen=True)
class HalfAReader(Reader):
    limit: int = 1


@pytest.mark.parametrize(
    ("hook", "answer", "message"),
    [
        ("lcnkit_strategy", None, "must return a dict of classes by name; it returned NoneType"),
        ("lcnkit_strategy", [Rule], "must return a dict of classes by name; it returned list"),
        ("lcnkit_strategy", {"a": "Rule"}, "'a' must be a dataclass"),
        ("lcnkit_strategy", {"a": Rule()}, "'a' must be a dataclass, the class itself"),
        ("lcnkit_strategy", {"a": NoDataclass}, "'a' must be a dataclass"),
        ("lcnkit_strategy", {"a": NotFrozen}, "'a' must be frozen: write @dataclass"),
        ("lcnkit_strategy", {"a": NoSelect}, r"no method select\(candidates\)"),
        ("lcnkit_strategy", {"a": Defaults}, "'a' has the option 'defaults', a name that Hydra keeps to itself: choose another"),
        ("lcnkit_strategy", {"a": Target}, "'a' has the option '_target_', a name that Hydra keeps to itself"),
        ("lcnkit_strategy", {"my rule": Rule}, "'my rule' is no name that can be written on the command line"),
        ("lcnkit_strategy", {1: Rule}, "1 is no name"),
        ("lcnkit_reader", {"a": NoReader}, r"must inherit from lcnkit\.contracts\.Reader"),
        ("lcnkit_reader", {"a": HalfAReader}, r"lacks read; see lcnkit\.contracts\.Reader"),
    ],
)
def test_what_is_no_plugin_is_refused_with_a_reason(hook: str, answer: Any, message: str) -> None:
    with pytest.raises(PluginError, match=f"this session: {hook}.*{message}"):
        load_registry(extra=[offering(answer, hook)])


def test_a_hook_that_fails_is_named() -> None:
    made = ModuleType("somebodys_plugin")

    @lcnkit.hookimpl
    def lcnkit_strategy() -> Any:
        raise KeyError("oops")

    made.lcnkit_strategy = lcnkit_strategy
    with pytest.raises(PluginError, match=r"this session: lcnkit_strategy\(\) failed with KeyError: 'oops'"):
        load_registry(extra=[made])


def test_a_package_that_cannot_be_imported_does_not_stop_the_others(install: Any, caplog: pytest.LogCaptureFixture) -> None:
    install(bad=ImportError("No module named 'gdal'"), good=offering({"my_rule": Rule}))
    with caplog.at_level(logging.WARNING):
        registry, again = load_registry(), load_registry()
    assert registry.get("strategy", "my_rule").cls is Rule
    assert registry.broken == again.broken == {"lcnkit-bad 1.2": "ImportError: No module named 'gdal'"}
    assert [record.getMessage() for record in caplog.records] == [
        "The plugin package lcnkit-bad 1.2 cannot be loaded: ImportError: No module named 'gdal'"
    ]
    with pytest.raises(UnknownName, match=r"lcnkit-bad 1\.2 could not be loaded"):
        registry.get("strategy", "the_rule_of_bad")


def test_a_package_that_ends_the_process_when_it_is_imported(install: Any, caplog: pytest.LogCaptureFixture) -> None:
    install(leaves=SystemExit(5), good=offering({"my_rule": Rule}))
    registry = load_registry()
    assert registry.get("strategy", "my_rule").cls is Rule
    assert registry.broken == {"lcnkit-leaves 1.2": "SystemExit: 5"}


def test_an_unknown_name_brings_near_misses_and_what_there_is() -> None:
    with pytest.raises(UnknownName, match=r"no strategy 'season_min_c'; there is season_min_cc, .*Did you mean 'season_min_cc'"):
        load_registry().get("strategy", "season_min_c")
    with pytest.raises(UnknownName, match=r"No plugin offers the class 'os\.path'"):
        load_registry().find("os.path")


def test_a_type_for_type_checkers_only_is_an_error_that_says_so(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "late_type.py").write_text(
        textwrap.dedent(
            """
            from __future__ import annotations
            from dataclasses import dataclass
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                from pathlib import Path

            @dataclass(frozen=True)
            class Rule:
                folder: Path | None = None
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    late = importlib.import_module("late_type")
    for ask in (options_of, node_of):
        with pytest.raises(PluginError, match=r"late_type\.Rule: .*'Path'.*Import it for real"):
            ask(late.Rule)
    del sys.modules["late_type"]


def test_each_manager_is_a_fresh_one() -> None:
    load_registry(extra=[offering({"my_rule": Rule})])
    assert "my_rule" not in load_registry().plugins["strategy"]
