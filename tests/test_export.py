"""`export` of a finished run, as a user has it: the command line, the sample, and what the other programs expect."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import DEMO, Run, read_csv

from job.commands import assign as assign_module
from job.commands import export as export_module
from job.commands.export import FILES, NOTE
from job.commands.export_tables import for_spreadsheet
from job.runtime.errors import Resumable


@pytest.fixture(scope="module")
def stories(job_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the recipe stories on the sample, with times and two rows that a spreadsheet would run or break
    at; tests only read it."""
    folder = tmp_path_factory.mktemp("export")
    source = folder / "news.csv"
    sample = DEMO.parents[1] / "job" / "sample" / "headlines.csv"
    source.write_text(
        sample.read_text(encoding="utf-8")
        + '"=HYPERLINK(""http://x"")","two\nlines",S,2031-03-09T00:00:00Z,en,lone-1\n',
        encoding="utf-8",
    )
    words = ("cluster.recipe=stories", "input.time=published", "neighbors.backend=exact", f"input.path={source}")
    done = job_here("run", DEMO, *words, f"run_dir={folder / 'run'}")
    assert done.returncode == 0, done.stderr
    return folder / "run"


def exported(job_here: Run, run: Path, to: str, folder: Path) -> str:
    done = job_here("export", run, "--to", to, "--output", folder)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_atlas_has_points_with_neighbors_in_this_very_file(job_here: Run, stories: Path, tmp_path: Path) -> None:
    said = exported(job_here, stories, "atlas", tmp_path)
    assert f"embedding-atlas {tmp_path / 'atlas.parquet'} --text title --x x --y y --neighbors neighbors" in said
    points = pq.read_table(tmp_path / "atlas.parquet").to_pylist()
    headlines = pq.read_table(stories / "headlines.parquet")
    assert [row["id"] for row in points] == headlines["id"].to_pylist()
    assert [row["title"].strip() for row in points] == headlines["title"].to_pylist()
    assert points[0]["published_utc"].tzinfo is not None
    with np.load(stories / "neighbors.npz") as graph:
        nearest, distances = graph["indices"], graph["distances"]
    for number, row in enumerate(points):
        assert all(math.isfinite(row[axis]) for axis in "xy")
        assert row["neighbors"]["ids"] == nearest[number, :15].tolist()
        assert row["neighbors"]["distances"] == pytest.approx(distances[number, :15].tolist())


def test_atlas_labels_are_at_their_headlines_and_the_stories_table_joins(
    job_here: Run, stories: Path, tmp_path: Path
) -> None:
    exported(job_here, stories, "atlas", tmp_path)
    points = pq.read_table(tmp_path / "atlas.parquet").to_pylist()
    table = pq.read_table(tmp_path / "stories.parquet").to_pylist()
    assert {row["cluster"] for row in table} == {row["cluster"] for row in points} - {-1}
    assert all(isinstance(row["keywords"], list) and row["theme_name"] for row in table)
    labels = pq.read_table(tmp_path / "labels.parquet").to_pylist()
    assert {row["level"] for row in labels} == {0, 1, 2}
    of_stories = {row["text"]: row for row in labels if row["level"] == 2}
    for story in table:
        x = [row["x"] for row in points if row["cluster"] == story["cluster"]]
        assert min(x) <= of_stories[story["name"]]["x"] <= max(x)
        assert of_stories[story["name"]]["priority"] == len(x) == story["headlines"]


def test_without_themes_the_largest_stories_are_labels_of_the_whole_map(
    job_here: Run, copy: Path, tmp_path: Path
) -> None:
    assert job_here("recut", copy, "merge_above=null").returncode == 0
    exported(job_here, copy, "atlas", tmp_path / "atlas")
    labels = pq.read_table(tmp_path / "atlas" / "labels.parquet").to_pylist()
    levels = [row["level"] for row in labels]
    assert levels == sorted(levels)
    assert levels.count(0) == 8


def test_bertopics_tables_have_its_columns_and_add_up(job_here: Run, stories: Path, tmp_path: Path) -> None:
    exported(job_here, stories, "bertopic", tmp_path)
    info = pq.read_table(tmp_path / "topic_info.parquet").to_pandas()
    assert list(info) == ["Topic", "Count", "Name", "CustomName", "Representation", "Representative_Docs"]
    assert info.Topic.tolist() == list(range(-1, len(info) - 1))
    documents = pq.read_table(tmp_path / "document_info.parquet").to_pandas()
    assert info.Count.sum() == len(documents)
    assert documents.groupby("Topic").size().to_dict() == dict(zip(info.Topic, info.Count, strict=True))
    first = info.iloc[1]
    assert first["Name"] == "_".join(["0", *first["Representation"][:4]])
    assert len(first["Representative_Docs"]) == 3
    assert documents[documents.Topic == 0].Representative_document.sum() == 3
    assert json.loads(read_csv(tmp_path / "topic_info.csv")[1]["Representation"]) == list(first["Representation"])


