"""Names of clusters from their titles: whole, without an outlet, each another."""

import random
import time
from typing import Any

import numpy as np
import pytest
import regex

from job.backends.text.ends import clip, is_cut, without_ellipsis
from job.backends.text.names import NAME_CHARS, SHORT_CHARS, name_clusters
from job.backends.text.phrases import phrase_name, phrases
from job.backends.text.tails import recurring_tails, without_tail
from job.backends.text.terms import whole_words


def fan(n: int) -> np.ndarray:
    """Unit vectors of which the earlier ones are nearer to the mean."""
    vectors = np.hstack([np.ones((n, 1)), np.diag(np.arange(n) / 10)])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def named(titles: list[str], sources: list[str | None] | None = None) -> tuple[str, str]:
    (name,) = name_clusters(titles, fan(len(titles)), [np.arange(len(titles))], [[]], sources or [None] * len(titles))
    return name.name, name.short_name


def test_the_name_is_the_most_central_title_that_is_not_cut() -> None:
    titles = [
        "The ferry crews walk off the jo…",
        "Crews leave ferries ...",
        "Ferry crews strike",
        "Strike at the ferry",
    ]
    assert named(titles)[0] == "Ferry crews strike"


def test_the_short_name_is_the_shortest_of_the_three_most_central() -> None:
    titles = ["Ferry crews walk off the job", "Crews of the ferry strike", "Ferry crews strike", "Strike"]
    assert named(titles) == ("Ferry crews walk off the job", "Ferry crews strike")


@pytest.mark.parametrize("end", ["…", "...", " …", " ...", '…"', "....", "… "])
def test_no_name_ends_in_an_ellipsis_even_where_all_titles_do(end: str) -> None:
    for name in named([f"The ferry crews walk off the jo{end}"] * 3):
        assert not is_cut(name)
        assert name.startswith("The ferry crews walk")
    assert named([end]) == ("?", "?")


def test_a_title_is_cut_where_only_punctuation_and_spaces_follow_the_ellipsis() -> None:
    pattern = regex.compile(r"\s*(?:…|\.\.\.)\W*$")
    parts = ["a", "é", "1", "_", "\u0301", " ", "  ", "\u3000", "-", "(", "…", "...", ".", "!", " | "]
    draw = random.Random(0)
    cut = 0
    for _ in range(20_000):
        title = "".join(draw.choices(parts, k=draw.randint(0, 12)))
        assert is_cut(title) == (pattern.search(title) is not None), title
        cut += is_cut(title)
    assert cut > 1_000


