"""Values that a setting cannot have: what the error says."""

from pathlib import Path

import pytest

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
