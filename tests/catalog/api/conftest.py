"""What the tests of the catalog `api` share: a light API with Slovenia's chips, and a place of its own for what is cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from servers.items import items_of
from servers.proxy import Proxy
from servers.rustac import serving_items

from lcnkit.cache_dir import CACHE_VARIABLE
from lcnkit.catalog.api import Api
from lcnkit.catalog.static import Static
from lcnkit.pipeline import plan_only

#: Columns of a plan that must not depend on where it came from.
SAME = [
    *("chip_id", "item_id", "collection", "source", "datetime", "cloud_cover", "cloud_source", "coverage", "period", "rank", "selected", "reason"),
    *("interval_start", "interval_end", "n_periods"),
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts, a hundredth as long."""
    monkeypatch.setattr("lcnkit.catalog.api_http._FIRST_WAIT_S", 0.005)


@pytest.fixture(scope="session")
def slovenia(shared_data: Path) -> Path:
    return shared_data / "slovenia2017"


@pytest.fixture(scope="session")
def slovenia_api(slovenia: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_items(items_of(slovenia), tmp_path_factory.mktemp("rustac")) as url:
        yield url


@pytest.fixture(scope="session")
def behind_proxy(slovenia_api: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """The same API, or one with other items, behind a proxy: ``with behind_proxy(Proxy(...)) as proxy``."""

    @contextmanager
    def start(proxy: Proxy, items: Sequence[dict[str, Any]] | None = None) -> Iterator[Proxy]:
        with ExitStack() as stack:
            found = slovenia_api if items is None else stack.enter_context(serving_items(items, tmp_path_factory.mktemp("rustac")))
            proxy.target = found
            yield stack.enter_context(proxy.running())

    return start


@pytest.fixture
def plans(make_run: Callable[..., Any]) -> Callable[..., tuple[pd.DataFrame, pd.DataFrame]]:
    """The plans of the same archive through an API and through its files."""

    def make(root: Path, catalog: Api, **keys: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        runs = [make_run(root, catalog=chosen, overwrite=True, **keys) for chosen in (catalog, Static())]
        asked, crawled = (plan_only(run)[0].plan.table for run in runs)
        return asked[SAME].reset_index(drop=True), crawled[SAME].reset_index(drop=True)

    return make
