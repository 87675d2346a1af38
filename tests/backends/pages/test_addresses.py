"""The addresses of articles in a page's data: short, the right ones, and first to go after descriptions."""

import gzip
from typing import Any

import numpy as np
import pytest

from job.backends.pages.addresses import coded
from job.backends.pages.payload import Payload, pack
from job.backends.pages.points import MapPoints
from pages.map_points import points
from pages.test_payload import PLENTY, titles, unpacked

WORDS = "strike ferry crews walk off job pay talks collapse museum tiara stolen earthquake storm vote".split()


def with_addresses(n: int = 3_000, **changes: Any) -> MapPoints:
    """Articles whose addresses have their titles, as most have, and a number."""
    rng = np.random.default_rng(4)
    names = [f"{' '.join(rng.choice(WORDS, 8))} {row}".capitalize() for row in range(n)]
    addresses = [f"https://example.com/2024/04/{name.lower().replace(' ', '-')}.html" for name in names]
    return points(n, titles=names, **({"addresses": addresses} | changes))


def lines(payload: Payload) -> list[str]:
    return unpacked(payload, "addresses").decode().split("\n")


def test_a_word_of_the_title_is_one_character_and_the_first_of_two_counts() -> None:
    title = "Don’t walk: Ferry crews walk off"
    assert coded("https://a.com/dont-walk-Ferry-crews-off-9", title) == "https://a.com/\x01-\x02-Ferry-\x04-\x06-9"
    assert coded("https://a.com/w-x", " ".join(f"w{number}" for number in range(40)) + " x") == "https://a.com/w-x"
    assert "\n" not in coded(
        "https://a.com/" + "-".join("abcdefghijklmnopqrstuvwxyz"), " ".join("zyxwvutsrqponmlkjihg")
    )


def test_each_headline_has_its_own_address_in_few_bytes() -> None:
    given = with_addresses()
    payload = pack(given, PLENTY)
    assert given.addresses is not None
    of = dict(zip(given.titles, given.addresses, strict=True))
    assert lines(payload) == [coded(of[title] or "", title) for title in titles(payload)]
    assert payload.about["addresses"] == [3_000, 3_000]
    plain = len(gzip.compress("\n".join(of[title] or "" for title in titles(payload)).encode(), 9)) * 4 / 3
    assert len(payload.strings["addresses"]) < 0.6 * plain


def test_what_may_not_be_linked_to_is_left_out() -> None:
    bad = ["javascript:alert(1)", "https://a.com/\nhttps://b.com", None, "https://good.com/1", *[""] * 236]
    payload = pack(points(addresses=bad), PLENTY)
    assert list(filter(None, lines(payload))) == ["https://good.com/1"]
    assert payload.about["addresses"] == [1, 1]


def test_without_addresses_the_page_has_none() -> None:
    for none in (None, [None] * 240, ["mailto:a@b.com"] * 240):
        payload = pack(points(addresses=none), PLENTY)
        assert "addresses" not in payload.strings and payload.about["addresses"] == [0, 0]


def test_addresses_come_before_descriptions_and_where_they_do_not_fit_each_story_has_some() -> None:
    rng = np.random.default_rng(5)
    numbers = rng.integers(0, 26, (3_000, 120))
    # as of a service that hides the article's own address
    hidden = ["https://example.com/" + "".join(chr(97 + c) for c in row) for row in numbers]
    given = with_addresses(addresses=hidden)
    everything = pack(given, PLENTY)
    size = {name: len(text) for name, text in everything.strings.items()}
    without = pack(given, everything.size - 1)
    assert "descriptions" not in without.strings and without.about["addresses"] == [3_000, 3_000]
    # the descriptions fit, which are small here, and some of the addresses
    some = pack(given, everything.size - size["addresses"] // 2)
    assert "descriptions" in some.strings and some.size <= everything.size - size["addresses"] // 2
    held, known = some.about["addresses"]
    assert known == 3_000 and 1_000 < held == sum(map(bool, lines(some))) < 1_600
    of = dict(zip(given.titles, given.labels, strict=True))
    assert {of[title] for title, line in zip(titles(some), lines(some), strict=True) if line} == set(range(-1, 12))
    none = pack(given, everything.size - size["addresses"] - size["descriptions"])
    assert none.about["texts"] == 3_000
    assert "addresses" not in none.strings or none.about["addresses"][0] < 50


@pytest.mark.parametrize("limit", [10, 30_000])
def test_a_sample_of_titles_has_no_addresses(limit: int) -> None:
    payload = pack(with_addresses(), limit)
    assert payload.about["texts"] < 3_000 and payload.about["addresses"] == [0, 3_000]
    assert set(payload.strings) == {"data", "cloud", "titles"}
