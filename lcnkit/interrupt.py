"""Ending a run early: what is under way is finished, and nothing more is started."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from lcnkit.terminal import counted

T = TypeVar("T")

log = logging.getLogger(__name__)

_NAMES = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}

_LOOK_EVERY_S = 0.1
# An import that a signal has met is looked at again so soon.
_AFTER_IMPORT_S = 0.02


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), as batch systems do."""


class Halt:
    """Whether a run is to end before its last task, and why."""

    def __init__(self) -> None:
        self.reason = ""
        """Empty as long as the run goes on."""
        self.signal = 0
        """The number of the signal that asked for it; 0 where none did."""
        self.under_way = 0
        """Tasks that were taken, and whose outcome is not there yet."""
        # No threading.Event: a signal handler that sets one while this thread looks at it would wait for itself.
        self._stopped = False

    def __bool__(self) -> bool:
        return self._stopped

    def stop(self, reason: str) -> None:
        """Start no further task; the first reason counts."""
        self.reason = self.reason or reason
        self._stopped = True

    def until(self, tasks: Sequence[T]) -> Iterator[T]:
        """The tasks, as long as the run goes on; it knows how many are left (`operator.length_hint`)."""
        return _Until(self, tasks)

    def wait(self, seconds: float) -> None:
        """Wait, unless the run is to end."""
        end = time.monotonic() + seconds
        while not self and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_EVERY_S))


class _Until(Iterator[T]):
    def __init__(self, halt: Halt, tasks: Sequence[T]) -> None:
        self._halt, self._tasks, self._left = halt, iter(tasks), len(tasks)

    def __next__(self) -> T:
        if self._halt:
            raise StopIteration
        task = next(self._tasks)
        self._left -= 1
        self._halt.under_way += 1
        return task

    def __length_hint__(self) -> int:
        return 0 if self._halt else self._left


@contextmanager
def interruptible() -> Iterator[Halt]:
    """Within the block, the first Ctrl-C (or SIGTERM) sets the `Halt`; the second ends the block at once.

    Signals reach the main thread only; in another thread nothing is changed. What was there before is put back.

    Raises:
        KeyboardInterrupt: The second signal.
    """
    halt, told = Halt(), []

    def received(number: int, _frame: FrameType | None) -> None:
        if halt.signal:
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        halt.signal = number
        halt.stop(_NAMES[signal.Signals(number)])
        # In a thread of its own: the main thread may be in the middle of writing a message.
        told.append(threading.Thread(target=_tell, args=(number, halt.under_way), daemon=True))
        told[0].start()

    if threading.current_thread() is not threading.main_thread():
        yield halt
        return
    before = {number: signal.signal(number, received) for number in _NAMES}
    try:
        yield halt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for thread in told:
            thread.join(timeout=1)


@contextmanager
def terminable() -> Iterator[None]:
    """Within the block, SIGTERM raises `Terminated`: workers are ended and clusters closed, as on Ctrl-C.

    Neither does so in the middle of an import, but right after it: Python may then hold the module's lock for ever, and a thread
    that imports it, too, waits as long.
    """

    def received(number: int, frame: FrameType | None) -> None:
        if _imports(frame) > outside:
            later = threading.Timer(_AFTER_IMPORT_S, _send, [number])
            later.daemon = True
            later.start()
            return
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outside = _imports(sys._getframe())  # all of this may run in a module that is being imported
    # Whoever has a handler of his own for Ctrl-C keeps it.
    ours = [signal.SIGTERM, *([signal.SIGINT] if signal.getsignal(signal.SIGINT) is signal.default_int_handler else [])]
    before = {number: signal.signal(number, received) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _send(number: int) -> None:
    """A signal to the main thread, which wakes it where it waits."""
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)


def _imports(frame: FrameType | None) -> int:
    """How many calls of Python's import system led to a frame."""
    count = 0
    while frame is not None:
        count += frame.f_code.co_filename.startswith("<frozen importlib.")
        frame = frame.f_back
    return count


def _tell(number: int, under_way: int) -> None:
    doing = f"finishing {counted(under_way, 'chip')} under way" if under_way else "stopping"
    again = "Ctrl-C again stops at once." if number == signal.SIGINT else "A second signal stops at once."
    log.warning("%s: %s. %s", _NAMES[signal.Signals(number)], doing, again)
