"""A proxy in front of a real API: it counts, wants a key, and misbehaves as told, by the number of the request."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from servers.loopback import Quiet, serving


@dataclass(frozen=True)
class Fault:
    """What goes wrong with an answer."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    """Seconds between one byte of the body and the next."""
    body: Callable[[bytes], bytes] = bytes
    """What is sent of the body."""
    declared: Callable[[bytes], int] | None = None
    """The Content-Length, of the whole body; by default that of what is sent."""
    drop: bool = False
    """Close the connection before a word is said."""


def busy(seconds: float | str = 0) -> Fault:
    return Fault(status=429, headers={"Retry-After": str(seconds)})


BROKEN, AWAY, DROPPED = Fault(status=500), Fault(status=503), Fault(drop=True)
CUT = Fault(body=lambda body: body[: len(body) // 2], declared=len)
TRUNCATED = Fault(body=lambda body: body[: len(body) // 2])
TOO_LONG = Fault(declared=lambda body: len(body) + 100)
TOO_SHORT = Fault(declared=lambda body: len(body) - 50)


def slow(seconds: float) -> Fault:
    return Fault(delay_s=seconds)


def dripping(seconds: float) -> Fault:
    return Fault(drip_s=seconds)


@dataclass
class Proxy:
    """Set ``target`` before the first request."""

    target: str = ""
    faults: Callable[[int], Fault | None] = lambda number: None
    """Fault of the request with that number, from 1."""
    allows: Callable[[Any], bool] = lambda handler: True
    """Whether a request has its key; else the answer is 401, and says what came."""
    redirect: Callable[[Any], str | None] = lambda handler: None
    redirects_with: int = 307
    rewrite: Callable[[bytes], bytes] = bytes
    """Changes bodies on the way."""
    files: str = ""
    """Address of a file server whose files are to be found below ``/files/``, on the API's own host."""
    url: str = ""
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path with query, headers of each request."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        proxy = self

        class Handler(Quiet):
            def do_GET(self) -> None:
                proxy.handle(self)

            do_POST = do_GET  # noqa: N815
            do_HEAD = do_GET  # noqa: N815

        with serving(Handler) as self.url:
            yield self

    def handle(self, handler: Any) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length)
        with self.lock:
            self.seen.append((handler.command, handler.path, dict(handler.headers)))
            number = len(self.seen)
        where = self.redirect(handler)
        if where is not None:
            return _answer(handler, self.redirects_with, b"", {"Location": where})
        if not self.allows(handler):
            said = f"wrong key: {handler.path} {handler.headers.get('Authorization')} {handler.headers.get('X-Key')}".encode()
            return _answer(handler, 401, said, {})
        fault = self.faults(number) or Fault()
        time.sleep(fault.delay_s)
        if fault.drop:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.close_connection = True
            handler.connection.close()
            raise ConnectionAbortedError
        if fault.status:
            return _answer(handler, fault.status, b'{"detail":"not now"}', fault.headers)
        status, headers, answer = self._forward(handler, body)
        if handler.command == "HEAD":  # the length of what GET would give
            return _answer(handler, status, b"", headers, int(headers.pop("Content-Length", 0)))
        headers.pop("Content-Length", None)
        return _answer(handler, status, fault.body(answer), headers, fault.declared and fault.declared(answer), fault.drip_s)

    def _forward(self, handler: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        of_files = bool(self.files) and handler.path.startswith("/files/")
        parts = urlsplit(self.files if of_files else self.target)
        path = handler.path.removeprefix("/files") if of_files else handler.path
        link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in ("connection", "accept-encoding")}
        try:
            link.request(handler.command, path, body or None, headers)
            response = link.getresponse()
            kept = {"Content-Type": response.headers.get("Content-Type", "application/json")}
            kept |= {name: response.headers[name] for name in ("Accept-Ranges", "Content-Range", "Content-Length") if name in response.headers}
            if of_files:
                return response.status, kept, response.read()
            # Links lead to the proxy, as a server behind one gives them.
            return response.status, kept, self.rewrite(response.read().replace(self.target.encode(), self.url.encode()))
        finally:
            link.close()


def _answer(handler: Any, status: int, body: bytes, headers: Mapping[str, str], declared: int | None = None, drip_s: float = 0.0) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body) if declared is None else declared))
    if declared is not None:
        handler.send_header("Connection", "close")
    handler.end_headers()
    if handler.command != "HEAD":
        if drip_s:
            handler.wfile.flush()
            for place in range(len(body)):
                handler.connection.sendall(body[place : place + 1])
                time.sleep(drip_s)
        else:
            handler.wfile.write(body)
    if declared is not None:
        handler.close_connection = True
