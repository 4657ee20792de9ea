"""An API that misbehaves: the plan is that of the healthy one, or the error is clear and comes soon."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from servers import proxy as faulty
from servers.loopback import free_port
from servers.proxy import Fault, Proxy

from lcnkit.catalog.api import Api
from lcnkit.errors import DataError, UnreachableAsset, UnreadableAsset

FAULTS = {
    "busy": faulty.busy(0),
    "broken": faulty.BROKEN,
    "away": faulty.AWAY,
    "dropped": faulty.DROPPED,
    "cut": faulty.CUT,
    "truncated": faulty.TRUNCATED,
    "said too long": faulty.TOO_LONG,
    "said too short": faulty.TOO_SHORT,
    "slow": faulty.slow(0.5),
    "empty": Fault(body=lambda body: b""),
}


@pytest.fixture(scope="module")
def healthy(slovenia_api: str, slovenia: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCNKIT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        return search(Api(url=slovenia_api), slovenia)


def search(api: Api, root: Path) -> pd.DataFrame:
    from lcnkit.contracts import Query
    from lcnkit.labels import read_labels
    from lcnkit.settings import Dataset

    labels = read_labels(str(root), Dataset(), None, None)
    table = api.search(labels.chips, Query(api.find_collection("sentinel_2"), labels.interval, 0.5, labels.all_ids))
    return table.drop(columns="item_href")


# One by one is for the slow tests; all in turn (below) is for every day.
@pytest.mark.parametrize("name", [name if name in ("busy", "cut") else pytest.param(name, marks=pytest.mark.slow) for name in FAULTS])
def test_every_second_answer_is_bad(name: str, healthy: pd.DataFrame, behind_proxy: Any, slovenia: Path, caplog: pytest.LogCaptureFixture) -> None:
    proxy = Proxy(faults=lambda number: FAULTS[name] if number % 2 else None)
    with behind_proxy(proxy), caplog.at_level(logging.INFO):
        found = search(Api(url=proxy.url, page_size=100, timeout_s=0.3), slovenia)
    pd.testing.assert_frame_equal(found, healthy)
    # The landing page, the collection, a search of four pages: each twice. A dropped connection may be sent again by the library itself.
    assert len(proxy.seen) >= 12
    assert any("of them tried again" in message for message in caplog.messages)


def test_all_faults_in_turn(healthy: pd.DataFrame, behind_proxy: Any, slovenia: Path) -> None:
    kinds = list(FAULTS.values())
    proxy = Proxy(faults=lambda number: kinds[number // 2 % len(kinds)] if number % 2 else None)
    with behind_proxy(proxy):
        found = search(Api(url=proxy.url, page_size=20, timeout_s=0.3, concurrency=2), slovenia)
    pd.testing.assert_frame_equal(found, healthy)


@pytest.mark.parametrize("value", ["1", "date"])
def test_a_server_that_names_a_time_is_given_it(value: str, healthy: pd.DataFrame, behind_proxy: Any, slovenia: Path) -> None:
    from email.utils import formatdate

    said = "1" if value == "1" else formatdate(time.time() + 1.5, usegmt=True)
    proxy = Proxy(faults=lambda number: faulty.busy(said) if number == 1 else None)
    started = time.monotonic()
    with behind_proxy(proxy):
        started = time.monotonic()
        found = search(Api(url=proxy.url), slovenia)
        took = time.monotonic() - started
    assert 0.4 < took < 4
    pd.testing.assert_frame_equal(found, healthy)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faulty.AWAY, r"in 3 attempts within \d s: status 503"),
        (faulty.TRUNCATED, r"in 3 attempts within \d s: the answer was cut short after \d+ characters"),
        (faulty.slow(0.3), r"in 3 attempts within \d s: it took too long"),
        (faulty.DROPPED, r"in 3 attempts within \d s: "),
    ],
    ids=["away", "truncated", "slow", "dropped"],
)
def test_a_server_that_never_recovers(fault: Fault, said: str, behind_proxy: Any, slovenia: Path) -> None:
    proxy = Proxy(faults=lambda number: fault if number > 2 else None)
    started = time.monotonic()
    with behind_proxy(proxy), pytest.raises(DataError, match=said):
        search(Api(url=proxy.url, attempts=3, timeout_s=0.2), slovenia)
    assert time.monotonic() - started < 8


def test_a_server_that_drips(behind_proxy: Any, slovenia: Path) -> None:
    """Byte after byte, so that it is never silent: an answer must be whole in three times ``timeout_s``."""
    with behind_proxy(Proxy(faults=lambda number: faulty.dripping(0.01))) as proxy:
        started = time.monotonic()
        with pytest.raises(DataError, match=r"in 2 attempts within \d s: the server is too slow: \d+ bytes came"):
            search(Api(url=proxy.url, attempts=2, timeout_s=0.3), slovenia)
        assert time.monotonic() - started < 5
        proxy.faults = lambda number: faulty.dripping(0.05)
        with pytest.raises(UnreachableAsset, match="too slow"):
            Api(url=proxy.url, attempts=1, timeout_s=0.2).items([f"{proxy.url}/collections/a/items/b"])


def test_a_date_that_is_far_away_is_not_waited_for_in_full(behind_proxy: Any, slovenia: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A date of next year, by a clock of its own: as long as a wait may be."""
    monkeypatch.setattr("lcnkit.catalog.api_http._LONGEST_WAIT_S", 0.3)
    proxy = Proxy(faults=lambda number: faulty.busy("Fri, 31 Dec 2077 23:59:59 GMT") if number == 1 else None)
    with behind_proxy(proxy):
        started = time.monotonic()
        Api(url=proxy.url).find_collection("sentinel_2")
        assert 0.3 <= time.monotonic() - started < 3


