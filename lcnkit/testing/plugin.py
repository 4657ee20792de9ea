"""What plugins of every kind must keep to; each contract inherits these tests."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any, ClassVar

import pytest

from lcnkit.options import build, describe, node_of, options_of
from lcnkit.plugins import KINDS


class PluginContract:
    """Options: a frozen dataclass that can be built without any, shown, configured and sent to a worker."""

    kind: ClassVar[str]
    """``catalog``, ``strategy``, ...; the contract of the kind sets it."""

    @pytest.fixture
    def plugin(self) -> Any:
        """The plugin to try; the contract of the kind answers with its own fixture."""
        raise NotImplementedError("Inherit the contract of a kind, such as lcnkit.testing.strategy.StrategyContract.")

    def test_is_a_plugin_of_its_kind(self, plugin: Any) -> None:
        """It inherits from the kind's class in `lcnkit.contracts` (a strategy has its method, that is enough)."""
        assert isinstance(plugin, KINDS[self.kind]), f"{type(plugin).__name__} is no {KINDS[self.kind].__name__}"

    def test_is_a_frozen_dataclass_that_needs_no_options(self, plugin: Any) -> None:
        """Options are fields with defaults; ``KIND=NAME`` alone must do."""
        cls = type(plugin)
        assert dataclasses.is_dataclass(cls), f"{cls.__name__} is not a dataclass"
        frozen: bool = cls.__dataclass_params__.frozen  # type: ignore[attr-defined]
        assert frozen, f"{cls.__name__} is not frozen: write @dataclass(frozen=True, kw_only=True)"
        assert cls() == cls(), "two plugins with the same options differ"

    def test_can_be_configured(self, plugin: Any) -> None:
        """Its options have types that a configuration knows, and give the same plugin when they are read back."""
        cls = type(plugin)
        assert [option.name for option in options_of(cls)] == [field.name for field in dataclasses.fields(cls) if field.init]
        assert dataclasses.is_dataclass(node_of(cls))
        assert build(cls, describe(plugin), self.kind) == plugin, "the options as written in a manifest give another plugin"

    def test_survives_pickling(self, plugin: Any) -> None:
        """Workers get a pickled copy."""
        assert pickle.loads(pickle.dumps(plugin)) == plugin, "the pickled copy differs"

    def test_says_what_it_does(self, plugin: Any) -> None:
        """The docstring's first sentence is its help in ``python -m lcnkit plugins``."""
        cls = type(plugin)
        # A dataclass without a docstring is given its signature for one.
        text = cls.__dict__.get("__doc__") or f"{cls.__name__}("
        assert not text.startswith(f"{cls.__name__}("), f"{cls.__name__} needs a docstring"
