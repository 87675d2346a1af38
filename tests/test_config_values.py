"""Values that a setting cannot have: what the error says."""

from pathlib import Path

import pytest
from conftest import DEMO

from job.config import Input, load
from job.runtime.errors import BadInput


def test_a_value_that_fits_neither_of_two_kinds_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("run_dir: x\ninput: {path: a.csv}\n")
    with pytest.raises(BadInput) as caught:
        load(path, ["cluster.merge_above=0,2"])
    first, second = str(caught.value).splitlines()
    assert first == f"{path}: 1 error"
    assert "cluster.merge_above = '0,2': input should be a valid number" in second
    assert second.endswith(", or input should be 'auto'")


@pytest.mark.parametrize(
    ("format", "said"),
    [
        ("%H:%M", "expected a year, a month and a day, as in '%d/%m/%Y %H:%M'"),
        ("dd/mm/yyyy", "expected a year, a month and a day, as in '%d/%m/%Y %H:%M'"),
        ("%Q", "is a bad directive in format '%Q'; an example is '%d/%m/%Y %H:%M'"),
        ("%d/%m/%y %H.%M", ""),
    ],
)
def test_a_format_of_times_has_to_read_a_date(format: str, said: str) -> None:
    try:
        assert Input(time_format=format).time_format == format
        assert not said
    except ValueError as error:
        assert said and said in str(error)


def error_of(folder: Path, text: str, *words: str) -> list[str]:
    path = folder / "run.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load(path, list(words))
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_a_truth_value_is_no_number_and_no_path(tmp_path: Path) -> None:
    said = "yes, no, on, off, true and false are truth values in YAML; give"
    text = "run_dir: yes\nseed: true\ninput: {path: a.csv}\nstore: {tls_ca: on}\nranks: {wait: no}\n"
    assert error_of(tmp_path, text, "cluster.merge_above=on", "embed.token_budget=false") == [
        f"run_dir = True: {said} a path, in quotes",
        f"seed = True: {said} a number",
        f"embed.token_budget = False: {said} a number",
        f"store.tls_ca = True: {said} a path, in quotes",
        f"cluster.merge_above = True: {said} a number",
        f"ranks.wait = False: {said} a number",
    ]
    path = tmp_path / "run.yaml"
    path.write_text("run_dir: 'yes'\ninput: {path: a.csv, deduplicate: no}\nembed: {sparse: on}\n")
    config = load(path, ["run_dir=yes"])
    assert (config.run_dir, config.input.deduplicate, config.embed.sparse) == (Path("yes"), False, True)


def test_an_error_has_the_value_and_what_to_give(tmp_path: Path) -> None:
    assert error_of(tmp_path, "run_dir:\nseed:\ninput: {path: a.csv}\nembed:\n", "store.extra_fields=source") == [
        "run_dir = None: no value; give one, as in run_dir=VALUE",
        "seed = None: no value; give one, as in seed=VALUE",
        "store.extra_fields = 'source': expected a list, as in [source]",
    ]
    assert error_of(tmp_path, "run_dir: [a]\ninput: {path: a.csv}\n") == [
        "run_dir = ['a']: expected a path, such as runs/mine"
    ]


def test_a_dotenv_in_another_encoding_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes("MILVUS_TOKEN=é".encode("latin-1"))
    with pytest.raises(BadInput, match=r"'.env' in the working directory is not UTF-8 text: save it as UTF-8"):
        load(DEMO, [])
