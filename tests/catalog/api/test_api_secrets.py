"""A secret goes to the API's own host and nowhere else: no file, no log, no message, no other host."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from servers.files import serving_files
from servers.items import items_of
from servers.planted import AUTHS, FORMS, SECRET, arguments, has_key, leaks, options
from servers.proxy import Proxy

from lcnkit.catalog.api import Api
from lcnkit.cli import main
from lcnkit.errors import ConfigError, DataError, LcnkitError


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", SECRET)


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("auth", [*AUTHS[:1], *(pytest.param(auth, marks=pytest.mark.slow) for auth in AUTHS[1:])])
def test_runs_leave_no_secret(auth: str, behind_proxy: Any, slovenia: Path, tmp_path: Path, capfd: Any) -> None:
    """A run that works, and one whose key the server refuses, saying what came; with all logs on."""
    proxy = Proxy(allows=has_key(auth))
    if auth == "query":  # the server writes the query it got into its links, as some do
        proxy.rewrite = lambda body: body.replace(b'","rel":"self"', b'?token=planted%3AS3cr%2Bt%2Fval%3Due-42","rel":"self"')
    chips = "chips=[33TVL_00,33TVL_03]"
    with behind_proxy(proxy):
        good, bad = tmp_path / "good", tmp_path / "bad"
        assert main(arguments(slovenia, good, proxy.url, auth, chips, "hydra.verbose=true", "catalog.page_size=30")) == 0
        assert (good / "items.pkl").stat().st_size > 1000
        assert all(has_key(auth)(_Handler(path, headers)) for _, path, headers in proxy.seen), "each request needs the key"
        proxy.allows = has_key(auth, "another:key")
        assert main(arguments(slovenia, bad, proxy.url, auth, chips, "hydra.verbose=true", "catalog.refresh=true")) == 1
    out, err = capfd.readouterr()
    assert "catalog.secret=env:PLANTED" in err
    assert leaks(tmp_path, texts=(out, err)) == []
    assert "env:PLANTED" in (good / ".hydra" / "config.yaml").read_text()


class _Handler:
    def __init__(self, path: str, headers: dict[str, str]) -> None:
        self.path, self.headers = path, headers


@pytest.mark.slow
@pytest.mark.usefixtures("planted")
def test_a_process_of_its_own_leaves_no_secret(behind_proxy: Any, slovenia: Path, tmp_path: Path) -> None:
    """As from a shell, with workers, assets on the API's host that cannot be had, and retries."""
    from servers.proxy import AWAY

    def faults(number: int) -> Any:
        return AWAY if number % 2 else None

    items = items_of(slovenia, "SELF/files")
    proxy = Proxy(allows=has_key("query"), faults=faults)
    proxy.rewrite = lambda body: body.replace(b"SELF/files", f"{proxy.url}/files".encode())
    environment = {**os.environ, "LCNKIT_CACHE_DIR": str(tmp_path / "cache")}
    with behind_proxy(proxy, items):
        words = arguments(slovenia, tmp_path / "out", proxy.url, "query", "chips=2", "cloud=metadata", "backend=local", "backend.workers=1")
        done = subprocess.run([sys.executable, "-m", "lcnkit", *words], env=environment, capture_output=True, text=True, timeout=120, check=False)
        asked = [path for _, path, _ in proxy.seen if path.startswith("/files/")]
    assert done.returncode == 1, done.stderr
    assert asked, "the assets were asked for"
    assert all("token=" in path for path in asked), "an asset on the API's own host gets the key too"
    assert "33TVL_00" in (tmp_path / "out" / "failures.csv").read_text()
    assert leaks(tmp_path, texts=(done.stdout, done.stderr)) == []


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("auth", AUTHS)
def test_another_host_does_not_get_it(auth: str, behind_proxy: Any, slovenia: Path) -> None:
    """Neither along a `next` link, nor a redirect, nor as the host of an item."""
    other = Proxy()
    proxy = Proxy(allows=has_key(auth))
    with behind_proxy(proxy), behind_proxy(other):
        elsewhere = other.url.encode()
        # The next page is on another host, and its address has the key in it, as a careless server writes it.
        key = b"?token=planted%3AS3cr%2Bt%2Fval%3Due-42" if auth == "query" else b""
        own = f'"{proxy.url}/search","rel":"next"'.encode()
        proxy.rewrite = lambda body: body.replace(own, b'"' + elsewhere + b"/search" + key + b'","rel":"next"')
        api = Api(**options(proxy.url, auth), page_size=100)
        table = _search(api, slovenia)
        assert len(table) == 324
        assert len(other.seen) == 3
        proxy.redirect = lambda handler: f"{other.url}{handler.path}"
        assert len(_search(Api(**options(proxy.url, auth), page_size=400, refresh=True), slovenia)) == 324
        api.items([f"{other.url}/collections/{table['collection'][0]}/items/{table['item_id'][0]}"])
        assert len(other.seen) >= 5
        seen = [f"{path} {headers}" for _, path, headers in other.seen]
    assert [text for text in seen if any(form in text for form in FORMS)] == []
    assert not any("Authorization" in headers or "X-Key" in headers for _, _, headers in other.seen)


