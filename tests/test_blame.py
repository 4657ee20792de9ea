"""What other people's code raises outside of any chip: the run ends in a sentence that names the plugin, and the trace is logged."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lcnkit.backend.serial import Serial
from lcnkit.catalog.static import Static
from lcnkit.errors import DataError, PluginError
from lcnkit.exporter.npz import Npz
from lcnkit.pipeline import plan_only, prepare
from lcnkit.testing.archives import TinyArchive

Make = Callable[..., Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Catalog(Static):
    """A catalog whose search does something else."""

    instead: Callable[[], Any]

    def search(self, chips: Any, query: Any) -> Any:
        """As told."""
        return self.instead()


class Exporter(Npz):
    """An exporter that cannot finish."""

    def finish(self, receipts: Any, folder: Path) -> Any:
        """Stumble over a key."""
        return {}["total"]


class Backend(Serial):
    """A backend that cannot open."""

    def open(self) -> Any:
        """Stumble over nothing."""
        raise RuntimeError


def boom() -> Any:
    raise ValueError("no column\n'when' in https://user:pass@host/x.csv?key=SECRET")


@pytest.fixture
def run(tiny: TinyArchive, make_run: Any) -> Make:
    return lambda **keys: make_run(tiny.root, n_periods=2, **keys)


def test_the_plugin_that_failed(run: Make, caplog: pytest.LogCaptureFixture) -> None:
    """By its kind and name, where it failed, in one line and without a secret; for its authors the trace is in the log."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(PluginError) as caught:
        plan_only(run(catalog=Catalog(instead=boom)))
    assert str(caught.value).startswith(
        "The catalog 'tests.test_blame.Catalog' (this session) failed: ValueError: no column 'when' in "
        "https://***@host/x.csv?*** (test_blame.py, line "
    )
    assert str(caught.value).endswith("). The trace is in lcnkit.log, for its authors.")
    assert "in boom" in caplog.text
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"exporter": Exporter()}, "The exporter 'tests.test_blame.Exporter' (this session) failed: KeyError: 'total' (test_blame.py, line "),
        ({"backend": Backend()}, "The backend 'tests.test_blame.Backend' (this session) failed: RuntimeError (test_blame.py, line "),
    ],
)
def test_plugins_of_other_kinds(keys: dict[str, Any], said: str, run: Make, tmp_path: Path) -> None:
    with pytest.raises(PluginError) as caught:
        prepare(run(**keys))
    assert str(caught.value).startswith(said)
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("time", ["some day", {"year": 2018}], ids=["text", "dict"])
def test_what_an_answer_leads_to(time: Any, run: Make) -> None:
    """Then no line of the plugin's own has failed: all that are not built in are named."""
    row = {"chip_id": "A", "item_id": "i", "collection": "c", "datetime": time, "cloud_cover": 0.0, "coverage": 1.0, "item_href": "h"}
    with pytest.raises(PluginError, match=r"It uses the catalog 'tests\.test_blame\.Catalog' \(this session\): most likely one answered what its"):
        plan_only(run(catalog=Catalog(instead=lambda: pd.DataFrame([row]))))


def test_what_is_said_on_purpose_stays(run: Make) -> None:
    def refuse() -> pd.DataFrame:
        raise DataError("catalog.path=x.csv does not exist.")

    with pytest.raises(DataError, match=r"^catalog\.path=x\.csv does not exist\.$"):
        plan_only(run(catalog=Catalog(instead=refuse)))


def test_a_mistake_of_our_own_is_shown_as_it_is(run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Static, "search_in_parts", lambda *_: boom())
    with pytest.raises(ValueError, match="no column"):
        plan_only(run())
