"""``python -m lcnkit index`` of an API that wants a secret: it is searched, and the secret stays out of every file and message."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pyarrow.parquet as pq
import pytest
from servers.proxy import DROPPED, Proxy
from servers.rustac import serving_items

from lcnkit.cli import main

SOURCE = "ref_landcovernet_xx_v1_source_sentinel_2"
# With characters that look different in a URL.
SECRET = "planted:S3cr+t/val=ue-42"
BASIC = base64.b64encode(SECRET.encode()).decode()
FORMS = [SECRET, "S3cr+t/val", "S3cr%2Bt", "planted%3AS3cr", BASIC[:20]]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", SECRET)
    monkeypatch.setenv("LCNKIT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("lcnkit.catalog.api_http._FIRST_WAIT_S", 0.005)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def proxy(tiny: Any, tmp_path: Path) -> Iterator[Proxy]:
    """The archive's items in an API behind a proxy, which is told what key it wants."""
    items = [json.loads(path.read_text()) for path in sorted((tiny.root / SOURCE).glob("*/stac.json"))]
    with serving_items(items, tmp_path) as url, Proxy(target=url).running() as running:
        yield running


def wants(auth: str, secret: str = SECRET) -> Any:
    def allows(handler: Any) -> bool:
        if auth == "query":
            return parse_qs(urlsplit(handler.path).query).get("token") == [secret]
        if auth == "header":
            return bool(handler.headers.get("X-Key") == secret)
        given = f"Bearer {secret}" if auth == "bearer" else f"Basic {base64.b64encode(secret.encode()).decode()}"
        return bool(handler.headers.get("Authorization") == given)

    return allows


def arguments(url: str, auth: str, *more: str) -> list[str]:
    name = {"query": ["--auth-name", "token"], "header": ["--auth-name", "X-Key"]}.get(auth, [])
    return ["index", url, "--collection", SOURCE, "--auth", auth, *name, "--secret", "env:PLANTED", "--output", "items.parquet", *more]


def leaks(folder: Path, *texts: str) -> list[str]:
    """Where any form of the secret is found; parquet files as they are and with their columns unpacked."""
    found = [text for text in texts if any(form in text for form in FORMS)]
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            content += json.dumps(pq.read_table(path).to_pylist(), default=str).encode() + str(pq.read_schema(path).metadata).encode()
        found += [str(path)] if any(form.encode() in content for form in FORMS) else []
    return found


@pytest.mark.parametrize("auth", ["query", "header", "bearer", "basic"])
def test_it_is_searched_and_the_secret_stays_out(auth: str, proxy: Proxy, tmp_path: Path, capfd: Any, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    proxy.allows = wants(auth)
    if auth == "query":  # the server writes the query it got into its links, as some do
        proxy.rewrite = lambda body: body.replace(b'","rel":"self"', f'?token={quote(SECRET, safe="")}","rel":"self"'.encode())
    assert main(arguments(proxy.url, auth)) == 0
    assert pq.read_metadata(tmp_path / "items.parquet").num_rows == 9
    selves = {link["href"] for row in pq.read_table(tmp_path / "items.parquet").to_pylist() for link in row["links"] if link["rel"] == "self"}
    assert all(href.startswith(f"{proxy.url}/collections/") and "?" not in href for href in selves)
    proxy.allows = wants(auth, "another:key")
    assert main(arguments(proxy.url, auth)) == 1
    out, err = capfd.readouterr()
    assert "It does not accept the secret that --secret=env:PLANTED refers to" in err
    assert leaks(tmp_path, out, err, caplog.text) == []
    assert pq.read_metadata(tmp_path / "items.parquet").num_rows == 9, "what was there stays"


def test_a_process_of_its_own_leaves_no_secret(proxy: Proxy, tmp_path: Path) -> None:
    proxy.allows = wants("bearer")
    program = [sys.executable, "-m", "lcnkit", *arguments(proxy.url, "bearer")]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")
    assert leaks(tmp_path, done.stdout) == []


def test_only_the_api_s_own_host_gets_it(proxy: Proxy, tmp_path: Path) -> None:
    """A redirect to another address (another port) of the same API."""
    other = Proxy(target=proxy.target, allows=lambda handler: not any(form in str(handler.headers) + handler.path for form in FORMS))
    with other.running():
        proxy.redirect = lambda handler: f"{other.url}{handler.path}" if "search" in handler.path else None
        assert main(arguments(proxy.url, "bearer")) == 0
    assert other.seen
    assert not [seen for seen in other.seen if any(form in str(seen) for form in FORMS)]


def test_an_api_that_wants_a_secret_says_so(proxy: Proxy, capsys: Any) -> None:
    proxy.allows = wants("bearer")
    assert main(["index", proxy.url, "--collection", SOURCE, "--auth", "none"]) == 1
    assert "It may want a secret: set --auth=query, header, bearer or basic, and --secret=env:NAME." in capsys.readouterr().err


def test_without_flags_too(proxy: Proxy, capsys: Any) -> None:
    proxy.allows = wants("bearer")
    assert main(["index", proxy.url, "--collection", SOURCE]) == 1
    assert "It may want a secret: set --auth=" in capsys.readouterr().err


def test_what_may_pass_is_asked_again(proxy: Proxy, tmp_path: Path) -> None:
    proxy.faults = lambda number: DROPPED if number % 2 else None
    assert main(arguments(proxy.url, "bearer")) == 0
    assert pq.read_metadata(tmp_path / "items.parquet").num_rows == 9


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hunter22", "--secret must not hold a secret"),
        ("env:NOT_SET_ANYWHERE", "The environment variable NOT_SET_ANYWHERE is not set"),
    ],
)
def test_a_secret_is_named_and_never_given(given: str, said: str, tmp_path: Path, capsys: Any) -> None:
    words = ["index", "http://127.0.0.1:9", "--collection", SOURCE, "--auth", "bearer", "--secret", given]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert said in err
    assert "hunter22" not in out + err
    assert not list(tmp_path.glob("*.parquet"))


def test_a_misspelt_flag_does_not_repeat_its_value(capsys: Any) -> None:
    assert main(["index", "http://127.0.0.1:9", "--secrte=hunter22"]) == 1
    err = capsys.readouterr().err
    assert "Did you mean '--secret'?" in err
    assert "hunter22" not in err
