"""A full STAC API: stac-fastapi-pgstac on PostgreSQL with PostGIS, in a temporary folder, as a user other than root."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from servers.loopback import free_port
from servers.rustac import wait_for

#: Where this is set, a missing server is a failure: CI must not pass because it skipped.
REQUIRED = "LCNKIT_REQUIRE_POSTGRES"
PACKAGES = ("stac_fastapi.pgstac", "pypgstac", "psycopg", "uvicorn")


def binaries() -> Path:
    """The folder of PostgreSQL's programs; skips (or fails, where it is required) if something is missing."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = next((folder for folder in [*folders, Path(shutil.which("initdb") or "/none/initdb").parent] if (folder / "initdb").exists()), None)
    share = found and Path("/usr/share/postgresql") / found.parent.name / "extension" / "postgis.control"
    problem = None
    if found is None:
        problem = "PostgreSQL is not installed (Debian: postgresql postgresql-15-postgis-3)"
    elif share is not None and share.parent.exists() and not share.exists():
        problem = "PostGIS is not installed (Debian: postgresql-15-postgis-3)"
    for package in PACKAGES:
        if problem is None and _missing(package):
            problem = f"the package {package} is not installed (pip install -e '.[slow]')"
    if problem is not None and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, and {problem}")
    if problem is not None or found is None:
        pytest.skip(str(problem))
    return found


def _missing(package: str) -> bool:
    try:
        return find_spec(package) is None
    except ModuleNotFoundError:
        return True


def _as_other_user(folder: Path) -> list[str]:
    """What to put before a command so that PostgreSQL agrees to run, and the folder given to that user."""
    if os.geteuid() != 0:
        return []
    user = next(name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()})
    shutil.chown(folder, user)
    return ["runuser", "-u", user, "--"]


@contextmanager
def database() -> Iterator[dict[str, str]]:
    """An empty PostgreSQL; gives its environment variables."""
    programs = binaries()
    # Not in pytest's folder: that one is closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="lcnkit-pg-"))
    prefix, port = _as_other_user(folder), free_port()
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    control = [*prefix, str(programs / "pg_ctl"), "-D", f"{folder}/data"]
    try:
        _run(
            [*prefix, str(programs / "initdb"), "-D", f"{folder}/data", "-U", "lcnkit", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            folder,
        )
        _run([*control, "-o", options, "-l", f"{folder}/log", "-w", "start"], folder)
        try:
            yield {"PGUSER": "lcnkit", "PGPASSWORD": "unused", "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGDATABASE": "postgres"}
        finally:
            _run([*control, "-m", "immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, **(environment or {})}, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")


@contextmanager
def serving_pgstac(items: Sequence[dict[str, Any]], folder: Path) -> Iterator[str]:
    """The API's address, with the items loaded and a collection made for each id among them."""
    with ExitStack() as stack:
        environment = stack.enter_context(database())
        user, host, port, name = (environment[key] for key in ("PGUSER", "PGHOST", "PGPORT", "PGDATABASE"))
        dsn = f"postgresql://{user}@{host}:{port}/{name}"
        pypgstac = [sys.executable, "-W", "ignore", "-m", "pypgstac.pypgstac"]
        _run([*pypgstac, "migrate", "--dsn", dsn], folder)
        for table, documents in (
            ("collections", [_collection(identifier, items) for identifier in sorted({item["collection"] for item in items})]),
            ("items", items),
        ):
            file = folder / f"{table}.ndjson"
            file.write_text("\n".join(json.dumps(document) for document in documents))
            _run([*pypgstac, "load", table, str(file), "--dsn", dsn, "--method", "upsert"], folder)
        web = free_port()
        log = stack.enter_context((folder / "uvicorn.log").open("wb"))
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "stac_fastapi.pgstac.app:create_app",
            "--factory",
            "--host",
            "127.0.0.1",
            "--port",
            str(web),
            "--no-access-log",
        ]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **environment})
        try:
            wait_for(f"http://127.0.0.1:{web}/", process, folder / "uvicorn.log", 60)
            yield f"http://127.0.0.1:{web}"
        finally:
            process.terminate()
            process.wait(20)


def _collection(identifier: str, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    boxes = [item["bbox"] for item in items if item["collection"] == identifier]
    whole = [min(box[0] for box in boxes), min(box[1] for box in boxes), max(box[2] for box in boxes), max(box[3] for box in boxes)]
    extent = {"spatial": {"bbox": [whole]}, "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]}}
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": identifier,
        "description": identifier,
        "license": "other",
        "extent": extent,
        "links": [],
    }