def test_a_server_that_is_not_there(slovenia: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(DataError, match=rf"The API {url} did not answer .* in 2 attempts .*refused"):
        search(Api(url=url, attempts=2), slovenia)
    with pytest.raises(UnreachableAsset, match="items/b cannot be had from the API: .*refused"):
        Api(url=url, attempts=1).items([f"{url}/collections/a/items/b"])


@pytest.mark.parametrize("status", [401, 404])
def test_an_item_that_is_refused_is_not_worth_another_try(status: int, behind_proxy: Any) -> None:
    with behind_proxy(Proxy(faults=lambda number: Fault(status=status))) as proxy, pytest.raises(UnreadableAsset) as raised:
        Api(url=proxy.url).items([f"{proxy.url}/collections/a/items/b"])
    assert not isinstance(raised.value, UnreachableAsset)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, r"refuses .*/collections/.* \(401\). It may want a secret: set catalog.auth="),
        (403, r"\(403\)"),
        (400, r"does not take the request .* \(400\): .*not now"),
    ],
)
def test_a_refusal_is_final(status: int, said: str, behind_proxy: Any, slovenia: Path) -> None:
    proxy = Proxy(faults=lambda number: Fault(status=status))
    with behind_proxy(proxy), pytest.raises(DataError, match=said):
        search(Api(url=proxy.url), slovenia)
    assert len(proxy.seen) == 1


def test_an_address_without_an_api(behind_proxy: Any, slovenia: Path) -> None:
    with behind_proxy(Proxy()) as proxy, pytest.raises(DataError, match=r"nowhere/collections does not exist \(404\).*catalog.url"):
        search(Api(url=f"{proxy.url}/nowhere"), slovenia)


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        (b'"rel":"search"', b'"rel":"sought"', "has no item search: it is a STAC Catalog"),
        (b"/item-search", b"/item-sort", "has no item search"),
    ],
)
def test_an_api_that_cannot_be_searched(was: bytes, becomes: bytes, said: str, behind_proxy: Any, slovenia: Path) -> None:
    proxy = Proxy(rewrite=lambda body: body.replace(was, becomes))
    with behind_proxy(proxy), pytest.raises(DataError, match=f"{said}.*conformance class item-search.*catalog=static"):
        search(Api(url=proxy.url), slovenia)


