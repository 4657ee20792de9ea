"""A planted secret: what a server asks for, what a run is told, and where it is looked for afterwards."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

# With characters that look different in a URL.
SECRET = "planted:S3cr+t/val=ue-42"
FORMS = [SECRET, "planted%3AS3cr", "S3cr%2Bt", "S3cr+t/val", base64.b64encode(SECRET.encode()).decode()[:20]]
AUTHS = ("query", "header", "bearer", "basic")


def has_key(auth: str, expected: str = SECRET) -> Any:
    """Whether a request has the key, as a server would look."""

    def check(handler: Any) -> bool:
        if auth == "query":
            return parse_qs(urlsplit(handler.path).query).get("token") == [expected]
        if auth == "header":
            return bool(handler.headers.get("X-Key") == expected)
        wanted = f"Bearer {expected}" if auth == "bearer" else f"Basic {base64.b64encode(expected.encode()).decode()}"
        return bool(handler.headers.get("Authorization") == wanted)

    return check


def options(url: str, auth: str) -> dict[str, Any]:
    name = {"query": "token", "header": "X-Key"}.get(auth, "key")
    return {"url": url, "auth": auth, "auth_name": name, "secret": "env:PLANTED"}


def arguments(root: Path, out: Path, url: str, auth: str, *more: str) -> list[str]:
    catalog = [f"catalog.{name}={value}" for name, value in options(url, auth).items()]
    return ["dataset=landcovernet", f"dataset.root={root}", "catalog=api", *catalog, f"output_dir={out}", "bands=[NDVI]", "backend=serial", *more]


def leaks(*folders: Path, texts: tuple[str, ...] = ()) -> list[str]:
    """Where any form of the secret is found, compressed answers of the cache unpacked."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        if any(form.encode() in path.read_bytes() for form in FORMS):
            found.append(str(path))
        if path.suffix == ".sqlite":
            found += [f"{path}: {text[:80]}" for text in unpacked(path) if any(form in text for form in FORMS)]
    found += [path.name for folder in folders for path in folder.rglob("*") if any(form in path.name for form in FORMS)]
    return found + [text for text in texts if any(form in text for form in FORMS)]


def unpacked(path: Path) -> list[str]:
    import sqlite3
    import zlib
    from contextlib import closing

    with closing(sqlite3.connect(path)) as database:
        rows = [*database.execute("SELECT document FROM items"), *database.execute("SELECT value FROM answers")]
    assert rows
    return [zlib.decompress(blob).decode() for (blob,) in rows]
