"""``python -m lcnkit index``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from servers.proxy import Proxy
from servers.rustac import serving_items

from lcnkit.cli import main

SOURCE = "ref_landcovernet_xx_v1_source_sentinel_2"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(["index", *(str(argument) for argument in arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_it_writes_the_items_and_says_how_many(tiny, tmp_path, capsys):
    file = tmp_path / "new folder" / "items.parquet"
    status, out, _ = run(capsys, tiny.root, "--output", file)
    assert status == 0
    assert out.startswith("9 items, 0.0")
    assert f"0 problems: {file}" in out
    assert pq.read_metadata(file).num_rows == 9
    assert [path.name for path in file.parent.iterdir()] == ["items.parquet"]
    assert "lcnkit:href" not in pq.read_schema(file).names


def test_without_output_it_is_named_for_the_root(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(capsys, tiny.root)[0] == 0
    assert (tmp_path / "archive.parquet").exists()


def test_all_source_collections_or_those_that_are_named(tiny, tmp_path, capsys):
    tiny.item("A", "2018-03-03", collection="source_sentinel_1", VV=1)
    tiny.write()
    file = tmp_path / "items.parquet"
    assert run(capsys, tiny.root, "--output", file)[1].startswith("10 items")
    assert run(capsys, tiny.root, "--output", file, "--collection", "sentinel_1")[1].startswith("1 item, ")
    assert run(capsys, tiny.root, "-o", file, "--collection", "labels")[1].startswith("3 items")


def test_problems_are_counted_and_shown(tiny, tmp_path, capsys):
    for path in sorted((tiny.root / SOURCE).glob("*/stac.json"))[:2]:
        path.unlink()
    status, out, _ = run(capsys, tiny.root, "--output", tmp_path / "items.parquet")
    assert status == 0
    assert "7 items" in out
    assert "2 problems" in out
    assert out.count("the link to it dangles") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: ROOT"),
        (("/no/such/folder",), "does not exist"),
        (("ROOT", "--outptu", "x.parquet"), "Did you mean '--output'"),
        (("ROOT", "--output", "items.json"), "must end in .parquet"),
        (("ROOT", "--output", "/proc/items.parquet"), "cannot be written"),
        (("ROOT", "--output", "/dev/null/x/items.parquet"), "Not a directory"),
        (("ROOT", "--collection", "sentinel_9"), "Did you mean"),
        (("ROOT", "--bbox", "1,2,3,4"), "for a STAC API"),
        (("http://127.0.0.1:9/", "--collection", "x"), "cannot be read"),
        (("ROOT", "--secret", "env:KEY", "--auth", "bearer"), "for a STAC API"),
        (("http://127.0.0.1:9/", "--collection", "x", "--secret", "env:KEY"), "--auth says how a secret is sent and --secret where it is"),
        (("http://127.0.0.1:9/?a=b", "--collection", "x", "--auth", "query", "--secret", "env:KEY"), "ROOT must have neither a user name nor"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tiny, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *(tiny.root if argument == "ROOT" else argument for argument in arguments))
    assert status == 1
    assert not out
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("*.parquet"))


def test_an_archive_without_usable_items_gives_no_file(tiny, tmp_path, capsys):
    for path in (tiny.root / SOURCE).glob("*/stac.json"):
        path.write_text("{")
    status, _, err = run(capsys, tiny.root, "--output", tmp_path / "items.parquet")
    assert status == 1
    assert "no item to write; the first of 9 problems" in err
    assert not list(tmp_path.glob("*.parquet"))


def test_help_and_the_command_in_another_place(capsys):
    assert run(capsys, "--help")[1].startswith("usage: python -m lcnkit index")
    assert main(["--version", "index"]) in (0, 1)
    assert main(["x=1", "index"]) == 1
    assert "stands first" in capsys.readouterr().err


def test_it_is_named_by_help_and_as_a_near_miss(capsys):
    assert main(["--help"]) == 0
    assert "lcnkit index ROOT" in capsys.readouterr().out
    assert main(["indx"]) == 1
    assert "Did you mean 'index'?" in capsys.readouterr().err


def test_a_search_of_an_api(tiny, tmp_path, capsys):
    items = [json.loads(path.read_text()) for path in sorted((tiny.root / SOURCE).glob("*/stac.json"))]
    with serving_items(items, tmp_path) as url:
        output = tmp_path / "found.parquet"
        status, out, err = run(capsys, url, "--collection", SOURCE, "--datetime", "2018-01-01/2018-04-30", "--output", output)
        assert (status, err) == (0, "")
        assert out.startswith("3 items")
        found = pq.read_table(output).to_pylist()
        assert all(next(link["href"] for link in row["links"] if link["rel"] == "self").startswith(url) for row in found)
        assert run(capsys, url, "--output", output)[2].count("--collection ID") == 1
        status, _, err = run(capsys, url, "--collection", "nothing_like_it", "--output", output)
        assert (status, err.count("\n")) == (1, 1)
        assert run(capsys, url, "--collection", SOURCE, "--bbox", "1,2,3", "--output", output)[2].count("no box") == 1


def test_a_search_whose_answer_lacks_items_says_so(tiny, tmp_path, capsys):
    """No link to the next page, as some servers forget it."""

    def rewrite(body: bytes) -> bytes:
        return body.replace(b'"links":[', b'"numberMatched":12,"links":[') if b'"FeatureCollection"' in body else body

    items = [json.loads(path.read_text()) for path in sorted((tiny.root / SOURCE).glob("*/stac.json"))]
    with serving_items(items, tmp_path) as target, Proxy(target, rewrite=rewrite).running() as proxy:
        status, out, _ = run(capsys, proxy.url, "--collection", SOURCE, "--output", tmp_path / "found.parquet")
    assert status == 0
    assert out.startswith("9 items")
    assert "1 problem" in out
    assert "The API says that 12 items match, and gave 9" in out


@pytest.mark.parametrize(("number", "status", "word"), [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")])
@pytest.mark.parametrize("before", [b"", b"what was there"])
def test_it_leaves_nothing_half_done_when_it_is_stopped(tiny, tmp_path, number, status, word, before):
    """Stopped while it waits for the last item: a pipe into which nobody writes."""
    last = sorted((tiny.root / SOURCE).glob("*/stac.json"))[-1]
    last.unlink()
    os.mkfifo(last)
    output = tmp_path / "items.parquet"
    if before:
        output.write_bytes(before)
    command = [
        sys.executable,
        "-c",
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom lcnkit.cli import main\nimport sys\nsys.exit(main())",
    ]
    process = subprocess.Popen(
        [*command, "index", str(tiny.root), "--output", str(output)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with last.open("wb"):  # opened for reading: the crawl has come to it
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (status, "")
    assert err == f"lcnkit: {word}. {output} {'is as it was before' if before else 'was not written'}.\n"
    assert [path.name for path in tmp_path.iterdir() if "parquet" in path.name] == (["items.parquet"] if before else [])
    assert not before or output.read_bytes() == before


def test_as_a_program(tiny, tmp_path):
    """A process of its own; quick, for all it imports."""
    command = [sys.executable, "-m", "lcnkit", "index", str(tiny.root), "--output", str(Path("items.parquet"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("9 items")
