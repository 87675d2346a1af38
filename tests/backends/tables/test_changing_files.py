"""A file that others write to while it is read is refused: the answer would be of no state that it ever had."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from job.backends.tables import Block, open_source
from job.config import Config, Input
from job.context import Job
from job.runtime.errors import BadInput
from job.runtime.rundir import RunDir
from job.stages import ingest
from job.stages.ingest_inputs import input_state

ROWS = 20_000


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more\n")


def shrink(path: Path) -> None:
    os.truncate(path, 5)


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(0, path.stat().st_mtime_ns))
    other.replace(path)


def touch(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1:] = b"\n"
    path.write_bytes(content)
    os.utime(path, ns=(0, 1))


CHANGES = (grow, shrink, replace, touch, Path.unlink)


def large(folder: Path, suffix: str) -> Path:
    path = folder / f"a.{suffix}"
    titles = [f"headline {number}" for number in range(ROWS)]
    if suffix == "parquet":
        pq.write_table(pa.table({"title": titles}), path)
    elif suffix == "csv":
        path.write_text("title\n" + "\n".join(titles) + "\n")
    else:
        path.write_text("".join(f'{{"title": "{title}"}}\n' for title in titles))
    return path


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_file_that_changes_between_two_blocks_is_refused(
    tmp_path: Path, suffix: str, change: Callable[[Path], None]
) -> None:
    path = large(tmp_path, suffix)
    blocks = open_source(path, "auto", "utf-8", {"title"}).blocks()
    assert isinstance(next(blocks), Block)
    change(path)
    with pytest.raises(BadInput, match=f"'{path}' changed while it was read: start again when nobody writes to it"):
        list(blocks)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_file_that_changes_after_its_head_was_read_is_refused(
    tmp_path: Path, suffix: str, change: Callable[[Path], None]
) -> None:
    path = large(tmp_path, suffix)
    source = open_source(path, "auto", "utf-8", {"title"})
    change(path)
    with pytest.raises(BadInput, match="changed while it was read"):
        list(source.blocks())


def test_reading_may_stop_early_and_a_file_that_is_only_read_is_unchanged(tmp_path: Path) -> None:
    path = large(tmp_path, "csv")
    source = open_source(path, "auto", "utf-8", {"title"})
    os.utime(path, ns=(1, path.stat().st_mtime_ns))
    blocks = source.blocks()
    next(blocks)
    blocks.close()
    assert sum(len(item.rows) for item in source.blocks() if isinstance(item, Block)) == ROWS


def test_the_state_of_the_input_tells_each_change(tmp_path: Path) -> None:
    path = large(tmp_path, "csv")
    config = Input(path=str(tmp_path / "*.csv"))
    states = [input_state(config)]
    for change in (grow, replace, touch):
        change(path)
        states.append(input_state(config))
    large(tmp_path / "..", "csv").rename(tmp_path / "b.csv")
    assert len({*states, input_state(config)}) == 5


def test_ingest_leaves_nothing_of_a_file_that_changes(tmp_path: Path) -> None:
    path = large(tmp_path, "csv")
    run = RunDir(tmp_path / "run")
    run.path.mkdir()
    sources = ingest.open_sources(Input(path=str(path)))
    assert len(sources) == 1
    columns = ingest.find_columns(Input(), sources)
    grow(path)
    with pytest.raises(BadInput, match="changed while it was read"):
        ingest._read(sources, columns, Input(path=str(path)), run, ingest.Tally())
    assert list(run.path.iterdir()) == []


def test_a_file_that_changes_after_its_content_was_digested_is_refused(tmp_path: Path) -> None:
    path = large(tmp_path, "csv")
    job = Job(Config(run_dir=tmp_path / "run", device="cpu", input=Input(path=str(path))))
    stage = ingest.IngestStage()
    stage.key(job)
    touch(path)
    with pytest.raises(BadInput, match="changed while it was read"):
        stage.run(job)
