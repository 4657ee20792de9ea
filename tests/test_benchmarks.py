"""The benchmarks' own machinery: what is measured is real, and a wrong product is noticed. Nothing is timed here."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pystac_client
import pytest

import lcnkit
from lcnkit import compose, prepare
from lcnkit.demo import DemoOptions, write_archive

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.append(str(REPOSITORY))  # the benchmarks are no part of the package

from benchmarks import scenes  # noqa: E402
from benchmarks.__main__ import QUESTIONS, main  # noqa: E402
from benchmarks.archives import Wide  # noqa: E402
from benchmarks.harness import Contender, Scale, WrongProduct, alternate  # noqa: E402
from benchmarks.products import product, same_as, samples_in, scaled, write  # noqa: E402
from benchmarks.server import counts, serving  # noqa: E402
from benchmarks.tables import Goal, Table, show, write_page  # noqa: E402

CONTENDERS = """
import os, pathlib
def one(word, output):
    log = pathlib.Path(os.environ["LOG"])
    log.write_text((log.read_text() if log.exists() else "") + word)
    assert not os.listdir(output)
    pathlib.Path(output, "made").write_text(word)
    print("a library's chatter")
    return {"twice": 2 * len(word)}
def broken(output):
    raise RuntimeError("nothing works")
"""


@pytest.fixture
def scale(tmp_path, monkeypatch):
    (tmp_path / "contenders_of_a_test.py").write_text(CONTENDERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return Scale(quick=True, rounds=3, home=tmp_path)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmarks") / "demo"
    write_archive(DemoOptions(chips=2, acquisitions=6, size=16), folder)
    return folder


def contender(word, check=None):
    return Contender(word, "contenders_of_a_test:one", {"word": word}, units=2, check=check)


def test_contenders_take_turns_and_every_second_round_goes_backwards(scale, tmp_path):
    first, second = alternate([contender("a"), contender("b")], scale)
    assert (tmp_path / "log").read_text() == "abbaab"
    assert len(first.seconds) == len(first.whole) == 3
    assert all(whole > own for own, whole in zip(first.seconds, first.whole, strict=True))
    assert second.median("twice") == 2
    assert first.per_unit == pytest.approx(first.median() / 2)
    assert not (tmp_path / "output").exists()


def test_every_contender_starts_after_the_same_rest(scale, tmp_path, monkeypatch):
    rests = []
    monkeypatch.setattr("benchmarks.harness.time.sleep", lambda seconds: rests.append((seconds, list((tmp_path / "output").iterdir()))))
    alternate([contender("a"), contender("b")], scale, rest_s=5)
    assert rests == [(5, [])] * 6  # what the one before wrote is gone by then


def test_the_product_is_looked_at_once_and_a_wrong_one_ends_the_measurement(scale, tmp_path):
    seen = []
    alternate([contender("a", lambda answer, output: seen.append((answer["twice"], (output / "made").read_text())))], scale)
    assert seen == [(2, "a")]

    def refuse(answer, output):
        raise WrongProduct("not the same")

    with pytest.raises(WrongProduct, match="not the same"):
        alternate([contender("a", refuse)], scale)


def test_a_contender_that_fails_ends_the_measurement_and_says_why(scale):
    with pytest.raises(WrongProduct, match="nothing works"):
        alternate([Contender("broken", "contenders_of_a_test:broken")], scale)


def samples(change=0.0):
    stored = np.arange(24, dtype="uint16").reshape(2, 1, 3, 4) * 500
    image = scaled(stored, stored != 0)
    image[-1, 0, 0, 0] += np.float32(change)
    return image, np.ones((3, 4), dtype="int64")


def written(folder, chips, change=0.0):
    with product(str(folder)) as file:
        for chip in chips:
            write(file, (chip, *samples(change)))


def test_scaled_is_what_lcnkit_makes_of_stored_values():
    image, _ = samples()
    assert np.isnan(image[0, 0, 0, 0])
    assert image.dtype == "float32"
    assert image[0, 0, 0, 1] == pytest.approx(0.125)
    assert np.nanmax(image) == 1


def test_the_same_pixels_are_the_same(tmp_path):
    written(tmp_path, ["a", "b"])
    same_as({"a": samples()}, ["a", "b"])({}, tmp_path)


def test_a_pixel_that_differs_is_noticed(tmp_path):
    written(tmp_path, ["a"], change=-0.01)
    with pytest.raises(WrongProduct, match="chip a: 1 of 24 pixels"):
        same_as({"a": samples()}, ["a"])({}, tmp_path)


@pytest.mark.parametrize("made", [["a"], ["a", "b", "b"], ["a", "c"]])
def test_chips_that_are_missing_or_too_many_are_noticed(tmp_path, made):
    written(tmp_path, made)
    with pytest.raises(WrongProduct, match="2 chips were to be made"):
        same_as({}, ["a", "b"])({}, tmp_path)


@pytest.mark.parametrize("catalog", ["static", "geoparquet"])
def test_a_wide_archive_is_one_to_lcnkit_with_the_pixels_of_its_base(base, tmp_path, catalog):
    wide = Wide(base, base.with_name(f"wide-{catalog}"), chips=5, apart=True, cloud_known=True).write(items=catalog == "static")
    options = ["catalog=geoparquet", f"catalog.path={wide.index(tmp_path / 'index.parquet')}"] if catalog == "geoparquet" else []
    common = ["backend=serial", "n_periods=2", "cloud=metadata"]
    report = prepare(compose([f"dataset.root={wide.root}", f"output_dir={tmp_path / 'wide'}", *options, *common]))
    assert (report.made, report.status) == (5, 0)
    first = next(samples_in_run(tmp_path / "wide"))
    prepare(compose([f"dataset.root={base}", f"output_dir={tmp_path / 'base'}", *common]))
    own = next(samples_in_run(tmp_path / "base"))
    assert first[0] == f"{own[0]}c0000"
    np.testing.assert_array_equal(first[1], own[1])
    np.testing.assert_array_equal(first[2], own[2])


def samples_in_run(folder):
    for sample in lcnkit.open_dataset(folder):
        yield sample.chip_id, sample.images[sample.source].values, sample.classes


def test_samples_of_lcnkit_are_found_too(base, tmp_path):
    prepare(compose([f"dataset.root={base}", f"output_dir={tmp_path / 'run'}", "backend=serial", "n_periods=2"]))
    assert [chip for chip, *_ in samples_in(tmp_path)] == ["28QDE_00", "33PWQ_00"]


def test_the_server_answers_ranges_and_counts(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    with serving(tmp_path, 0.0) as url:
        counts(url)
        assert urlopen(f"{url}/file").read() == b"0123456789"
        assert urlopen(Request(f"{url}/file", headers={"Range": "bytes=2-4"})).read() == b"234"
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{url}/absent")
        assert counts(url) == {"requests": 3, "bytes": 13}
        assert counts(url) == {"requests": 0, "bytes": 0}


def test_the_api_finds_items_by_place_time_and_cloud_cover(base):
    with serving(base, 0.0, "*_source_sentinel_2/*/stac.json") as url:
        outline = json.loads((base / "ref_landcovernet_demo_v1_labels/ref_landcovernet_demo_v1_labels_28QDE_00/stac.json").read_text())["geometry"]
        client = pystac_client.Client.open(url)
        every = list(client.search(intersects=outline, datetime="2018-01-01/2018-12-31", limit=2).items())
        assert len(every) == 6  # page after page
        assert all("28QDE_00" in item.id for item in every)
        clear = list(client.search(intersects=outline, datetime="2018-01-01/2018-12-31", query={"eo:cloud_cover": {"lt": 20}}).items())
        assert {item.id for item in clear} == {item.id for item in every if item.properties["eo:cloud_cover"] < 20}
        assert 0 < len(clear) < 6


def test_scenes_are_cloud_optimised_and_chips_lie_in_them(tmp_path):
    import rasterio

    root = scenes.scenes(tmp_path, chips=2, size=1100)
    documents, selves = scenes.items(root, "http://127.0.0.1:1/scenes")
    assert len(documents) == 5
    with rasterio.open(root / scenes.COLLECTION / documents[0]["id"] / "B04.tif") as raster:
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.block_shapes == [(512, 512)]
        assert raster.overviews(1)
    assert selves[0].startswith("http://127.0.0.1:1/scenes/")
    report = prepare(compose([f"dataset.root={root}", f"output_dir={tmp_path / 'run'}", "backend=serial", "cloud=metadata"]))
    assert (report.made, report.status) == (2, 0)


def table(word):
    return Table(word, ["", "s"], [["a", "1.0"]], [Goal("seconds", 2.0, 1.0, least=False)], ["a note"])


def test_tables_replace_those_of_the_page_and_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- benchmarks: plan -->\nold\n<!-- end -->\nbetween\n<!-- benchmarks: sweep -->\nkept\n<!-- end -->\n")
    for word in ("first", "second"):
        write_page(page, "plan", [table(word)], {"CPU": "one"})
    text = page.read_text()
    assert text.startswith("before\n<!-- benchmarks: plan -->\n")
    assert text.endswith("<!-- end -->\nbetween\n<!-- benchmarks: sweep -->\nkept\n<!-- end -->\n")
    assert "**second**" in text
    assert "first" not in text
    assert "old" not in text
    assert "- seconds: 1, wanted at most 2: met" in text
    with pytest.raises(ValueError, match="no place for the tables of 'memory'"):
        write_page(page, "memory", [], {})


def test_the_page_has_a_place_for_every_question():
    page = (REPOSITORY / "docs" / "performance.md").read_text()
    assert all(f"<!-- benchmarks: {question} -->\n" in page for question in QUESTIONS)
    assert page.count("<!-- end -->") == len(QUESTIONS)


def test_a_question_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["plann"])
    assert "there is archive, plan, memory" in capsys.readouterr().err


@pytest.mark.parametrize(("on_terminal", "width"), [(True, 90), (False, 130)])
def test_tables_are_as_wide_as_the_terminal_and_wider_in_a_file(monkeypatch, capsys, on_terminal, width):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    if on_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes what it writes to for a terminal
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "90")
    show([Table("Title", ["who", "what"], [["a " * 40, "b " * 40]], notes=["note " * 40])], {"CPU": "some"})
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) == width
    assert all(line.startswith("  note") for line in lines if "note" in line)
