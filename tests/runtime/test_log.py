"""What the log shows is shown, never acted on."""

import logging
import sys
from pathlib import Path

import pytest

from job.runtime.log import FILE_ONLY, logger, printable, to_file, to_stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("naïve 日本 😀\tand\nnext", "naïve 日本 😀\tand\nnext"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\rb", r"a\rb"),
        ("\u202eabc\u2066", r"\u202eabc\u2066"),
        ("caf\udce9", r"caf\udce9"),
        ("\x9b1m", r"\x9b1m"),
    ],
)
def test_what_a_terminal_acts_on_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_the_log_file_is_escaped_too(tmp_path: Path) -> None:
    logger.setLevel(logging.INFO)
    with to_file(tmp_path / "job.log"):
        logger.info("ingest: '%s'", "\x1b]0;title\x07\udce9.csv")
    assert r"ingest: '\x1b]0;title\x07\udce9.csv'" in (tmp_path / "job.log").read_text(encoding="utf-8")


def test_the_log_file_has_what_the_level_of_a_library_user_hides_from_all_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, above, before = logging.StreamHandler(sys.stdout), logging.StreamHandler(sys.stdout), logger.level
    logger.addHandler(mine)
    logging.getLogger().addHandler(above)
    logger.setLevel(logging.WARNING)
    try:
        with to_file(tmp_path / "job.log"):
            logger.info("one")
            logger.warning("two")
        assert logger.level == logging.WARNING
        logger.setLevel(logging.INFO)
        logger.info("three")
    finally:
        logger.removeHandler(mine)
        logging.getLogger().removeHandler(above)
        logger.setLevel(before)
    assert capsys.readouterr().out.split() == ["two", "two", "three", "three"]
    lines = (tmp_path / "job.log").read_text().splitlines()
    assert [line.split()[-2:] for line in lines] == [["INFO", "one"], ["WARNING", "two"]]


def test_a_log_that_cannot_be_written_is_said_once_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    logger.setLevel(logging.INFO)
    with to_file(Path("/dev/full")):
        for number in range(3):
            logger.info("line %d", number)
    said = capsys.readouterr().err
    assert said.count("log: '/dev/full' cannot be written (No space left on device)") == 1
    assert "Traceback" not in said


def test_a_line_for_people_names_the_level_from_warning_on(capsys: pytest.CaptureFixture[str]) -> None:
    before = (logger.level, logger.propagate, logger.handlers[:])
    to_stderr()
    try:
        logger.info("one")
        logger.warning("two")
        logger.error("three")
        logger.error("four", extra=FILE_ONLY)
    finally:
        logger.level, logger.propagate, logger.handlers[:] = before
    assert [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()] == [
        "one",
        "WARNING two",
        "ERROR three",
    ]
