"""Do workers and client see one folder? Tried, not guessed."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# A network file system may show a new file a moment later.
_TRIES, _PAUSE_S = 3, 0.5


def is_shared(client: Any, folder: Path) -> bool:
    """Whether every worker of a Dask client sees what this process writes in ``folder``, and the other way round.

    A folder that is absent or read-only for one worker is not shared. Leaves nothing behind.
    """
    name = f".shared-{uuid.uuid4().hex}"
    try:
        (folder / name).write_text(name)
        # A function of a module, by reference: by value it would not run under another Python.
        answers: dict[str, Any] = client.run(answer, str(folder), name, on_error="return")
        missing = [worker for worker, written in answers.items() if not (isinstance(written, str) and _sees(folder / written, name))]
    except OSError as error:
        log.debug("%s cannot be tried: %s", folder, error)
        return False
    finally:
        for file in folder.glob(f"{name}*"):
            with contextlib.suppress(OSError):
                file.unlink()
    if missing:
        log.info("gather     %d of %d workers do not share %s: samples come to this process, which writes them", len(missing), len(answers), folder)
    return bool(answers) and not missing


def answer(folder: str, name: str) -> str | None:
    """On a worker: read what the client wrote, and write beside it; gives the name of the file, ``None`` where that fails."""
    if not _sees(Path(folder) / name, name):
        return None
    written = f"{name}-{uuid.uuid4().hex}"
    try:
        (Path(folder) / written).write_text(name)
    except OSError:  # it can be read, but not written
        return None
    return written


def _sees(file: Path, text: str) -> bool:
    for attempt in range(_TRIES):
        try:
            if file.read_text() == text:
                return True
        except OSError:  # not there, or not yet
            pass
        if attempt < _TRIES - 1:
            time.sleep(_PAUSE_S)
    return False