def _search(api: Api, root: Path) -> Any:
    from lcnkit.contracts import Query
    from lcnkit.labels import read_labels
    from lcnkit.settings import Dataset

    labels = read_labels(str(root), Dataset(), None, None)
    return api.search(labels.chips, Query(api.find_collection("ref_landcovernet_sl_v1_source_sentinel_2"), labels.interval))


@pytest.mark.usefixtures("planted")
def test_assets_on_other_hosts_do_not_get_it(behind_proxy: Any, slovenia: Path) -> None:
    seen: list[tuple[str, dict[str, str]]] = []
    with serving_files(slovenia, seen) as files, behind_proxy(Proxy(allows=has_key("query")), items_of(slovenia, files)) as proxy:
        api = Api(**options(proxy.url, "query"))
        table = _search(api, slovenia)
        (item,) = api.items(table["item_href"][:1].tolist())
    assert item.asset("NDVI").href.startswith(files)
    assert "token" not in item.asset("NDVI").href
    assert not table["item_href"].str.contains("token").any()


@pytest.mark.usefixtures("planted")
def test_objects_hold_the_reference_only(slovenia_api: str) -> None:
    api = Api(**options(slovenia_api, "query"))
    connection = api._connection()
    assert leaks(texts=(repr(api), str(pickle.dumps(api)), repr(connection.access), repr(vars(connection.session)))) == []


def test_a_secret_that_is_not_set(slovenia_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLANTED", raising=False)
    with pytest.raises(ConfigError, match="environment variable PLANTED is not set"):
        Api(**options(slovenia_api, "bearer")).find_collection("sentinel_2")


@pytest.mark.parametrize("given", [SECRET, "hunter22", "env:not a name", "keyring:nobody"])
def test_a_pasted_secret_is_refused_before_anything_is_written(given: str, slovenia: Path, tmp_path: Path, capfd: Any) -> None:
    """Also in a sweep, whose folders are named after what is given."""
    words = [word for word in arguments(slovenia, tmp_path / "out", "http://127.0.0.1:9", "query") if not word.startswith("catalog.secret")]
    for more in ([], ["-m"]):
        assert main([*words, f"catalog.secret='{given}'" if " " in given else f"catalog.secret={given}", *more]) == 1
    out, err = capfd.readouterr()
    assert "must not hold a secret" in err
    assert given not in out + err
    assert not (tmp_path / "out").exists()


def test_the_resolver_gives_the_reference() -> None:
    from lcnkit.config import compose

    words = ["catalog=api", "catalog.url=https://api.example", "catalog.auth=bearer", "dataset.root=x"]
    assert compose([*words, "catalog.secret=${secret:env,MY_KEY}"]).source.catalog.secret == "env:MY_KEY"  # type: ignore[attr-defined]
    assert compose([*words, "catalog.secret=${secret:keyring,stac,me}"]).source.catalog.secret == "keyring:stac/me"  # type: ignore[attr-defined]
    with pytest.raises(LcnkitError, match="must not hold a secret") as raised:
        compose([*words, "catalog.secret=hunter22"])
    assert "hunter22" not in str(raised.value)


def test_a_keyring_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import ModuleType

    from lcnkit.secrets import resolve

    keyring, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    keyring.get_password = {("stac", "me"): "s3cret"}.get and (lambda service, user: {("stac", "me"): "s3cret"}.get((service, user)))  # type: ignore[attr-defined]
    keyring.errors = errors  # type: ignore[attr-defined]
    errors.KeyringError = RuntimeError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    assert resolve("keyring:stac/me") == "s3cret"
    with pytest.raises(ConfigError, match="keyring entry stac/you is not set"):
        resolve("keyring:stac/you")


@pytest.mark.parametrize("value", ["two\nlines", "schlüssel"])
def test_a_secret_that_cannot_be_sent_is_not_repeated(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from lcnkit.secrets import resolve

    monkeypatch.setenv("PLANTED", value)
    with pytest.raises(ConfigError, match="cannot be sent") as raised:
        resolve("env:PLANTED")
    assert value not in str(raised.value)


@pytest.mark.usefixtures("planted")
def test_chained_errors_hold_no_url(slovenia: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a traceback would print, the causes too."""
    import traceback

    from servers.loopback import free_port

    with caplog.at_level(logging.DEBUG), pytest.raises(DataError) as raised:
        Api(**options(f"http://127.0.0.1:{free_port()}", "query"), attempts=2).find_collection("x")
    assert leaks(texts=("".join(traceback.format_exception(raised.value)), *caplog.messages)) == []