def test_json_lines_have_every_row_and_nothing_that_is_not_json(job_here: Run, stories: Path, tmp_path: Path) -> None:
    exported(job_here, stories, "jsonl", tmp_path)
    lines = (tmp_path / "headlines.jsonl").read_text(encoding="utf-8").splitlines()
    answer = pq.read_table(stories / "headlines_clustered.parquet").to_pylist()

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    found = [json.loads(line, parse_constant=refuse) for line in lines]
    assert [row["id"] for row in found] == [row["id"] for row in answer]
    assert found[-1]["title"] == '=HYPERLINK("http://x")', "JSON is no spreadsheet: the text is as it was"
    topics = [json.loads(line) for line in (tmp_path / "stories.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [topic["cluster"] for topic in topics] == list(range(len(topics)))
    assert all(isinstance(topic["exemplar_ids"][0], int) for topic in topics)


def test_a_spreadsheet_loses_no_digit_and_runs_no_formula(job_here: Run, stories: Path, tmp_path: Path) -> None:
    exported(job_here, stories, "csv", tmp_path)
    assert (tmp_path / "headlines.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    rows = read_csv(tmp_path / "headlines.csv", "utf-8-sig")
    answer = pq.read_table(stories / "headlines_clustered.parquet").to_pylist()
    assert [row["id"] for row in rows] == [f"id:{row['id']}" for row in answer]
    assert rows[-1]["title"].startswith("'=HYPERLINK")
    assert rows[-1]["description"] == "two lines"
    assert {row["cluster"] for row in rows} == {str(row["cluster"]) for row in answer}
    for row in read_csv(tmp_path / "stories.csv", "utf-8-sig"):
        assert not any(value[:1] in "=+-@" and value for value in row.values())


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.list_(pa.string())])
def test_a_cell_of_a_spreadsheet_has_one_line_and_fits_whatever_the_columns_type(kind: pa.DataType) -> None:
    texts = ["two\nlines", "x" * 40_000, None]
    values = [text if text is None or not pa.types.is_list(kind) else [text] for text in texts]
    table = for_spreadsheet(pa.table({"a": pa.array(values, kind), "b": [{"c": "x\ny"}, None, None]}), set())
    assert table["a"].to_pylist() == ["two lines", "x" * 32_765 + "…", None]
    assert table["b"].to_pylist() == ['{"c": "x\\ny"}', None, None]


def test_what_cannot_be_exported_is_said(job_here: Run, demo: Path, tmp_path: Path) -> None:
    assert "is no run folder" in job_here("export", tmp_path, "--to", "csv").stderr
    itself = job_here("export", demo, "--to", "csv", "--output", demo)
    assert itself.returncode == 2
    assert "is a run folder" in itself.stderr
    assert job_here("export", demo, "--to", "excel").returncode == 2
    (tmp_path / "file").write_text("")
    blocked = job_here("export", demo, "--to", "csv", "--output", tmp_path / "file")
    assert blocked.returncode == 2
    assert "cannot be made" in blocked.stderr


@pytest.mark.parametrize("command", ["assign", "export"])
def test_an_answer_that_is_changed_while_it_is_read_is_not_mixed_with_the_new_one(
    job: Run, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """`recut` in another process, once the command has read a part."""
    told = export_module._writer, assign_module._find

    def recut() -> None:
        done = job("recut", copy, "smallest_story=5")
        assert done.returncode == 0, done.stderr

    def writer(to: str) -> object:
        recut()
        return told[0](to)

    def find(*words: Any) -> Any:
        found = told[1](*words)
        recut()
        return found

    monkeypatch.setattr(export_module, "_writer", writer)
    monkeypatch.setattr(assign_module, "_find", find)
    work = {
        "assign": lambda: assign_module.assign(copy, copy.parent / "new.csv", tmp_path / "out.csv"),
        "export": lambda: export_module.export(copy, "jsonl", tmp_path / "out"),
    }[command]
    (copy.parent / "new.csv").write_text("title\nFerry strike in Selmouth goes on\n")
    with pytest.raises(Resumable, match="was changed by another process while it was read: give the same command"):
        list(work())
    assert not [path for path in tmp_path.glob("out*") if path.is_file()]
    assert [path.name for path in tmp_path.glob("out/*")] == [NOTE] * (command == "export")


def test_no_run_folder_is_written_to(job_here: Run, stories: Path, copy: Path) -> None:
    for folder, said in ((copy, "is a run folder"), (copy / "embeddings", f"lies in the run folder '{copy}'")):
        before = sorted(copy.rglob("*"))
        refused = job_here("export", stories, "--to", "atlas", "--output", folder)
        assert refused.returncode == 2
        assert f"{said}: choose another one" in refused.stderr
        assert sorted(copy.rglob("*")) == before


@pytest.mark.parametrize("name", ["stories.csv", NOTE])
def test_nobody_elses_file_is_overwritten(job_here: Run, stories: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"mine": 1}')
    refused = job_here("export", stories, "--to", "csv", "--output", tmp_path)
    assert refused.returncode == 2
    assert f"'{name}' is there, and no exported.json says that an export wrote it" in refused.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, '{"mine": 1}')]


def test_an_export_writes_its_own_files_again(job_here: Run, stories: Path, tmp_path: Path) -> None:
    for to in (*FILES, *FILES):
        exported(job_here, stories, to, tmp_path)
    names = {name for names in FILES.values() for name in names}
    assert {path.name for path in tmp_path.iterdir()} == {*names, NOTE}
