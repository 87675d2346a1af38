"""Any words and any YAML make a configuration, or one short error that is the user's."""

from pathlib import Path

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


def accepted_or_refused(make: object) -> None:
    try:
        assert isinstance(make(), Config)  # type: ignore[operator]
    except BadInput as error:
        assert 0 < len(str(error)) < 20_000


@MANY
@given(st.lists(WORDS, max_size=6))
def test_any_words_are_accepted_or_refused(words: list[str]) -> None:
    accepted_or_refused(lambda: resolve({"run_dir": "x", "input": {"path": "a.csv"}}, words, "test"))


@MANY
@given(SECTIONS)
def test_any_yaml_of_values_is_accepted_or_refused(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    accepted_or_refused(lambda: load(path, ["run_dir=x"]))


@MANY
@given(st.one_of(st.text(max_size=200), st.text(alphabet="{}[]:,&*!|>-?#'\"% \n\tab1", max_size=60)))
def test_any_text_is_accepted_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "text.yaml"
    path.write_text(text, encoding="utf-8")
    accepted_or_refused(lambda: load(path, ["run_dir=x", "input.path=a.csv"]))
