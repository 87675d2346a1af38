"""Untrusted text becomes one plain line."""

import unicodedata

import pytest

from job.backends.pages.plain import plain, web_address
from pages.map_points import HOSTILE


def test_text_without_anything_special_stays_as_it_is() -> None:
    for text in ("Ferry strike deal", "Crème brûlée à l’œil", "日本の首相", "مرحبا بالعالم", "Ελλάδα", "हिन्दी समाचार"):
        assert plain(text, 100) == text


def test_emoji_and_persian_keep_their_joiners() -> None:
    for text in ("👩‍👩‍👧‍👦 ❤️", "می‌خواهم", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"):
        assert plain(text, 100) == text


def test_no_text_is_the_empty_text() -> None:
    assert plain(None, 10) == plain("", 10) == plain(" \n\u200b", 10) == ""


def test_control_characters_are_spaces_and_spaces_are_one() -> None:
    assert plain("a\x00\x1b\r\n\t b\u2028c\x9bd", 100) == "a b c d"


def test_direction_controls_and_invisible_characters_are_left_out() -> None:
    assert plain("\u202eevil\u202c \u2066a\u2069\u200f\u061c zero\u200bwidth\ufeff", 100) == "evil a zerowidth"


def test_a_pile_of_marks_is_cut_to_four() -> None:
    assert plain("Z" + "\u0351" * 40 + "algo", 100) == "Z" + "\u0351" * 4 + "algo"


def test_a_lone_surrogate_is_replaced() -> None:
    assert plain("a\ud800b", 10) == "a\ufffdb"


def test_a_cut_text_says_so_and_keeps_to_the_limit() -> None:
    assert plain("word " * 1_000, 22) == "word word word word w…"
    assert len(plain("A" * 5_000, 400)) == 400


@pytest.mark.parametrize("text", HOSTILE)
def test_a_plain_text_has_no_character_that_acts_on_others(text: str) -> None:
    result = plain(text, 400)
    result.encode("utf-8")
    assert all(unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in result)
    assert all(
        unicodedata.bidirectional(c) not in ("RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI")
        for c in result
    )
    assert len(result) <= 400


def test_an_address_of_a_web_page_stays_as_it_is() -> None:
    for text in (
        "https://example.com",
        "HTTP://EXAMPLE.com:8080/a?b=1&c=%20#d",
        "https://[2001:db8::1]/a",
        "https://example.com/@name/post",
        "https://例え.jp/ニュース/\"'<>",
    ):
        assert web_address(f" {text}\n") == text


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "https://", "http:///a", "//example.com/a", "example.com/a", "ftp://example.com/a", "file:///etc"),
        *("javascript:alert(1)", " JavaScript://example.com/%0aalert(1)", "java\nscript:alert(1)", "data:text/html,a"),
        *("https:\\\\example.com", "https://example.com\\@other.com", "https://bank.example@other.com/a"),
        *(
            "https://example.com/a b",
            "https://example.com/\x00",
            "https://example.com/\u202efdp",
            "https://a\u200b.com",
        ),
        "https://example.com/" + "a" * 2_000,
    ],
)
def test_what_is_no_address_of_a_web_page_is_not_linked_to(text: str | None) -> None:
    assert web_address(text) == ""
