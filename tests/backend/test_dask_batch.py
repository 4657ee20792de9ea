"""What travels to a worker arrives there, also what only this process can import."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

from lcnkit.backend.dask_batch import packed, run_batch
from lcnkit.contracts import Outcome

SCRIPT = """
import sys
from dataclasses import dataclass
from lcnkit.backend.dask_batch import packed

@dataclass
class Mine:
    number: int

    def double(self):
        return 2 * self.number

def work(task):
    return task.double()

sys.stdout.buffer.write(packed(work, [Mine(2), Mine(3)]))
"""


def _double(task: Outcome[int]) -> int:
    return 2 * task.index


def test_tasks_of_ours_give_their_results_in_order() -> None:
    tasks: list[Outcome[int]] = [Outcome(3), Outcome(1)]
    assert pickle.loads(packed(_double, tasks)) == [(6, None), (2, None)]


def test_classes_of_a_script_travel_with_their_code(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    sent = subprocess.run([sys.executable, str(script)], capture_output=True, check=True, timeout=60).stdout
    assert pickle.loads(sent) == [(4, None), (6, None)]


def test_what_cannot_be_loaded_is_an_error_of_each_task() -> None:
    results = run_batch(b"no pickle", 2)
    assert [value for value, _ in results] == [None, None]
    assert all("cannot load the task" in str(error) for _, error in results)
