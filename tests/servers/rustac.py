"""A light STAC API in memory: ``rustac serve``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from servers.loopback import free_port


def _command() -> str:
    import rustac

    beside = [Path(sys.executable).parent, *list(Path(rustac.__file__).parents)[3:5]]
    found = next(
        (str(path) for folder in beside for path in (folder / "rustac", folder / "bin" / "rustac") if path.is_file()), shutil.which("rustac")
    )
    if found is None:
        pytest.skip("the command rustac is not there")
    return found


@contextmanager
def serving_items(items: Sequence[dict[str, Any]], folder: Path) -> Iterator[str]:
    """The API's address; each collection is made of its items."""
    pytest.importorskip("rustac")
    file = folder / "items.json"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "rustac.log").open("wb") as log:
        process = subprocess.Popen([_command(), "serve", str(file), "--create-collections", "--addr", f"127.0.0.1:{port}"], stdout=log, stderr=log)
        try:
            wait_for(url, process, folder / "rustac.log")
            yield url
        finally:
            process.terminate()
            process.wait(10)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 30) -> None:
    """Until the server answers; with its log where it does not."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.03)
    raise RuntimeError(f"{url} does not answer: {log.read_text(errors='replace')[-2000:]}")
