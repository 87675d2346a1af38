"""Odd, broken and hostile input files: read or refused, with every record accounted for."""

import random
from pathlib import Path

import pytest
from faults import nasty_files, nasty_inputs

CORPUS = nasty_files.corpus()
SLOW = ("bomb", "columns.csv", "many-keys", "long-cell", "one-text", "quotes-wide")
QUICK = [item for item in CORPUS if len(item.content) < 200_000 and not item.name.startswith(SLOW)]


def test_the_corpus_is_large_and_its_names_are_different() -> None:
    assert len({item.name for item in CORPUS}) == len(CORPUS) >= 550


@pytest.mark.parametrize("part", range(10))
def test_every_file_of_the_corpus_is_read_or_refused(tmp_path: Path, part: int) -> None:
    for number, item in enumerate(QUICK[part::10]):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert nasty_inputs.read(item, folder) in ("read", "refused"), item.name


def test_random_files_are_read_or_refused(tmp_path: Path) -> None:
    draw = random.Random(7)
    for number in range(100):
        folder = tmp_path / str(number)
        folder.mkdir()
        item = nasty_files.generated(draw, number)
        assert nasty_inputs.read(item, folder) in ("read", "refused"), item.name


@pytest.mark.slow
def test_a_bomb_is_read_in_little_memory() -> None:
    (bomb,) = [item for item in CORPUS if item.name == "bomb.csv.gz"]
    said, _, megabytes = nasty_inputs.forked(bomb)
    assert said == "read"
    assert megabytes < 500


@pytest.mark.slow
@pytest.mark.parametrize("name", ["long-cell-plain", "long-cell-dictionary", "one-text-for-all"])
def test_a_small_parquet_file_of_long_values_is_read_in_little_memory(name: str) -> None:
    (item,) = [item for item in CORPUS if item.name == f"{name}.parquet"]
    said, _, megabytes = nasty_inputs.forked(item)
    assert said == "read"
    assert megabytes < 600
