"""Assets on the API's own host that want a secret in a header: read by workers, and nobody else learns it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from servers.files import serving_files
from servers.items import items_of
from servers.planted import AUTHS, SECRET, arguments, has_key, leaks, options
from servers.proxy import AWAY, CUT, Proxy, busy

from lcnkit.catalog.api import Api
from lcnkit.cli import main
from lcnkit.contracts import Query
from lcnkit.dataset import open_dataset
from lcnkit.errors import UnreachableAsset, UnreadableAsset
from lcnkit.labels import read_labels
from lcnkit.model import Chip, Item
from lcnkit.pipeline import prepare
from lcnkit.reader.auto import Auto
from lcnkit.reader.rasterio import Rasterio
from lcnkit.reader.stackstac import Stackstac
from lcnkit.settings import Dataset

COLLECTION = "ref_landcovernet_sl_v1_source_sentinel_2"
IN_HEADERS = [auth for auth in AUTHS if auth != "query"]


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", SECRET)
    monkeypatch.setattr("lcnkit.raster.http._FIRST_WAIT_S", 0.01)


@pytest.fixture
def guarded(behind_proxy: Callable[..., Any], slovenia: Path) -> Callable[..., Any]:
    """An API and its assets behind the same door: each request for either needs the key."""

    @contextmanager
    def start(auth: str, **keys: Any) -> Iterator[Proxy]:
        with serving_files(slovenia) as files:
            proxy = Proxy(allows=has_key(auth), files=files, **keys)
            proxy.rewrite = lambda body: body.replace(b"SELF/files", f"{proxy.url}/files".encode())
            with behind_proxy(proxy, items_of(slovenia, "SELF/files")):
                yield proxy

    return start


def found(api: Api, root: Path) -> tuple[Chip, list[Item]]:
    """A chip with two of its items."""
    labels = read_labels(str(root), Dataset(), 1, None)
    table = api.search(labels.chips, Query(api.find_collection(COLLECTION), labels.interval))
    return labels.chips[0], api.items(table["item_href"][:2].tolist())


def of_files(proxy: Proxy) -> list[tuple[str, dict[str, str]]]:
    return [(path, headers) for _, path, headers in proxy.seen if path.startswith("/files/")]


@pytest.mark.parametrize("auth", IN_HEADERS)
def test_a_run_reads_them_and_leaves_no_secret(auth: str, guarded: Any, slovenia: Path, make_run: Any, tmp_path: Path, capfd: Any) -> None:
    """The pixels are those of the files; then the server refuses the assets, and says what came. All logs on."""
    chips = "chips=[33TVL_00]"
    plain = prepare(make_run(slovenia, n_periods=5, bands=("NDVI",), chips=("33TVL_00",), cloud="metadata", output_dir=str(tmp_path / "plain")))
    with guarded(auth) as proxy:
        good, bad = tmp_path / "good", tmp_path / "bad"
        assert main([*arguments(slovenia, good, proxy.url, auth, chips, "hydra.verbose=true", "cloud=metadata")]) == 0
        assert len(of_files(proxy)) >= 5
        allowed = proxy.allows
        proxy.allows = lambda handler: allowed(handler) and not handler.path.startswith("/files/")
        assert main([*arguments(slovenia, bad, proxy.url, auth, chips, "hydra.verbose=true", "cloud=metadata", "reader=rasterio")]) == 1
    out, err = capfd.readouterr()
    assert "HTTP 401" in (bad / "failures.csv").read_text()
    assert leaks(tmp_path, texts=(out, err)) == []
    for sample, expected in zip(open_dataset(good), open_dataset(plain.output), strict=True):
        np.testing.assert_array_equal(sample.image.values, expected.image.values)


@pytest.mark.slow
@pytest.mark.parametrize("auth", IN_HEADERS)
def test_workers_of_their_own_read_them(auth: str, guarded: Any, slovenia: Path, tmp_path: Path) -> None:
    """A process from a shell, with Dask's workers and its dashboard's logs; every other answer of the file server is bad."""
    environment = {**os.environ, "LCNKIT_CACHE_DIR": str(tmp_path / "cache")}
    with guarded(auth) as proxy:
        proxy.faults = lambda number: busy(0) if number % 3 == 0 and proxy.seen[-1][1].startswith("/files/") else None
        words = arguments(slovenia, tmp_path / "out", proxy.url, auth, "chips=3", "cloud=metadata", "hydra.verbose=true")
        words = [*(word for word in words if not word.startswith("backend=")), "backend=local", "backend.workers=2"]
        done = subprocess.run([sys.executable, "-m", "lcnkit", *words], env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert len(of_files(proxy)) >= 15
    assert leaks(tmp_path, texts=(done.stdout, done.stderr)) == []


@pytest.mark.parametrize("reader", [Auto(), Rasterio()], ids=["auto", "rasterio"])
@pytest.mark.parametrize("auth", IN_HEADERS)
def test_another_host_does_not_get_it_along_a_redirect(auth: str, reader: Any, guarded: Any, slovenia: Path) -> None:
    """Assets are often kept in a bucket that the API's host sends on to; a port of its own is a host of its own."""
    seen: list[tuple[str, dict[str, str]]] = []
    with serving_files(slovenia, seen) as elsewhere, guarded(auth) as proxy:
        chip, items = found(Api(**options(proxy.url, auth)), slovenia)
        expected = reader.read(chip, items, ["NDVI"])
        for away in (elsewhere, elsewhere.replace("127.0.0.1", "localhost")):
            proxy.redirect = lambda handler, away=away: f"{away}{handler.path.removeprefix('/files')}" if handler.path.startswith("/files/") else None
            before = len(seen)
            np.testing.assert_array_equal(reader.read(chip, items, ["NDVI"]).values, expected.values)
            assert len(seen) > before
    assert leaks(texts=tuple(f"{path} {headers}" for path, headers in seen)) == []
    assert not any({"authorization", "x-key"} & {name.lower() for name in headers} for _, headers in seen)