@pytest.mark.parametrize(
    ("unit", "before", "after"),
    [
        *((" ", "Ferry", "strike"), ("\u3000 ", "Ferry", "strike"), (".", "Ferry ", " strike"), ("… ", "", "a")),
        *(("(", "", "…"), ("(of ", "Ferry ", "…"), ("\U0001f1e6", "", "")),
    ],
)
@pytest.mark.parametrize("source", [None, "The Post"])
def test_no_title_takes_long_to_make_a_name_of(unit: str, before: str, after: str, source: str | None) -> None:
    title = before + unit * (20_000 // len(unit)) + after
    start = time.process_time()
    name, short = named([title] * 3, [source] * 3)
    assert time.process_time() - start < 1
    assert len(short) > 0 and 0 < len(name) < 2_000


@pytest.mark.parametrize("text", ["–" * 200, "(" * 130, "—— " * 60, "-" * 121, "· " * 70 + "x"])
def test_a_title_of_punctuation_alone_still_gives_a_name(text: str) -> None:
    name, short = named([text] * 3)
    assert name and text.startswith(name)
    assert short and text.startswith(short)


def test_a_long_title_that_is_cut_is_clipped() -> None:
    title = "Ferry strike in Selmouth goes on for a third day: the operator threatens to go to court over it all, to…"
    assert without_ellipsis(title, 60) == clip(title, 60) == "Ferry strike in Selmouth goes on for a third day"
    assert without_ellipsis(title, 200).endswith("to go to court")


def test_exemplars_are_the_most_central_headlines_cut_or_not() -> None:
    titles = ["Ferry…", *[f"title {i}" for i in range(8)]]
    (name,) = name_clusters(titles, fan(9), [np.arange(9)], [[]], [None] * 9)
    assert name.exemplars == [0, 1, 2, 3, 4]


def test_a_tail_is_removed_where_it_recurs_or_is_the_source() -> None:
    titles = [f"Something happened in place {i} - The Daily Post" for i in range(5)]
    tails = recurring_tails(titles)
    assert recurring_tails(titles[:4]) == frozenset()
    assert without_tail(titles[0], tails, None) == "Something happened in place 0"
    assert without_tail("Something else happened | THE DAILY POST", tails, None) == "Something else happened"
    assert without_tail("Deal is close – Blinken", tails, "Reuters") == "Deal is close – Blinken"
    for source in ("BBC", "bbc", "www.bbc.co.uk", "bbc.com", "The BBC"):
        assert without_tail("Something else happened - BBC", tails, source) == "Something else happened"
    assert without_tail("Something happened | World | BBC", frozenset({"world"}), "BBC") == "Something happened"


@pytest.mark.parametrize(
    "tail",
    [
        *("report", "Report", "Sources", "UN", "WHO", "CEO", "for now", "Again", "except boring", "As It Happens"),
        *("2014", "2014)", "21 more"),
    ],
)
def test_what_says_who_says_so_or_since_when_is_no_outlet(tail: str) -> None:
    titles = [f"Something happened in place {i} - {tail}" for i in range(9)]
    assert without_tail(titles[0], recurring_tails(titles), None) == titles[0]


@pytest.mark.parametrize("tail", ["Reuters", "THE DAILY POST", "Le Monde", "france24.com", "新华网", "Вести", "live"])
def test_an_outlet_may_be_of_any_script(tail: str) -> None:
    titles = [f"Something happened in place {i} - {tail}" for i in range(9)]
    assert without_tail(titles[0], recurring_tails(titles), None) == "Something happened in place 0"


def test_a_name_that_stands_in_many_titles_is_no_outlet() -> None:
    titles = [f"Deal {i} is close, says Kremlin – Putin" for i in range(6)]
    assert without_tail(titles[0], recurring_tails(titles), None) == "Deal 0 is close, says Kremlin"
    titles += [f"Putin visits place {i}" for i in range(20)]
    assert without_tail(titles[0], recurring_tails(titles), None) == titles[0]


def test_of_many_titles_more_end_in_an_outlet() -> None:
    titles = [f"Something happened in place {i} - Post" for i in range(7)]
    assert recurring_tails([*titles, *["Other"] * 50_000]) == {"post"}
    assert recurring_tails([*titles, *["Other"] * 80_000]) == frozenset()


@pytest.mark.parametrize(
    "title", ["Singer of a band (1963 - Post)", 'Minister calls talks "close - Post', "Minister: ‘It is near - Post"]
)
def test_no_bracket_or_quote_is_cut_through(title: str) -> None:
    tails = frozenset({"post"})
    assert (
        without_tail("Minister's talks are close (again) - Post", tails, "Post") == "Minister's talks are close (again)"
    )
    assert without_tail(title, tails, "Post") == title


def test_a_tail_is_kept_where_nothing_would_be_left() -> None:
    assert without_tail("Live - BBC", frozenset(), "BBC") == "Live - BBC"


def test_no_two_clusters_have_the_same_name_or_short_name() -> None:
    titles = [
        "Daily crossword",
        "Daily crossword!",
        "Daily Crossword",
        "Other words",
        "Daily crossword",
        "Daily crossword",
    ]
    members = [np.array([0]), np.array([1]), np.array([2, 3]), np.array([4]), np.array([5])]
    keywords = [["crossword"], ["crossword", "Monday"], [], ["Monday", "Friday"], []]
    found = name_clusters(titles, fan(6), members, keywords, [None] * 6)
    assert [name.name for name in found] == [
        *("Daily crossword", "Daily crossword! (Monday)", "Other words", "Daily crossword (Friday)"),
        "Daily crossword (2)",
    ]
    assert len({name.short_name.casefold() for name in found}) == 5


@pytest.mark.parametrize("text", ["x" * 5_000, "word " * 1_000, "字" * 5_000, "👨‍👩‍👧" * 500, "é" * 500])
def test_a_long_title_is_clipped_between_characters_without_an_ellipsis(text: str) -> None:
    name, short = named([text])
    assert 0 < len(short) <= len(name) < len(text)
    assert text.startswith(name) and text.startswith(short)
    assert not is_cut(name) and not is_cut(short)
    assert not name.endswith("\u200d") and not short.endswith("\u200d")


def test_clipping_ends_at_a_clause_or_a_word() -> None:
    title = "Ferry strike in Selmouth goes on for a third day: the operator threatens to go to court over the picket"
    assert clip(title, SHORT_CHARS) == "Ferry strike in Selmouth goes on for a third day"
    assert clip("Ferry strike in Selmouth goes on for a third day because nobody gives in", 60).endswith("third day")
    assert clip(title, NAME_CHARS) == title


@pytest.mark.parametrize(
    ("title", "name"),
    [
        (
            "Stocks fall after Fed official hints at faster rate rises in the U.S.",
            "Stocks fall after Fed official hints",
        ),
        ("Coach killed alongside Kobe Bryant in 'crash was avoidable'", "Coach killed alongside Kobe Bryant"),
        ("Seven dead after a ferry in Selmouth (pictured above) sinks", "Seven dead after a ferry in Selmouth"),
        ("Why the U.S. will not pay for the dam any longer, and what", "Why the U.S. will not pay for the dam"),
        ("Minister calls it 'done' at last night's talks on the dam", "Minister calls it 'done' at last night's talks"),
        (
            "'A ferry is no place for a strike of this length', they say",
            "'A ferry is no place for a strike of this length'",
        ),
        ("Selmouth’s prime minister calls crews an ‘arrogant lot’", "Selmouth’s prime minister calls crews"),
        ("Streik der Fähren in Selmouth geht weiter wegen der Regierung", "Streik der Fähren in Selmouth geht weiter"),
        ("Ferries stand still. Crews want more money, and others too", "Ferries stand still. Crews want more money"),
        ("Ferry crews of Selmouth vs. Operator: who has which rights", "Ferry crews of Selmouth vs. Operator"),
        ("How the cheap, fast new ferry changes all of Selmouth's port", "How the cheap, fast new ferry changes"),
    ],
)
def test_a_clipped_title_is_no_stump(title: str, name: str) -> None:
    assert clip(title, len(name) + 8) == name


@pytest.mark.parametrize("title", ["RomneyÃ¢â‚¬â„¢s touch pays off", "Obamaâ€™s touch pays off", "GrÃ¶ÃŸe zählt"])
def test_a_damaged_title_is_passed_over(title: str) -> None:
    assert named([title, "Romney's touch", "Other", "Another"])[0] == "Romney's touch"
    assert named([title])[0] == title
    french = "L’été « très chaud » à Orléans et à São João, «\xa0été\xa0»"
    assert named([french, "Other", "Another"])[0] == french


def test_the_short_name_is_of_the_same_event_as_the_name() -> None:
    titles = ["Ferry crews walk off the job in Selmouth", "Talks fail", "Ferry crews strike", "Dam breaks"]
    assert named(titles) == ("Ferry crews walk off the job in Selmouth", "Ferry crews strike")
    long = "Ferry crews of Selmouth walk off the job: the operator has threatened to go to court"
    assert named([long, "Talks fail", "Dam breaks", "The Selmouth ferry"])[1] == "The Selmouth ferry"
    assert named([long, "Talks fail", "Dam breaks"]) == (long, "Ferry crews of Selmouth walk off the job")
    assert named(["神舟二十号载人飞船成功发射升空", "台风登陆", "神舟二十号发射"])[1] == "神舟二十号发射"


def test_keywords_side_by_side_are_one_phrase() -> None:
    titles = ["Malaysia Airlines plane lost", "Malaysia Airlines MH370 search", "Search for MH370 plane", "A plane"]
    assert phrases(titles, ["plane", "Airlines", "Malaysia", "MH370"]) == ["plane", "Malaysia Airlines", "MH370"]
    assert phrase_name(titles, ["Airlines", "Malaysia", "MH370", "plane"], 2) == "Malaysia Airlines · MH370"
    assert phrase_name(titles, [], 3) == ""


def test_a_word_within_another_makes_no_phrase() -> None:
    titles = ["Smart museum opens", "A smart museum", "Art at the museum", "Museum shows art"]
    assert phrases(titles, ["art", "museum"]) == ["art", "museum"]
    assert phrases(["Art museum opens", "An art museum", *titles], ["art", "museum"]) == ["art museum"]
    assert phrases(["AI技術 大賞", "新AI技術 大賞"], ["技術", "大賞"]) == ["技術 大賞"]


def test_words_in_a_circle_are_still_named_once() -> None:
    titles = ["one two three one two three", "one two three one"]
    assert sorted(" ".join(phrases(titles, ["one", "two", "three"])).split()) == ["one", "three", "two"]


@pytest.mark.parametrize("outlet", ["Al Jazeera", "iNews", "The Post"])
def test_outlets_whose_names_begin_like_function_words_or_small_are_outlets(outlet: str) -> None:
    titles = [f"Quake number {number} shakes the north of the country - {outlet}" for number in range(8)]
    assert without_tail(titles[0], recurring_tails(titles), None) == "Quake number 0 shakes the north of the country"


@pytest.mark.parametrize("end", ["for now", "For Now", "who knows", "de facto"])
def test_what_is_no_name_is_no_outlet(end: str) -> None:
    titles = [f"Quake number {number} shakes the north of the country - {end}" for number in range(8)]
    assert without_tail(titles[0], recurring_tails(titles), None) == titles[0]


def test_no_pattern_is_compiled_for_words_that_never_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """A theme's words make 30 pairs, and to compile a pattern takes a millisecond."""
    asked: list[str] = []

    def counted(text: str) -> Any:
        asked.append(text)
        return whole_words(text)

    monkeypatch.setattr("job.backends.text.phrases.whole_words", counted)
    titles = ["Harbor strike ends", "Harbor strike goes on", "Ferry, harbor: vote", "A vote for the ferry"]
    assert phrase_name(titles, ["harbor", "strike", "ferry", "vote"], 3) == "harbor strike · ferry · vote"
    assert asked == ["harbor", "strike", "ferry", "vote", "harbor strike"]
