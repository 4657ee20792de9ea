"""The log beside a data set."""

from __future__ import annotations

import logging
from contextlib import suppress


class LogFile(logging.FileHandler):
    """A log file that is written as long as it can be: what is wrong with the disk is said once, by the run itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message; on a full or vanished disk, leave it out."""
        if getattr(self, "_closed", False):  # threads that still read may have a last word; logging would open the file again for it
            return
        try:
            super().emit(record)
        except OSError:  # the file is opened here, at the first message
            return

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Say nothing: logging would print a traceback for each message."""

    def close(self) -> None:
        """Close the file; what a full disk has kept in the buffer is given up."""
        with suppress(OSError):
            super().close()
