"""One function in a process of its own: ``python -m benchmarks.child MODULE:FUNCTION``, its arguments as JSON on standard input.

The module is imported before the clock starts: libraries that a contender needs are not part of its own time.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

#: Begins the line that holds the answer; a function may write other lines.
MARK = "benchmarks: "


def main() -> None:
    """Call the function, and write its answer with the ``seconds`` it took."""
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    arguments = json.load(sys.stdin)
    started = time.perf_counter()
    answer = function(**arguments) or {}
    seconds = time.perf_counter() - started
    sys.stdout.write(f"\n{MARK}{json.dumps({'seconds': seconds, **answer})}\n")


if __name__ == "__main__":
    main()