def changed(key: str, change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Changes the documents that have this key."""

    def rewrite(body: bytes) -> bytes:
        if f'"{key}"'.encode() not in body:
            return body
        document = json.loads(body)
        change(document)
        return json.dumps(document).encode()

    return rewrite


@pytest.mark.parametrize("said", [{"numberMatched": 324}, {"context": {"matched": 324}}], ids=str)
def test_an_answer_that_lacks_items_is_told_and_asked_for_again(
    said: dict[str, Any], behind_proxy: Any, slovenia: Path, healthy: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    """No link to the next page, as some servers forget it."""
    proxy = Proxy(rewrite=changed("features", lambda page: page.update({"links": [], **said})))
    with behind_proxy(proxy):
        for _ in range(2):
            caplog.clear()
            search(Api(url=proxy.url, page_size=100), slovenia)
            assert "The API says that 324 items match, and gave 100. Candidates may be missing; try another catalog.page_size." in caplog.messages
        caplog.clear()
        pd.testing.assert_frame_equal(search(Api(url=proxy.url, page_size=500), slovenia), healthy)
    assert not caplog.messages


def test_an_answer_with_a_nan(behind_proxy: Any, slovenia: Path, healthy: pd.DataFrame) -> None:
    """No JSON by the letter, but Python writes it."""
    proxy = Proxy(rewrite=changed("features", lambda page: page["features"][0]["properties"].update({"view:off_nadir": float("nan")})))
    with behind_proxy(proxy):
        pd.testing.assert_frame_equal(search(Api(url=proxy.url), slovenia), healthy)


@pytest.mark.parametrize("links", [None, [None, {"href": "https://host/elsewhere"}]], ids=str)
def test_an_answer_with_links_that_are_none(links: Any, behind_proxy: Any, slovenia: Path, healthy: pd.DataFrame) -> None:
    proxy = Proxy(rewrite=changed("features", lambda page: page.update(links=links)))
    with behind_proxy(proxy):
        pd.testing.assert_frame_equal(search(Api(url=proxy.url, page_size=500), slovenia), healthy)


def test_an_item_without_an_id(behind_proxy: Any, slovenia: Path, healthy: pd.DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    proxy = Proxy(rewrite=changed("features", lambda page: page["features"][0].pop("id")))
    with behind_proxy(proxy):
        found = search(Api(url=proxy.url, page_size=500), slovenia)
    assert len(found) == len(healthy) - 1
    assert "1 item of ref_landcovernet_sl_v1_source_sentinel_2 left out for want of an id, a usable time or a footprint: (no id)" in caplog.text


def test_a_search_link_whose_method_is_null() -> None:
    """As servers write it that leave nothing out; GET is meant."""
    from lcnkit.catalog.api_search import Landing

    links = [{"rel": "search", "href": "https://host/search", "method": None}]
    landing = Landing("https://host", {"links": links, "conformsTo": ["https://api.stacspec.org/v1.0.0/item-search"]})
    assert landing.search == ("https://host/search", "GET")


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_would_lose_the_search(status: int, slovenia_api: str, behind_proxy: Any, slovenia: Path) -> None:
    """POST becomes GET on the way, and the answer would be any items at all; GET may follow."""
    proxy = Proxy(redirect=lambda handler: slovenia_api + handler.path if handler.command == "POST" else None, redirects_with=status)
    with behind_proxy(proxy), pytest.raises(DataError, match=f"redirects searches to {slovenia_api}/search: set catalog.url"):
        search(Api(url=proxy.url), slovenia)


def test_the_first_page_may_have_moved(slovenia_api: str, behind_proxy: Any, slovenia: Path, healthy: pd.DataFrame) -> None:
    proxy = Proxy(redirect=lambda handler: slovenia_api + handler.path, redirects_with=301)
    with behind_proxy(proxy):
        pd.testing.assert_frame_equal(search(Api(url=proxy.url), slovenia), healthy)


def test_a_failure_ends_the_other_searches(behind_proxy: Any) -> None:
    """One area is refused while another waits for its next attempt: nobody waits for that."""
    from servers.scenes import TILES, chips_in_tiles, scenes

    from lcnkit.contracts import Query
    from lcnkit.model import Interval

    def faults(number: int) -> Fault | None:
        return None if number <= 2 else faulty.busy(60) if number == 3 else Fault(status=403, delay_s=0.2)

    assert len(TILES) == 4
    interval: Interval = chips_in_tiles(1)[0].interval
    with behind_proxy(Proxy(faults=faults), scenes()) as proxy:
        api = Api(url=proxy.url, concurrency=2)
        started = time.monotonic()
        with pytest.raises(DataError, match=r"\(403\)"):
            api.search(chips_in_tiles(2), Query(api.find_collection("sentinel-2-l2a"), interval))
        assert time.monotonic() - started < 5


def test_a_page_that_is_no_api(behind_proxy: Any, slovenia: Path) -> None:
    proxy = Proxy(rewrite=lambda body: b"<html>maintenance</html>")
    with behind_proxy(proxy), pytest.raises(DataError, match="answers with no JSON.*is catalog.url a STAC API"):
        search(Api(url=proxy.url), slovenia)


def test_pages_that_repeat_themselves_end(behind_proxy: Any, slovenia: Path) -> None:
    proxy = Proxy(rewrite=lambda body: body.replace(b'"skip":100', b'"skip":0').replace(b'"skip":200', b'"skip":0'))
    with behind_proxy(proxy), pytest.raises(DataError, match="the same page of items again"):
        search(Api(url=proxy.url, page_size=100), slovenia)


def test_a_damaged_cache_costs_requests_only(slovenia_api: str, slovenia: Path, healthy: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "search"
    folder.mkdir(parents=True)
    (folder / "items-1.sqlite").write_bytes(b"no database" * 1000)
    api = Api(url=slovenia_api)
    pd.testing.assert_frame_equal(search(api, slovenia), healthy)
    pd.testing.assert_frame_equal(search(api, slovenia), healthy)
