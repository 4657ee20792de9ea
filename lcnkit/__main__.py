"""``python -m lcnkit``, and the command ``lcnkit``."""

import signal
import sys

import lcnkit

if getattr(lcnkit, "__file__", None) is None:  # else other imports would go wrong, each in its own way
    sys.exit(
        "lcnkit: Python takes the folder `lcnkit` that is here for the package; it is most likely a clone. "
        "Run the command from inside it (cd lcnkit), or from another folder."
    )

from lcnkit.cli import main


def run() -> None:
    """Run the command, and end the process with its exit status."""
    status = main()
    if status > 128:  # a signal ended the run, which has said so: another one must not cut its last words off
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)


if __name__ == "__main__":
    run()
