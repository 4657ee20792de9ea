"""Hrefs: what a file says of another file."""

from __future__ import annotations

import pytest

from lcnkit.model.href import join, relative_to, resolve


@pytest.mark.parametrize(
    ("href", "base", "absolute"),
    [
        ("./B04.tif", "/data/item/stac.json", "/data/item/B04.tif"),
        ("../other/B04.tif", "/data/item/stac.json", "/data/other/B04.tif"),
        ("B04.tif", "item/stac.json", "item/B04.tif"),
        ("/elsewhere/B04.tif", "/data/item/stac.json", "/elsewhere/B04.tif"),
        ("file:///elsewhere/B04.tif", "/data/item/stac.json", "/elsewhere/B04.tif"),
        ("https://host/a/B04.tif", "/data/item/stac.json", "https://host/a/B04.tif"),
        ("B04.tif", "https://host/a/item.json", "https://host/a/B04.tif"),
        ("./B04.tif", "https://host/a/item.json?token=secret#top", "https://host/a/B04.tif"),
        ("../B04.tif", "http://host/a/b/item.json", "http://host/a/B04.tif"),
        ("/imagery/B04.tif", "https://host/a/item.json", "https://host/imagery/B04.tif"),
        ("B04.tif?sig=1", "https://host/a/item.json", "https://host/a/B04.tif?sig=1"),
        ("./B04.tif", "s3://bucket/a/item.json", "s3://bucket/a/B04.tif"),
        ("../B04.tif", "s3://bucket/a/item.json", "s3://bucket/B04.tif"),
        ("B04.tif", "s3://bucket/item.json", "s3://bucket/B04.tif"),
        ("s3://other/B04.tif", "s3://bucket/a/item.json", "s3://other/B04.tif"),
        ("/vsizip//data/a.zip/B04.tif", "/data/stac.json", "/vsizip//data/a.zip/B04.tif"),
    ],
)
def test_resolve(href: str, base: str, absolute: str) -> None:
    assert resolve(href, base) == absolute


@pytest.mark.parametrize(
    ("href", "base", "absolute"),
    [
        ("file:///my%20data/B04.tif", "/data/stac.json", "/my data/B04.tif"),
        ("./B04.tif", "file:///data/stac.json", "/data/B04.tif"),
    ],
)
def test_file_urls_become_paths(href: str, base: str, absolute: str) -> None:
    assert resolve(href, base) == absolute


@pytest.mark.parametrize("root", ["/data", "/data/", "https://host/data", "s3://bucket/data"])
def test_hrefs_below_the_root_travel(root: str) -> None:
    inside = f"{root.rstrip('/')}/collection/item/stac.json"
    assert relative_to(inside, root) == "collection/item/stac.json"
    assert join(root, relative_to(inside, root)) == inside


def test_hrefs_elsewhere_stay() -> None:
    assert relative_to("/data2/item.json", "/data") == "/data2/item.json"
    assert join("/data", "/data2/item.json") == "/data2/item.json"
    assert join("/data", "https://host/item.json") == "https://host/item.json"
