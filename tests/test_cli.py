"""The command line: what it makes, what it says, and how it ends."""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

import lcnkit
from lcnkit.cli import main
from lcnkit.cli_run import together
from lcnkit.terminal import console
from lcnkit.testing.archives import TinyArchive


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Three chips of two tiles, five acquisitions each; `plan` of them needs no mask."""
    archive = TinyArchive(tmp_path_factory.mktemp("data") / "archive", size=4)
    for name in ("28QDE_00", "28QDE_01", "29QDE_00"):
        archive.chip(name)
        for number, month in enumerate((1, 3, 6, 8, 11)):
            archive.item(name, f"2018-{month:02d}-15", cloud=number, B02=400, B03=800, B04=1200 + number, B08=4000)
    return archive.write()


class Command:
    """``python -m lcnkit`` in this process: its status, and what it wrote."""

    def __init__(self, root: Path, folder: Path, capsys) -> None:
        self.output, self._capsys = folder / "out", capsys
        self._overrides = ["dataset=landcovernet", f"dataset.root={root}", "backend=serial", f"output_dir={self.output}"]

    def __call__(self, *arguments: str, plain: bool = False) -> int:
        given = {argument.partition("=")[0].lstrip("+") for argument in arguments}
        defaults = [] if plain else [override for override in self._overrides if override.partition("=")[0] not in given]
        console.cache_clear()  # it remembers whether standard error is a terminal
        self._capsys.readouterr()
        status = main([*arguments[:1], *defaults, *arguments[1:]] if arguments and arguments[0].isidentifier() else [*defaults, *arguments])
        self.out, self.err = self._capsys.readouterr()
        self.said = [line for line in self.err.splitlines() if line.startswith("lcnkit:")]
        assert "Traceback" not in self.err
        return status


@pytest.fixture
def lcn(root, tmp_path, capsys) -> Command:
    return Command(root, tmp_path, capsys)


def chips_of(output: Path) -> list[str]:
    return [sample["chip_id"] for sample in json.loads((output / "manifest.json").read_text())["samples"]]


class TestRun:
    def test_leaves_what_the_design_says(self, lcn):
        assert lcn("+strategy=season_min_cc", "n_periods=3", "bands=[B08,B04]") == 0
        assert sorted(path.name for path in lcn.output.iterdir()) == [".hydra", "items.pkl", "lcnkit.log", "manifest.json", "selection.parquet"]
        assert {path.name for path in (lcn.output / ".hydra").iterdir()} == {"config.yaml", "hydra.yaml", "overrides.yaml"}
        config = yaml.safe_load((lcn.output / ".hydra" / "config.yaml").read_text())
        assert (config["n_periods"], config["bands"], config["strategy"]["max_cloud"]) == (3, ["B08", "B04"], 100.0)
        assert "n_periods=3" in yaml.safe_load((lcn.output / ".hydra" / "overrides.yaml").read_text())
        pairs = pickle.loads((lcn.output / "items.pkl").read_bytes())
        assert [image.shape for image, _ in pairs] == [(3, 2, 4, 4)] * 3
        assert f"data set   3 chips of (3, 2, 4, 4) in {lcn.output}" in lcn.err
        assert lcn.said == []

    def test_secrets_that_a_resolver_fetches_are_not_written_down(self, lcn, monkeypatch):
        monkeypatch.setenv("LCNKIT_TEST_SECRET", "hush-hush")
        assert lcn("dataset.citation=${oc.env:LCNKIT_TEST_SECRET}", "chips=1") == 0
        texts = {path.name: path.read_text() for path in (lcn.output / ".hydra").iterdir()}
        assert "hush-hush" not in "".join(texts.values())
        assert "${oc.env:LCNKIT_TEST_SECRET}" in texts["config.yaml"]

    @pytest.mark.parametrize("override", ["+strategy=min_cc", "strategy=min_cc"])
    def test_a_strategy_is_chosen_with_and_without_plus(self, lcn, override):
        assert lcn("plan", override, "strategy.k=2") == 0
        assert "strategy   min_cc, 5 periods" in lcn.err
        assert pd.read_parquet(lcn.output / "selection.parquet")["selected"].sum() == 6

    def test_says_so_where_no_strategy_was_named(self, lcn):
        assert lcn("plan") == 0
        assert "strategy   season_min_cc (none was named; choose with +strategy=NAME), 5 periods, bands rgb" in lcn.err

    @pytest.mark.parametrize(
        ("override", "chips"),
        [
            ("chips=28QDE_*", ["28QDE_00", "28QDE_01"]),
            ("chips=[29QDE_00,28QDE_01]", ["28QDE_01", "29QDE_00"]),
        ],
    )
    def test_some_chips(self, lcn, override, chips):
        assert lcn(override) == 0
        assert chips_of(lcn.output) == chips

    def test_order_of_transforms(self, lcn):
        assert lcn("transform=[index,reflectance]", "bands=rgbn", "chips=1") == 0
        manifest = json.loads((lcn.output / "manifest.json").read_text())
        assert [entry["name"] for entry in manifest["config"]["transform"]] == ["index", "reflectance"]
        assert manifest["sources"]["sentinel_2"]["bands"] == ["B04", "B03", "B02", "B08", "NDVI"]
        ((image, _),) = pickle.loads((lcn.output / "items.pkl").read_bytes())
        assert image.sel(band="NDVI")[0, 0, 0].item() == pytest.approx(2800 / 5200), "made of what is stored, and not scaled"
        assert image.sel(band="B08")[0, 0, 0].item() == 1.0

    @pytest.mark.parametrize("override", ["transform=raw", "transform=[]"])
    def test_no_transform_keeps_what_is_stored(self, lcn, override):
        assert lcn(override, "bands=[B04]", "chips=1", "n_periods=1") == 0
        ((image, _),) = pickle.loads((lcn.output / "items.pkl").read_bytes())
        assert image.dtype == "uint16"
        assert (image == 1200).all()

    def test_flags_and_overrides_in_any_order(self, lcn, tmp_path):
        (tmp_path / "mine" / "experiment").mkdir(parents=True)
        (tmp_path / "mine" / "experiment" / "two.yaml").write_text("# @package _global_\nn_periods: 2\nbands: [B04]\n")
        assert lcn("chips=1", "--config-dir", str(tmp_path / "mine"), "+experiment=two") == 0
        assert "none was named" not in lcn.err
        assert lcn("chips=1", "experiment=two", f"--config-dir={tmp_path / 'mine'}", "plan", "overwrite=true") == 0
        assert "would read 1 chip, 2 frames, 2 files" in lcn.err


class TestPlan:
    def test_says_what_would_be_read_and_reads_no_pixel(self, lcn, root):
        before = (list(logging.getLogger().handlers), logging.getLogger("lcnkit").level)
        assert lcn("plan", "n_periods=6", "bands=[B04,B08]", "chips=2") == 0
        assert sorted(path.name for path in lcn.output.iterdir()) == [".hydra", ".lcnkit", "lcnkit.log", "selection.parquet"]
        # Five acquisitions, one of them in the period of another's: 15 January, 15 March | 15 June | ...
        table = pd.read_parquet(lcn.output / "selection.parquet")
        frames = int(table["selected"].sum())
        paths = [root / href for href in table.loc[table["selected"], "item_href"]]
        size = sum((path.parent / f"{band}.tif").stat().st_size for path in paths for band in ("B04", "B08"))
        assert f"would read 2 chips, {frames} frames, {2 * frames} files, {size / 1000:.1f} kB" in lcn.err
        assert f"missing    {12 - frames} frames" in lcn.err
        assert f"plan={lcn.output / 'selection.parquet'}" in lcn.err
        assert "plan       10 candidates" in (lcn.output / "lcnkit.log").read_text()
        assert (list(logging.getLogger().handlers), logging.getLogger("lcnkit").level) == before, "logging is left as it was"

    def test_a_run_in_the_same_folder_goes_on_with_it(self, lcn):
        """Also where the plan was edited in between."""
        assert lcn("plan", "n_periods=1", "bands=[B04]") == 0
        path = lcn.output / "selection.parquet"
        table = pd.read_parquet(path)
        table["selected"] = table["item_id"].str.endswith("20180815")
        table.to_parquet(path)
        assert lcn("n_periods=1", "bands=[B04]", "transform=raw") == 1, "another transform is another data set"
        assert lcn("n_periods=1", "bands=[B04]") == 0
        assert [image.values.max() for image, _ in pickle.loads((lcn.output / "items.pkl").read_bytes())] == pytest.approx([1203 / 4000] * 3)

    def test_status_tells_of_chips_that_cannot_be_made(self, lcn):
        assert lcn("plan", "interval=[2019-01-01,2019-01-31]") == 1
        assert "cannot do  3 chips, first Chip 28QDE_00" in lcn.err


class TestSweep:
    def test_one_folder_for_each_combination(self, lcn):
        assert lcn("-m", "n_periods=3,5", "bands=[B04],[B03]") == 0
        shapes = {}
        for folder in lcn.output.iterdir():
            if folder.is_dir():
                shapes[folder.name] = json.loads((folder / "manifest.json").read_text())["shapes"]
                assert (folder / ".hydra" / "config.yaml").exists()
        assert shapes == {
            f"bands=[{band}],dataset=landcovernet,n_periods={number}": [f"[{number}, 1, 4, 4]"] for band in ("B03", "B04") for number in (3, 5)
        }

    def test_a_failing_job_does_not_stop_the_next(self, lcn):
        """There are five acquisitions of each chip: enough for `min_cc`, and too few for twelve periods."""
        assert lcn("plan", "+strategy=season_min_cc,min_cc", "n_periods=12", "when_empty=error", "-m") == 3
        (line,) = lcn.said
        assert "frames have no acquisition" in line
        plans = sorted(path.parent.name for path in lcn.output.rglob("selection.parquet"))
        assert plans == ["dataset=landcovernet,n_periods=12,strategy=min_cc,when_empty=error"]


class TestMistakes:
    """Every mistake ends in one clear line, and status 1. `tests/test_config.py` has many more of them."""

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("n_period=3", "There is no key 'n_period'; there is .* Did you mean 'n_periods'?"),
            ("+strategy=season_min_c", "There is no strategy 'season_min_c'; there is .*Did you mean 'season_min_cc'"),
            ("strategy=null", "An override chooses nothing"),
            ("bands=[B04", r"The override 'bands=\[B04' cannot be read"),
            ("dataset.demo={chips:0}", ""),
            ("chips=nope", "chips=nope fits no chip; there is 28QDE_00, 28QDE_01, 29QDE_00"),
            ("bands=rgbx", "bands=rgbx is no band list of 'sentinel_2'; it has rgb, rgbn, all. Did you mean 'rgb'"),
            ("dataset.source=sentinel_3", "Did you mean 'sentinel_2'?"),
            ("dataset.root=/no/such/folder", "root /no/such/folder does not exist"),
            ("plan=/no/such/plan.parquet", "The plan /no/such/plan.parquet does not exist"),
            ("when_empty=error n_periods=12", "frames have no acquisition: 28QDE_00 .period 2.*Choose when_empty=pad"),
            ("output_dir=/proc/no/such", "Cannot write the output folder /proc/no"),
            ("--multirn", "There is no flag '--multirn'; .*Did you mean '--multirun'"),
            ("--cfg", "--cfg needs one of job, hydra, all, and has none"),
            ("--cfg nothing", "--cfg needs one of job, hydra, all, and has nothing"),
            ("--config-dir /no/such", "/no/such"),
            ("--config-name nothing", "There is no configuration 'nothing'"),
            ("plam", "There is no command 'plam'; there is run, plan, retry, plugins, index. Did you mean 'plan'"),
            ("n_periods=3 n_periods", "There is no command 'n_periods'.*Options have the form key=value"),
            ("plugins strategi", "There is no kind or plugin 'strategi'.*Did you mean 'strategy'"),
        ],
    )
    def test_one_line(self, lcn, arguments, said):
        assert lcn(*arguments.split(), plain=arguments.startswith("plugins")) == 1
        (line,) = lcn.said
        assert re.search(said, line), line

    def test_the_corrected_command_may_use_the_same_folder(self, lcn):
        for mistake in ("bands=[B04x]", "when_empty=error"):
            assert lcn(mistake, "n_periods=12") == 1
        assert lcn("chips=1", "n_periods=1") == 0

    def test_a_folder_that_is_a_file(self, lcn):
        lcn.output.write_text("a file")
        assert lcn("chips=1") == 1
        (line,) = lcn.said
        assert f"Cannot write the output folder {lcn.output}" in line
        assert "output_dir=PATH" in line

    def test_another_configuration_in_the_same_folder(self, lcn):
        assert lcn("chips=1") == 0
        assert lcn("chips=1", "n_periods=3") == 1
        assert lcn.said == [
            f"lcnkit: {lcn.output} holds a data set of another configuration: n_periods is 5 there and 3 now. "
            "Choose another folder with output_dir=PATH, or replace it with overwrite=true."
        ]
        assert lcn("chips=1", "n_periods=3", "overwrite=true") == 0

    def test_a_strategys_mistake_is_said_in_one_line_that_names_it(self, lcn, monkeypatch):
        from lcnkit.strategy.season_min_cc import SeasonMinCC

        def fail(self, candidates):
            raise ValueError("a bug")

        monkeypatch.setattr(SeasonMinCC, "select", fail)
        assert lcn("chips=1") == 1
        (line,) = [line for line in lcn.err.splitlines() if line.startswith("lcnkit:")]
        assert "The strategy 'season_min_cc' failed: ValueError: a bug." in line
        assert "Traceback" not in lcn.err


class TestOtherCommands:
    def test_help_names_every_plugin(self, lcn):
        for arguments in (["--help"], ["-h"], ["plan", "--help"], ["n_periods=3", "--help"]):
            assert lcn(*arguments, plain=True) == 0
            assert "season_min_cc" in lcn.out
            assert "stackstac" in lcn.out

    def test_version_is_ours(self, lcn):
        assert lcn("--version", plain=True) == 0
        assert lcn.out == f"lcnkit {lcnkit.__version__}\n"

    def test_plugins(self, lcn):
        assert lcn("plugins", "strategy", plain=True) == 0
        assert "max_cloud: float = 100.0" in lcn.out
        assert "rasterio" not in lcn.out
        assert lcn("plugins", "npz", plain=True) == 0
        assert "exporter=NAME" in lcn.out

    def test_cfg_prints_the_configuration_and_makes_nothing(self, lcn):
        assert lcn("--cfg", "job", "n_periods=3", "transform=[index,reflectance]") == 0
        config = yaml.safe_load(lcn.out)
        assert config["n_periods"] == 3
        assert list(config["transform"]) == ["index", "reflectance"]
        assert not lcn.output.exists()

    def test_interrupted(self, lcn, monkeypatch):
        import lcnkit.pipeline

        def interrupt(*arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(lcnkit.pipeline, "prepare", interrupt)
        assert lcn("chips=1") == 130
        assert lcn.said == ["lcnkit: Interrupted. What is written is kept: the same command with the same output_dir goes on from here."]

    def test_as_a_program(self, root, tmp_path):
        """Status and streams as a shell sees them; and a reader that goes away is no error."""
        command = [sys.executable, "-m", "lcnkit"]
        made = subprocess.run(
            [*command, "plan", "dataset=landcovernet", f"dataset.root={root}", "backend=serial", f"output_dir={tmp_path / 'out'}"],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert (made.returncode, made.stdout) == (0, "")
        assert "would read 3 chips, 15 frames, 45 files" in made.stderr
        assert sorted(os.listdir(tmp_path)) == ["out"]
        wrong = subprocess.run([*command, "plam"], capture_output=True, text=True, check=False)
        assert wrong.returncode == 1
        assert wrong.stderr.startswith("lcnkit: There is no command 'plam'")
        assert len(wrong.stderr.splitlines()) == 1


@pytest.mark.parametrize(("statuses", "status"), [([], 0), ([0, 0], 0), ([1, 1], 1), ([3], 3), ([0, 1], 3), ([0, 3], 3), ([1, 3], 3)])
def test_status_of_a_sweep(statuses, status):
    assert together(statuses) == status


def test_a_clone_in_the_current_folder_is_named(tmp_path):
    """An editable install, and the folder that holds the clone: Python takes the clone for a package without `__init__.py`."""
    (tmp_path / "lcnkit").mkdir()
    for path in Path(lcnkit.__file__).parent.iterdir():
        if path.name not in ("__init__.py", "__pycache__"):
            (tmp_path / "lcnkit" / path.name).symlink_to(path)
    done = subprocess.run([sys.executable, "-m", "lcnkit", "plugins"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("lcnkit: Python takes the folder `lcnkit` that is here for the package")
