"""A file server that answers ranges, as object stores do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from servers.loopback import Quiet, serving


@contextmanager
def serving_files(
    folder: Path, seen: list[tuple[str, dict[str, str]]] | None = None, allows: Callable[[str], bool] = lambda path: True, most: int | None = None
) -> Iterator[str]:
    """The address under which ``folder`` is served; ``seen`` collects paths (with query) and headers. A part has ``most`` bytes at most."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            if seen is not None:
                seen.append((self.path, dict(self.headers)))
            path = folder / unquote(urlsplit(self.path).path).lstrip("/")
            if not allows(self.path):
                return self._answer(403, b"no", {})
            if not path.is_file():
                return self._answer(404, b"", {})
            whole = path.read_bytes()
            tag = {"Accept-Ranges": "bytes", "ETag": f'"{path.stat().st_mtime_ns:x}-{len(whole):x}"'}
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if asked is None:
                return self._answer(200, whole, tag)
            first, last = int(asked[1]), min(int(asked[2] or len(whole) - 1), len(whole) - 1)
            last = last if most is None else min(last, first + most - 1)
            if first >= len(whole):
                return self._answer(416, b"", {"Content-Range": f"bytes */{len(whole)}"})
            return self._answer(206, whole[first : last + 1], {**tag, "Content-Range": f"bytes {first}-{last}/{len(whole)}"})

        do_HEAD = do_GET  # noqa: N815

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    with serving(Handler) as url:
        yield url
