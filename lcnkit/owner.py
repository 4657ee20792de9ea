"""Who is using an output folder, for the message of a second run that is refused."""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from lcnkit.output import whole_file
from lcnkit.secrets import is_reference, scrub

#: Written under the lock; it says who holds that, and holds nothing itself: one that a killed run has left is replaced.
OWNER = "owner.json"

_SECRET = re.compile(r"^(?P<key>[+\w.@/-]*(?:secret|password|token|credential|api_?key)[\w.]*)=(?P<value>.+)$", re.IGNORECASE | re.DOTALL)
_LONGEST_COMMAND = 300


def write_owner(state: Path) -> None:
    """Say that this process is using the folder."""
    about = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "user": _user(),
        "started": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "command": command_line(sys.orig_argv),
    }
    with whole_file(state / OWNER) as file:
        file.write((json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode(errors="replace"))


def owner_text(state: Path) -> str:
    """The run that holds the lock, in a few words."""
    try:
        about = json.loads((state / OWNER).read_bytes())
        return f"process {about['pid']} of {about['user']} on {about['host']}, started {about['started']}: {about['command']}"
    except (OSError, ValueError, KeyError, TypeError):  # it holds the lock, and has not said yet who it is
        return "it has just begun"


def command_line(arguments: Sequence[str]) -> str:
    """A command as a shell takes it, on one line, without secrets, and not longer than a person reads."""
    program = [Path(arguments[0]).name] if arguments else []
    text = " ".join(scrub(shlex.join([*program, *map(_without_secret, arguments[1:])])).split())
    return text if len(text) <= _LONGEST_COMMAND else text[:_LONGEST_COMMAND] + " ..."


def _without_secret(argument: str) -> str:
    match = _SECRET.match(argument)
    return f"{match['key']}=***" if match and not is_reference(match["value"]) else argument


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container may run as a user without a name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "somebody"
