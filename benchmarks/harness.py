"""Contenders measured by turns, each time in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.child import MARK

REPOSITORY = Path(__file__).resolve().parents[1]

#: Given what a contender answered and the folder it wrote; raises `WrongProduct`.
Check = Callable[[Mapping[str, Any], Path], None]


class WrongProduct(Exception):
    """A contender made something else than it was to make: its time says nothing."""


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    quick: bool
    rounds: int
    home: Path
    """Folder of archives, kept for the next time, and of outputs, which are not."""

    def of(self, full: int, quick: int) -> int:
        """A number for a full run, and one for a quick run."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Contender:
    """Something to measure: a function in a process of its own."""

    name: str
    call: str
    """``module:function``; it gets ``arguments`` and ``output`` (an empty folder), and answers with a JSON object."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    units: int = 1
    """Chips (or runs) that it makes."""
    check: Check | None = None
    """Looks at the product of the first round; its time is not counted."""


@dataclass
class Series:
    """What was measured of one contender, one value a round."""

    contender: Contender
    seconds: list[float] = field(default_factory=list)
    """Of the function alone."""
    whole: list[float] = field(default_factory=list)
    """Of the whole process: start of Python and imports included."""
    answers: list[dict[str, Any]] = field(default_factory=list)

    def median(self, value: str = "seconds") -> float:
        """Of ``seconds``, ``whole``, or a number that the function answered."""
        return statistics.median(self._values(value))

    def spread(self, value: str = "seconds") -> tuple[float, float]:
        """Smallest and largest."""
        values = self._values(value)
        return min(values), max(values)

    def _values(self, value: str) -> list[float]:
        return self.seconds if value == "seconds" else self.whole if value == "whole" else [float(answer[value]) for answer in self.answers]

    @property
    def per_unit(self) -> float:
        """Median seconds of the function for one chip (or run)."""
        return self.median() / self.contender.units

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file: every single value."""
        return {
            "name": self.contender.name,
            "units": self.contender.units,
            "seconds": self.seconds,
            "whole_process_seconds": self.whole,
            "answers": self.answers,
        }


def alternate(contenders: Sequence[Contender], scale: Scale, rest_s: float = 0.0) -> list[Series]:
    """Measure all contenders once, then all again: what slows the machine for a while slows them all.

    What a contender wrote is removed before the next one starts. Every second round goes backwards.

    Args:
        rest_s: Seconds between removing and starting. Memory that was freed a moment ago is at hand for one that writes at once, and
            with a host that takes free memory back no longer for one that plans first: after some seconds, all find the same.

    Raises:
        WrongProduct: A product is not what it must be.
    """
    every = [Series(contender) for contender in contenders]
    for number in range(scale.rounds):
        for series in every if number % 2 == 0 else reversed(every):
            output = scale.home / "output"
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir(parents=True)
            time.sleep(rest_s)
            answer, whole = call(series.contender.call, {**series.contender.arguments, "output": str(output)})
            if number == 0 and series.contender.check is not None:
                series.contender.check(answer, output)
            shutil.rmtree(output)
            series.seconds.append(answer.pop("seconds"))
            series.whole.append(whole)
            series.answers.append(answer)
            sys.stderr.write(f"round {number + 1}/{scale.rounds}  {series.contender.name:40} {series.seconds[-1]:8.2f} s\n")
    return every


def call(function: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """The answer of a function in a process of its own (with its ``seconds``), and the seconds of the whole process.

    Raises:
        WrongProduct: The process failed; the message holds what it wrote.
    """
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a run of a user's does not compile its libraries first
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.child", function], input=json.dumps(arguments), env=environment, capture_output=True, text=True
    )
    whole = time.perf_counter() - started
    answer = next((line for line in reversed(done.stdout.splitlines()) if line.startswith(MARK)), None)
    if done.returncode or answer is None:
        raise WrongProduct(f"{function} failed with status {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(answer.removeprefix(MARK)), whole
