"""The hooks are the page a plugin author reads: what it promises is there."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pluggy
import pytest

from lcnkit import hookspecs
from lcnkit.plugins import BUILT_IN, KINDS


def hooks() -> dict[str, Any]:
    manager = pluggy.PluginManager("lcnkit")
    manager.add_hookspecs(hookspecs)
    return {name: getattr(hookspecs, name) for name in vars(manager.hook) if name.startswith("lcnkit_")}


def test_there_is_a_hook_for_every_kind() -> None:
    assert set(hooks()) == {f"lcnkit_{kind}" for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_every_hook_says_what_to_return_and_which_contract_to_keep(kind: str) -> None:
    text = inspect.getdoc(hooks()[f"lcnkit_{kind}"]) or ""
    name = f"{kind.capitalize()}Contract"
    assert "Returns:" in text
    assert "Contract:" in text
    assert f"lcnkit.testing.{kind}.{name}" in text
    contract = getattr(importlib.import_module(f"lcnkit.testing.{kind}"), name)
    assert contract.kind == kind
    assert any(attribute.startswith("test_") for attribute in vars(contract))
    example = next(word for word in text.replace("``", " ").replace(",", " ").split() if word.startswith("lcnkit/"))
    assert f"{kind}.{example.split('/')[-1].removesuffix('.py')}" in BUILT_IN
