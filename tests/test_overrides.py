"""Overrides as people write them, and as Hydra wants them."""

from __future__ import annotations

import pytest

from lcnkit import compose
from lcnkit.config import normalise


def test_normalise():
    assert normalise(["+strategy=a", "++reader=b", "catalog=c", "+foo=3", "+experiment=e", "experiment=e", "+transform=[a]"]) == [
        "strategy=a",
        "reader=b",
        "catalog=c",
        "+foo=3",
        "+experiment=e",
        "+experiment=e",
        "transform=[a]",
    ]
    assert normalise(["label.remap={1:2}", "bands=[a]", "x.y={a:1}"]) == ["++label.remap={1:2}", "bands=[a]", "x.y={a:1}"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("dataset.root=~/arch", "dataset.root='~/arch'"),
        ("dataset.root=/data/José/x", "dataset.root='/data/José/x'"),
        ("catalog.path=/data/run=3/a&b.parquet", "catalog.path='/data/run=3/a&b.parquet'"),
        ("+exporter.url=https://host/x?a=1", "+exporter.url='https://host/x?a=1'"),
        ("dataset.root=/data/my chips", "dataset.root=/data/my chips"),
        ("n_periods=3,4", "n_periods=3,4"),
        ("dataset.root='~/arch'", "dataset.root='~/arch'"),
        ("chips=[é]", "chips=[é]"),
        ("plan=${oc.env:PLAN}", "plan=${oc.env:PLAN}"),
        ("~transform", "~transform"),
        ("plan=null", "plan=null"),
    ],
)
def test_values_that_hydra_takes_in_quotes_only(given, said):
    assert normalise([given]) == [said]


def test_a_home_folder_for_the_output(monkeypatch):
    """Hydra would make a folder of the name ~."""
    monkeypatch.setenv("HOME", "/home/José")
    assert normalise(["output_dir=~/x", "hydra.sweep.dir=~/y"]) == ["output_dir='/home/José/x'", "hydra.sweep.dir='/home/José/y'"]


@pytest.mark.parametrize("root", ["~/arch", "/data/José/x=1 & more"])
def test_paths_reach_the_run_as_they_are_written(root):
    assert compose(f"dataset.root={root}", f"output_dir=/tmp/{root[1:]}").dataset.root == root
