"""Runs of a sweep share what they can, and each writes what it would write alone."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from servers.files import serving_files

from lcnkit import open_dataset
from lcnkit.backend.local import Local
from lcnkit.cli import main
from lcnkit.testing.archives import TinyArchive

SWEEP = ("n_periods=1,2,3", "bands=[B04],[B04,B03]")
JOBS = [(periods, bands) for periods in (1, 2, 3) for bands in ("[B04]", "[B04,B03]")]


@pytest.fixture
def archive(tmp_path: Path) -> TinyArchive:
    made = TinyArchive(tmp_path / "archive")
    for number in range(3):
        made.chip(f"C{number}", classes=number + 1)
        for month in (2, 5, 8, 11):
            cloud = None if number == 1 else month
            made.item(f"C{number}", f"2018-{month:02d}-01", cloud=cloud, B04=100 * number + month, B03=100 * number + month + 1, CLD=month)
    made.write()
    return made


def sweep(root: str, output: Path, *more: str) -> list[Path]:
    assert main(["-m", "dataset=landcovernet", f"dataset.root={root}", *SWEEP, "backend=serial", f"output_dir={output}", *more]) == 0
    return sorted(path.parent for path in output.glob("*/manifest.json"))


def alone(root: str, output: Path, periods: int, bands: str) -> Path:
    assert (
        main(["dataset=landcovernet", f"dataset.root={root}", f"n_periods={periods}", f"bands={bands}", "backend=serial", f"output_dir={output}"])
        == 0
    )
    return output


def same(one: Path, other: Path) -> None:
    for name in ("items.pkl", "manifest.json", "selection.parquet"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), (one.name, name)


@pytest.mark.parametrize("more", [(), ("pixel_cache=1",)], ids=["", "pixels kept"])
def test_each_run_is_that_of_a_run_alone(archive: TinyArchive, tmp_path: Path, more: tuple[str, ...]) -> None:
    folders = sweep(str(archive.root), tmp_path / "sweep", *more)
    assert len(folders) == len(JOBS)
    for periods, bands in JOBS:
        (swept,) = [folder for folder in folders if f"n_periods={periods}" in folder.name and folder.name.startswith(f"bands={bands},")]
        same(swept, alone(str(archive.root), tmp_path / f"alone{periods}-{len(bands)}", periods, bands))


def test_a_server_is_asked_for_each_raster_once(archive: TinyArchive, tmp_path: Path) -> None:
    seen: list[tuple[str, dict[str, str]]] = []
    with serving_files(archive.root, seen) as url:
        alone(url, tmp_path / "warm", 1, "[B04]")  # the index
        seen.clear()
        sweep(url, tmp_path / "sweep")
    asked = Counter(path for path, _ in seen)
    assert len([path for path in asked if path.endswith("B04.tif")]) == 9, "three of each chip are chosen in one run or another"
    for path, times in asked.items():
        # Of a label, its grid is wanted when the run is planned, and its classes when a chip is made.
        most = 2 if path.endswith("labels.tif") else 1
        assert times <= most or not path.endswith(".tif"), f"{path} was asked for {times} times"


def test_a_cluster_serves_the_whole_sweep(archive: TinyArchive, tmp_path: Path, monkeypatch: Any) -> None:
    started: list[int] = []
    connect = Local._client

    def counting(self: Local) -> Any:
        started.append(1)
        return connect(self)

    monkeypatch.setattr(Local, "_client", counting)
    folders = sweep(str(archive.root), tmp_path / "sweep", "backend=local", "backend.workers=1")
    assert len(folders) == len(JOBS)
    assert len(started) == 1


def test_a_job_that_fails_leaves_the_others_alone(archive: TinyArchive, tmp_path: Path) -> None:
    words = ("dataset=landcovernet", f"dataset.root={archive.root}", "bands=[B04],[B99],[B03]", "backend=serial", f"output_dir={tmp_path / 'sweep'}")
    assert main(["-m", *words]) == 3
    assert sorted(path.parent.name.partition(",")[0] for path in (tmp_path / "sweep").glob("*/items.pkl")) == ["bands=[B03]", "bands=[B04]"]


def test_a_run_does_not_replace_what_another_has_made(archive: TinyArchive, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders are not named for the archive, whose path would be one of folders."""
    shutil.copytree(archive.root, tmp_path / "other")
    words = ("dataset=landcovernet", f"dataset.root={archive.root},{tmp_path / 'other'}", "bands=[B04]", "backend=serial", "overwrite=true")
    assert main(["-m", *words, f"output_dir={tmp_path / 'sweep'}"]) == 3
    (folder,) = [path.parent for path in (tmp_path / "sweep").glob("*/manifest.json")]
    assert open_dataset(folder).manifest["config"]["dataset"]["root"] == str(archive.root)
    assert "Give each run a folder of its own: 'hydra.sweep.subdir=${hydra.job.num}'" in capsys.readouterr().err
    assert main(["-m", *words, f"output_dir={tmp_path / 'sweep'}", "hydra.sweep.subdir=${hydra.job.num}"]) == 0
    roots = [open_dataset(tmp_path / "sweep" / number).manifest["config"]["dataset"]["root"] for number in ("0", "1")]
    assert roots == [str(archive.root), str(tmp_path / "other")]


def test_each_configuration_is_composed_once(archive: TinyArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    composed = []
    compose = ConfigLoaderImpl.load_sweep_config

    def counting(self: Any, master_config: Any, sweep_overrides: list[str]) -> Any:
        composed.append(tuple(sweep_overrides))
        return compose(self, master_config, sweep_overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counting)
    assert len(sweep(str(archive.root), tmp_path / "sweep")) == len(JOBS)
    assert len(composed) == len(set(composed)) == len(JOBS)
    assert ConfigLoaderImpl.load_sweep_config is counting, "what was there is put back"


def test_two_jobs_that_are_alike(archive: TinyArchive, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second has a configuration of its own, and is told that its folder is taken."""
    words = ["dataset=landcovernet", f"dataset.root={archive.root}", "chips=1,1", "bands=[B04]", "backend=serial", f"output_dir={tmp_path / 'sweep'}"]
    assert main(["-m", *words]) == 3
    assert "An earlier run of this sweep has the folder" in capsys.readouterr().err
    assert main(["-m", *words, "hydra.sweep.subdir=${hydra.job.num}"]) == 0
    same(tmp_path / "sweep" / "0", tmp_path / "sweep" / "1")
