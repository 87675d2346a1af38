"""Any words and any YAML make a configuration, or one short error that is the user's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from faults.settings_table import fields
from hypothesis import given, settings
from hypothesis import strategies as st

from job.config import Config, load
from job.config.load import resolve
from job.runtime.errors import BadInput

MANY = settings(max_examples=200, derandomize=True, deadline=None, database=None)
ODD = st.sampled_from(
    [
        "",
        "null",
        "~",
        "-",
        "[",
        "[a, b]",
        "{a: 1}",
        "1e400",
        "nan",
        "-1",
        "2026-13-45",
        "a: b",
        "'",
        "\x00",
        "\x1b[2J",
        "*x",
        "9" * 400,
    ]
)
VALUES = st.one_of(ODD, st.text(max_size=30), st.integers().map(str), st.floats().map(str))
WORDS = st.builds(
    lambda key, value: f"{key}={value}", st.one_of(st.sampled_from(sorted(fields())), st.text(max_size=12)), VALUES
)
TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.dates()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
SECTIONS = st.dictionaries(
    st.one_of(st.sampled_from(sorted(Config.model_fields)), st.text(max_size=8)), TREES, max_size=5
)


TEXTS = st.one_of(st.text(max_size=200), st.text(alphabet="{}[]:,&*!|>-?#'\"% \n\tab1", max_size=60))


def from_words(words: list[str], path: Path) -> Config:
    return resolve({"run_dir": "x", "input": {"path": "a.csv"}}, words, "test")


def from_values(values: dict[str, object], path: Path) -> Config:
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    return load(path, ["run_dir=x", "input.path=a.csv"])


def from_text(text: str, path: Path) -> Config:
    path.write_text(text, encoding="utf-8")
    return load(path, ["run_dir=x", "input.path=a.csv"])


# what a configuration is made from, and how; scripts/faults/fuzz_config.py tries many more examples
CASES = {
    "words": (st.lists(WORDS, max_size=6), from_words),
    "values in YAML": (SECTIONS, from_values),
    "text as YAML": (TEXTS, from_text),
}


def accepted_or_refused(make: Callable[[Any, Path], Config], value: object, path: Path) -> str:
    """`accepted` or `refused`; anything else is an error."""
    try:
        assert isinstance(make(value, path), Config)
    except BadInput as error:
        assert 0 < len(str(error)) < 20_000
        return "refused"
    return "accepted"


@pytest.mark.parametrize("case", CASES)
def test_anything_is_accepted_or_refused(tmp_path: Path, case: str) -> None:
    strategy, make = CASES[case]

    @MANY
    @given(strategy)
    def check(value: object) -> None:
        accepted_or_refused(make, value, tmp_path / "any.yaml")

    check()
