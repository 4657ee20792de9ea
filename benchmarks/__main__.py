"""``python -m benchmarks [QUESTION ...] [--quick] [--json DIR] [--write PAGE]``: measure, print, and keep what was found."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from benchmarks.harness import Scale, WrongProduct
from benchmarks.machine import machine
from benchmarks.tables import Table, show, write_json, write_page

QUESTIONS = {
    "archive": "chips per second from an archive on disk, beside what one would use instead",
    "plan": "seconds and memory to plan 2,000 and 9,000 chips of 72 acquisitions",
    "memory": "peak memory of client and workers at 500, 2,000 and 8,000 chips",
    "sweep": "12 runs of a sweep beside one run that reads all they read",
    "remote": "chips per second, requests and bytes behind a slow web server",
    "startup": "how soon lcnkit answers",
}
#: Programs of their own, for those who work on these parts.
PROGRAMS = ("crawl", "backend")
_ROUNDS, _QUICK_ROUNDS = 5, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; gives 1 where a contender made something wrong, or failed."""
    asked = _parser().parse_args(arguments)
    home = Path(asked.folder).expanduser() if asked.folder else _default_home()
    home.mkdir(parents=True, exist_ok=True)
    # Indexes and the demo are to be kept beside the archives, not among a user's own.
    os.environ["LCNKIT_CACHE_DIR"] = str(home / "cache")
    scale = Scale(asked.quick, asked.rounds or (_QUICK_ROUNDS if asked.quick else _ROUNDS), home.resolve())
    try:
        with FileLock(home / "lock", timeout=0):
            return _measure(asked, scale)
    except Timeout:
        sys.stderr.write(f"benchmarks: another benchmark is running in {home}; wait for its end, both would be slower.\n")
    except WrongProduct as error:
        sys.stderr.write(f"benchmarks: {error}\n")
    return 1


def _measure(asked: argparse.Namespace, scale: Scale) -> int:
    for program in (name for name in PROGRAMS if name in asked.questions):
        _run_program(program, quick=asked.quick)
    about = machine(scale.home)
    for question in (name for name in QUESTIONS if name in asked.questions or not asked.questions):
        started = time.perf_counter()
        tables: list[Table] = importlib.import_module(f"benchmarks.{question}").measure(scale)
        show(tables, about)
        sys.stdout.write(f"{question}: {time.perf_counter() - started:.0f} s, rounds: {scale.rounds}\n\n")
        if asked.json:
            write_json(Path(asked.json), question, tables, {"machine": about, "quick": scale.quick, "rounds": scale.rounds})
        if asked.write:
            write_page(Path(asked.write), question, tables, {**about, "rounds": str(scale.rounds)})
    return 0


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:10}{text}" for name, text in QUESTIONS.items())
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description=f"Measure lcnkit. Questions:\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=f"default: all of the above; also {', '.join(PROGRAMS)}", type=_question)
    parser.add_argument("--quick", action="store_true", help="small: shows that everything runs and that products agree; figures mean little")
    parser.add_argument("--rounds", type=int, help=f"how often each contender is measured (default {_ROUNDS}, quick {_QUICK_ROUNDS})")
    parser.add_argument("--json", metavar="DIR", help="write every measurement to DIR/QUESTION.json")
    parser.add_argument("--write", metavar="PAGE", help="replace the tables of a Markdown page (docs/performance.md)")
    parser.add_argument("--folder", help="where archives are made and kept (about 5 GB; default: lcnkit's cache folder)")
    return parser


def _question(name: str) -> str:
    if name not in (*QUESTIONS, *PROGRAMS):
        raise argparse.ArgumentTypeError(f"there is no question {name!r}; there is {', '.join([*QUESTIONS, *PROGRAMS])}")
    return name


def _default_home() -> Path:
    from lcnkit.cache_dir import cache_folder

    return cache_folder() / "benchmarks"


def _run_program(name: str, *, quick: bool) -> None:
    small = {"crawl": ["--items", "8000"]}
    sys.argv = [f"benchmarks/{name}.py", *(small.get(name, []) if quick else [])]
    importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    sys.exit(main())
