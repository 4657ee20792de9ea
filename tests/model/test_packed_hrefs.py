"""Packed hrefs are those that were given, resolved."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from lcnkit.model.href import resolve
from lcnkit.model.packed_hrefs import PackedHrefs

BASE = "/archive/labels/one/stac.json"
hrefs = st.lists(
    st.one_of(st.text(alphabet="abé/._- \ud800\n\x00"), st.sampled_from(["../../source/a/stac.json", "https://host/a.json?b=c", "s3://bucket/a"])),
    max_size=6,
)


@given(hrefs)
def test_they_come_back_resolved(given_hrefs: list[str]) -> None:
    packed = PackedHrefs(given_hrefs, BASE)
    wanted = tuple(resolve(href, BASE) for href in given_hrefs)
    assert (len(packed), bool(packed), tuple(packed), packed[:2]) == (len(wanted), bool(wanted), wanted, wanted[:2])
    assert packed == wanted
    assert packed == list(wanted)
    assert packed == PackedHrefs(given_hrefs, BASE)
    assert packed != (*wanted, "more")
    assert hash(packed) == hash(PackedHrefs(list(wanted), "elsewhere")) == hash(wanted)
    assert pickle.loads(pickle.dumps(packed)) == wanted


def test_hundreds_that_are_alike_take_little() -> None:
    many = [
        f"../../ref_landcovernet_af_v1_source_sentinel_2/ref_landcovernet_af_v1_source_sentinel_2_{number:08d}/stac.json" for number in range(150)
    ]
    packed = PackedHrefs(many, BASE)
    assert len(pickle.dumps(packed)) < 2000 < len("".join(many)) // 5
    assert packed[149].endswith("00000149/stac.json")
    assert repr(packed) == f"<150 hrefs of {BASE}>"
