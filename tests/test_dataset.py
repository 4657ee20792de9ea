"""open_dataset: a sequence of samples, whichever exporter wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lcnkit import open_dataset
from lcnkit.dataset import Samples
from lcnkit.errors import OutputError, UnknownName
from lcnkit.exporter.npz import Npz
from lcnkit.exporter.pickle import Pickle
from lcnkit.pipeline import prepare
from lcnkit.settings import LabelOptions
from lcnkit.testing.archives import TinyArchive


@pytest.fixture(params=[Pickle(), Npz(), Npz(compress=True)], ids=["pickle", "npz", "npz deflated"])
def output(request: pytest.FixtureRequest, tiny: TinyArchive, make_run: Any) -> Path:
    """A finished data set of three chips with two frames and two bands."""
    run = make_run(tiny.root, n_periods=2, bands=("B04", "B08"), exporter=request.param)
    return prepare(run).output


@pytest.fixture
def samples(output: Path) -> Samples:
    return open_dataset(output)


def test_it_is_a_sequence(samples: Samples) -> None:
    assert len(samples) == 3
    assert samples.chip_ids == ("A", "B", "C")
    assert [sample.chip_id for sample in samples] == ["A", "B", "C"]
    assert [sample.chip_id for sample in samples] == ["A", "B", "C"]  # and again
    assert [sample.chip_id for sample in reversed(samples)] == ["C", "B", "A"]


def test_samples_by_position(samples: Samples) -> None:
    assert samples[0].chip_id == "A"
    assert samples[-1].chip_id == "C"
    assert samples[np.int64(1)].chip_id == "B"  # type: ignore[call-overload]
    for position in (3, -4):
        with pytest.raises(IndexError, match=f"no sample {position}: the data set has 3 chips"):
            samples[position]


def test_samples_by_slice(samples: Samples) -> None:
    assert [sample.chip_id for sample in samples[1:]] == ["B", "C"]
    assert [sample.chip_id for sample in samples[::-2]] == ["C", "A"]
    assert samples[5:] == []


def test_samples_by_name(samples: Samples) -> None:
    assert samples["B"].chip_id == "B"
    assert samples["ref_landcovernet_xx_v1_labels_B"].chip_id == "B"
    assert "B" in samples
    assert "ref_landcovernet_xx_v1_labels_B" in samples
    assert "D" not in samples
    assert "None" not in samples


def test_a_name_that_is_not_there(samples: Samples) -> None:
    with pytest.raises(KeyError) as caught:
        samples["ref_landcovernet_xx_v1_labels_D"]
    message = caught.value.args[0]
    assert message.startswith("no chip 'ref_landcovernet_xx_v1_labels_D'; there is A, B, C. Did you mean 'ref_landcovernet_xx_v1_labels_")


def test_a_sample_holds_image_and_label(samples: Samples) -> None:
    import rioxarray  # noqa: F401  # gives DataArrays their `.rio`

    sample = samples["B"]
    assert sample.image.dims == ("time", "band", "y", "x")
    assert sample.image.shape == (2, 2, 8, 8)
    assert sample.image.band.values.tolist() == ["B04", "B08"]
    np.testing.assert_array_equal(sample.image.values[0, 0], (2000 + np.arange(64, dtype="float32").reshape(8, 8)) / np.float32(4000))
    assert (sample.image.values[:, 1] == 1).all()
    np.testing.assert_array_equal(sample.label.values, np.arange(64).reshape(8, 8) % 4)
    assert sample.label.dtype == "int64"
    assert sample.image.period.values.tolist() == [1, 2]
    np.testing.assert_array_equal(sample.image.x, sample.grid.x)
    assert sample.image.rio.crs.to_epsg() == 32633
    assert sample.images["sentinel_2"].valid.all()


def test_its_repr_is_a_small_table(samples: Samples, output: Path) -> None:
    rows = repr(samples).splitlines()
    assert rows[0] == f"<lcnkit.Samples: 3 chips in {output}>"
    assert rows[1:6] == [
        "  image       [2, 2, 8, 8] (time, band, y, x)",
        "  sentinel_2  B04, B08 of ref_landcovernet_xx_v1_source_sentinel_2",
        "  strategy    season_min_cc, 2 periods, 2018-01-01 to 2018-12-31",
        "  labels      4 classes of ref_landcovernet_xx_v1_labels",
        f"  exporter    {'pickle' if (output / 'items.pkl').exists() else 'npz'}",
    ]
    assert rows[6].startswith("  checksum    xxh3_128:")
    assert len(rows) == 7


def test_its_repr_counts_what_is_missing_and_not_what_is_ignored(tmp_path: Path, make_run: Any) -> None:
    archive = TinyArchive(tmp_path / "archive", size=2)
    archive.chip("A", classes=[[1, 1], [2, 1]])
    archive.item("A", "2018-01-01")
    samples = open_dataset(prepare(make_run(archive.write(), n_periods=3, label=LabelOptions(ignore=(2,)))).output)
    text = repr(samples)
    assert "1 chip in" in text
    assert "  labels      1 class of" in text
    assert text.endswith("  missing     2 frames without an acquisition")


def test_its_repr_counts_the_chips_that_are_not_there(tmp_path: Path, make_run: Any) -> None:
    archive = TinyArchive(tmp_path / "archive", size=2)
    for name, month in (("A", 1), ("A", 9), ("B", 1), ("B", 9), ("C", 1)):
        if name not in archive.grids:
            archive.chip(name)
        archive.item(name, f"2018-{month:02d}-01")
    next(archive.root.rglob("*_B_20180101/B04.tif")).unlink()
    text = repr(open_dataset(prepare(make_run(archive.write(), n_periods=2, when_empty="drop")).output))
    assert "1 chip in" in text
    assert text.endswith("\n  failed      1 chip, see failures.csv\n  dropped     1 chip (when_empty=drop)")


def test_a_folder_without_a_finished_data_set(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"holds no finished data set: it has no manifest\.json"):
        open_dataset(tmp_path)
    with pytest.raises(OutputError, match="holds no finished data set"):
        open_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"config": {"exporter": null}}', '{"config": {"exporter": {}}}'])
def test_a_manifest_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(OutputError, match=r"manifest\.json"):
        open_dataset(tmp_path)


def test_an_empty_data_set_is_empty(tiny: TinyArchive, make_run: Any) -> None:
    """Every chip was dropped: nothing failed, and nothing is there."""
    report = prepare(make_run(tiny.root, n_periods=12, when_empty="drop"))
    assert report.status == 0
    samples = open_dataset(report.output)
    assert len(samples) == 0
    assert list(samples) == []
    assert "0 chips in" in repr(samples)
    assert "image       none" in repr(samples)


def test_membership_and_position(samples: Samples) -> None:
    """Of a sample, too: comparing its arrays with those of others would say nothing."""
    assert samples[1] in samples
    assert "B" in samples
    assert "Z" not in samples
    assert 1 not in samples
    assert (samples.index("B"), samples.index(samples[2]), samples.index("C", 1)) == (1, 2, 2)
    for missing in (("Z",), ("A", 1), ("C", 0, 2), (7,)):
        with pytest.raises(ValueError, match="no chip"):
            samples.index(*missing)


def test_it_is_read_wherever_the_process_is_by_then(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(output.parent)
    samples = open_dataset(output.name)
    monkeypatch.chdir("/")
    assert samples["B"].chip_id == "B"


def test_a_folder_below_the_home(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(output.parent))
    assert open_dataset(f"~/{output.name}").folder == output


def test_an_exporter_that_is_not_installed_here(output: Path) -> None:
    """The manifest knows the packages whose plugins were used."""
    path = output / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["exporter"]["name"] = "tifs"
    path.write_text(json.dumps(manifest))
    with pytest.raises(UnknownName, match=r"no exporter 'tifs'; there is pickle, npz\.$"):
        open_dataset(output)
    manifest["versions"]["lcnkit-tifs"] = "0.3"
    path.write_text(json.dumps(manifest))
    with pytest.raises(UnknownName, match=r"The data set was made with lcnkit-tifs 0\.3: install the package that has the exporter\.$"):
        open_dataset(output)


def test_a_file_that_no_longer_holds_its_sample(samples: Samples, output: Path) -> None:
    """Cut short, changed in a byte, or gone."""
    path = output / ("items.pkl" if (output / "items.pkl").exists() else "items/B.npz")
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    for damaged in (whole[: len(whole) // 3], bytes(changed), None):
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        with pytest.raises(OutputError, match=rf"Chip B: .*{path.name} does not hold the sample that manifest\.json tells of"):
            samples["B"]
    path.write_bytes(whole)
    assert samples["B"].chip_id == "B"


def test_a_run_that_went_on_since_the_data_set_was_opened(tiny: TinyArchive, make_run: Any) -> None:
    """Chips lie in other places of `items.pkl` than before; all are of one size, so that a chip would be read as another."""
    label = next(tiny.labels.glob("*_A/labels.tif"))
    content = label.read_bytes()
    label.unlink()
    run = make_run(tiny.root, n_periods=2)
    output = prepare(run).output
    samples = open_dataset(output)
    before = samples["B"].image
    label.write_bytes(content)
    prepare(run)
    with pytest.raises(OutputError, match="If a run has gone on there since, open the data set again"):
        samples["B"]
    assert open_dataset(output)["B"].image.equals(before)