@pytest.mark.parametrize("auth", IN_HEADERS)
def test_assets_that_lie_on_another_host_do_not_get_it(auth: str, behind_proxy: Any, slovenia: Path) -> None:
    seen: list[tuple[str, dict[str, str]]] = []
    with serving_files(slovenia, seen) as files, behind_proxy(Proxy(allows=has_key(auth)), items_of(slovenia, files)) as proxy:
        chip, items = found(Api(**options(proxy.url, auth)), slovenia)
        assert items[0].asset("NDVI").opener is None
        assert Auto().read(chip, items, ["NDVI"]).values.any()
    assert seen
    assert not any({"authorization", "x-key"} & {name.lower() for name in headers} for _, headers in seen)


def test_nothing_that_travels_or_is_shown_holds_it(guarded: Any, slovenia: Path) -> None:
    """What a task's repr or a pickle of it would show; errors with all that is behind them, too."""
    with guarded("header") as proxy:
        chip, items = found(Api(**options(proxy.url, "header")), slovenia)
        asset = items[0].asset("NDVI")
        shown = [repr(items), repr(asset), str(pickle.dumps(items)), repr(vars(asset.opener.open(asset.href)))]  # type: ignore[union-attr]
        again: list[Item] = pickle.loads(pickle.dumps(items))
        assert Auto().read(chip, again, ["NDVI"]).values.any()
        proxy.allows = has_key("header", "another:key")
        with pytest.raises(UnreadableAsset, match="HTTP 401") as raised:
            Auto().read(chip, items, ["NDVI"])
        assert not isinstance(raised.value, UnreachableAsset)
    shown.append("".join(traceback.format_exception(raised.value)))
    assert leaks(texts=tuple(shown)) == []


def test_what_a_server_cannot_give_now_is_told_apart(guarded: Any, slovenia: Path) -> None:
    with guarded("bearer") as proxy:
        chip, items = found(Api(**options(proxy.url, "bearer")), slovenia)
        expected = Auto().read(chip, items, ["NDVI"]).values
        proxy.faults = lambda number: AWAY if number % 2 else None
        np.testing.assert_array_equal(Auto().read(chip, items, ["NDVI"]).values, expected)
        proxy.faults = lambda number: CUT if number % 2 else None
        np.testing.assert_array_equal(Auto().read(chip, items, ["NDVI"]).values, expected)
        for fault, said in ((AWAY, r"HTTP 503 .*\(4 attempts\)"), (CUT, r"early|IncompleteRead")):
            proxy.faults = lambda number, fault=fault: fault
            with pytest.raises(UnreachableAsset, match=said):
                Auto().read(chip, items, ["NDVI"])


def test_threads_read_at_once(guarded: Any, slovenia: Path) -> None:
    with guarded("basic") as proxy:
        chip, items = found(Api(**options(proxy.url, "basic")), slovenia)
        expected = Auto().read(chip, items, ["NDVI"]).values
        same: list[bool] = []
        threads = [
            threading.Thread(target=lambda: same.append(np.array_equal(Auto().read(chip, items, ["NDVI"]).values, expected))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert same == [True] * 8


def test_a_reader_that_cannot_send_it_says_so(guarded: Any, slovenia: Path) -> None:
    with guarded("header") as proxy:
        chip, items = found(Api(**options(proxy.url, "header")), slovenia)
        with pytest.raises(UnreadableAsset, match="reader=stackstac cannot send one. Use reader=auto"):
            Stackstac().read(chip, items, ["NDVI"])


@pytest.mark.parametrize("compress", ["deflate", "lzw"])
def test_windows_of_a_scene(compress: str, tmp_path: Path, chip_on: Any, item_of: Any, guarded: Any) -> None:
    """A file of several megabytes: of a plain one its part is asked for, of another kind all of it."""
    from lcnkit.catalog.api_files import OwnHostFiles
    from lcnkit.model import Grid
    from lcnkit.testing.archives import write_raster

    values = np.random.default_rng(1).integers(0, 5000, (2048, 2048), dtype="uint16")
    grid = Grid("EPSG:32633", (10.0, 0.0, 400_000.0, 0.0, -10.0, 5_000_000.0), (2048, 2048))
    file = write_raster(tmp_path / "files" / "scene.tif", values, grid, tiled=True, blockxsize=256, blockysize=256, compress=compress)
    part = Grid("EPSG:32633", (10.0, 0.0, 400_000.0 + 10 * 700, 0.0, -10.0, 5_000_000.0 - 10 * 1100), (200, 200))
    seen: list[tuple[str, dict[str, str]]] = []
    with serving_files(tmp_path / "files", seen) as url:
        item = item_of(part, B04=f"{url}/scene.tif")
        item = Item(item.href, item.document, OwnHostFiles(Api(**options(url, "header"))._access()))
        image = Auto().read(chip_on(part), [item], ["B04"])
    np.testing.assert_array_equal(image.values[0, 0], values[1100:1300, 700:900])
    spans = [headers["Range"].removeprefix("bytes=").split("-") for _, headers in seen]
    asked = sum(int(last) - int(first) + 1 for first, last in spans)
    size = file.stat().st_size
    assert asked < size / 4 if compress == "deflate" else size <= asked < size + 1_000_000
