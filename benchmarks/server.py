"""A file server and STAC API on the loopback interface, with latency, that counts what it is asked.

It has a process of its own: the ones it serves are to have the cores.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import shapely
import shapely.geometry

_COUNTS = "/-/counts"
_PAGE = 100


@contextmanager
def serving(folder: Path, delay_s: float, items: str | None = None) -> Iterator[str]:
    """The address of a server of ``folder``; each request takes ``delay_s`` longer than the disk does.

    Args:
        items: Glob below ``folder`` of the items that its search answers with (POST /search).
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(str(folder), delay_s, port, items), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url)
        yield url
    finally:
        process.terminate()
        process.join()


def counts(url: str) -> dict[str, int]:
    """Requests and bytes of answers since the last call."""
    with urlopen(url + _COUNTS) as answer:
        found: dict[str, int] = json.load(answer)
        return found


def counted(url: str, function: str, arguments: dict[str, Any], output: str) -> dict[str, Any]:
    """What a contender answers, with the ``requests`` and ``bytes`` that it cost the server."""
    module, _, name = function.partition(":")
    called = getattr(importlib.import_module(module), name)
    counts(url)
    answer = called(**arguments, output=output) or {}
    return {**answer, **counts(url)}


def _wait_for(url: str) -> None:
    for _ in range(600):
        try:
            counts(url)
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the server at {url} did not start within 30 s")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def _serve(folder: str, delay_s: float, port: int, items: str | None) -> None:
    lock = threading.Lock()
    counted = {"requests": 0, "bytes": 0}
    found = _Items(Path(folder), items) if items else None

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer in one piece, at once: else each costs 40 ms on a connection that is kept.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path == _COUNTS:
                with lock:
                    before = dict(counted)
                    counted.update(requests=0, bytes=0)
                return self._send(200, json.dumps(before).encode())
            time.sleep(delay_s)
            if found is not None and self.path in ("/", ""):
                return self._answer(200, json.dumps(_landing(f"http://{self.headers['Host']}")).encode())
            path = Path(folder) / unquote(urlsplit(self.path).path).lstrip("/")
            if not path.is_file():
                return self._answer(404, b"")
            return self._file(path)

        do_HEAD = do_GET  # noqa: N815

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(delay_s)
            if found is None or self.path != "/search":
                return self._answer(404, b"")
            return self._answer(200, json.dumps(found.search(asked, f"http://{self.headers['Host']}")).encode())

        def _file(self, path: Path) -> None:
            size = path.stat().st_size
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first, last = (int(asked[1]), min(int(asked[2] or size - 1), size - 1)) if asked else (0, size - 1)
            if first >= size:
                return self._answer(416, b"", {"Content-Range": f"bytes */{size}"})
            ranged = {"Content-Range": f"bytes {first}-{last}/{size}"} if asked else {}
            with path.open("rb") as file:
                file.seek(first)
                return self._answer(206 if asked else 200, file.read(last - first + 1), {"Accept-Ranges": "bytes", **ranged})

        def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            with lock:
                counted["requests"] += 1
                counted["bytes"] += len(body) if self.command != "HEAD" else 0
            self._send(status, body, headers)

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True

    with _Server(("127.0.0.1", port), Handler) as server:
        server.serve_forever()


def _landing(url: str) -> dict[str, Any]:
    links = [
        {"rel": "self", "href": url, "type": "application/json"},
        {"rel": "root", "href": url, "type": "application/json"},
        {"rel": "search", "href": f"{url}/search", "type": "application/geo+json", "method": "POST"},
    ]
    core, search = "https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"
    about = {"type": "Catalog", "stac_version": "1.0.0", "id": "benchmarks", "description": "An archive's items."}
    return {**about, "conformsTo": [core, search, f"{search}#query"], "links": links}


class _Items:
    """Items in memory, which answer a search sooner than a database does."""

    def __init__(self, folder: Path, pattern: str) -> None:
        self._items = []
        for path in sorted(folder.glob(pattern)):
            item = json.loads(path.read_bytes())
            for asset in item["assets"].values():
                asset["href"] = str((path.parent / asset["href"]).resolve())
            item["links"] = []
            self._items.append(item)
        self._tree = shapely.STRtree([shapely.geometry.shape(item["geometry"]) for item in self._items])

    def search(self, asked: dict[str, Any], url: str) -> dict[str, Any]:
        """A page of the items in a place and time, under a cloud cover."""
        hits = self._tree.query(shapely.geometry.shape(asked["intersects"]), predicate="intersects")
        start, end = (moment.rstrip("Z") for moment in asked["datetime"].split("/"))
        limit = asked.get("query", {}).get("eo:cloud_cover", {}).get("lt", 101)
        fits = [item for item in (self._items[hit] for hit in sorted(hits)) if self._suits(item["properties"], start, end, limit)]
        first, size = int(asked.get("token", 0)), int(asked.get("limit") or _PAGE)
        more = {"rel": "next", "href": f"{url}/search", "method": "POST", "body": {**asked, "token": first + size}}
        return {"type": "FeatureCollection", "features": fits[first : first + size], "links": [more] if len(fits) > first + size else []}

    @staticmethod
    def _suits(properties: dict[str, Any], start: str, end: str, limit: float) -> bool:
        return start <= properties["datetime"].rstrip("Z") <= end and properties.get("eo:cloud_cover", 101) < limit
