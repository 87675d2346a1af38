"""A collection that grows from run to run, read back as a whole from a real Milvus Lite."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jobs import headlines_of, job_of, stats_of

from job.backends.milvus import Fields, Milvus
from job.backends.milvus.search import AlteredRowsError
from job.context import COLLECTION, Job
from job.data import Embeddings, Ids
from job.runtime.errors import BadInput
from job.runtime.system_errors import no_room
from job.stages import store_collection, store_write
from job.stages.store import StoreStage

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def milvus(tmp_path: Path) -> Iterator[Milvus]:
    client = Milvus(str(tmp_path / "milvus.db"), None, "news_data")
    yield client
    client.close()


def stored(
    milvus: Milvus,
    folder: Path,
    first_id: int,
    column: pa.Array,
    name: str = "own",
    filter: str = "",
    **sections: Any,
) -> tuple[Job, dict[str, Any]]:
    """Headlines with these values of an own column, added to the collection; all of it is read back."""
    ids = np.arange(first_id, first_id + len(column))
    rows = headlines_of(ids, [f"{folder.name} {id}" for id in ids])
    vectors = np.eye(8, dtype=np.float32)[ids % 8]
    milvus.fields = Fields(extra=(name,))
    store = {"scope": "collection", "extra_fields": [name], "filter": filter}
    job = job_of(folder, rows, Embeddings(rows.ids, vectors), milvus, store=store, **sections)
    pq.write_table(pa.table({"title": rows.column("title"), name: column}), folder / "input.parquet")
    return job, stats_of(StoreStage().run(job))


def answer(job: Job) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(job.run.file(COLLECTION) / "input.parquet").to_pylist()
    return found


@pytest.mark.parametrize(
    ("before", "today", "expected"),
    [
        (pa.array([1, 2]), pa.array([3], pa.int32()), [3, 1, 2]),
        (pa.array([1.5, 2]), pa.array([3]), [3, 1.5, 2]),
        (pa.array(["n/a", ""]), pa.array([3]), ["3", "n/a", ""]),
        (pa.array([NOON, NOON]), pa.array([NOON]), [NOON] * 3),
        (
            pa.array(["2026-11-20T12:00:00Z", "x"]),
            pa.array([NOON]),
            ["2026-11-20 12:00:00.000000Z", "2026-11-20T12:00:00Z", "x"],
        ),
        (pa.array(["2026-11-20", None]), pa.array([NOON.date()]), [NOON.date()] * 2 + [None]),
        (pa.array(["a", "b"]), pa.array([["x", "y"]]), ['["x", "y"]', "a", "b"]),
        (pa.array([float("nan"), 2.0]), pa.array([1.0]), [1.0, float("nan"), 2.0]),
    ],
)
def test_an_own_column_has_one_type_on_all_days(
    milvus: Milvus, tmp_path: Path, before: pa.Array, today: pa.Array, expected: list[Any]
) -> None:
    stored(milvus, tmp_path / "mon", 10, before)
    job, stats = stored(milvus, tmp_path / "tue", 20, today)
    assert stats["rows_of_others"] == 2
    found = [row["own"] for row in answer(job)]
    # NaN is not equal to itself
    numbers = [value for value in found if value == value]
    assert numbers == [value for value in expected if value == value]
    assert len(found) == len(expected)


@pytest.mark.parametrize("time", ["auto", "published", "Published"])
def test_headlines_of_earlier_days_keep_their_times(milvus: Milvus, tmp_path: Path, time: str) -> None:
    section, column = {"path": "news.csv", "time": time}, "published"
    stored(milvus, tmp_path / "mon", 10, pa.array(["2026-11-20T12:00:00Z"] * 2), column, input=section)
    job, stats = stored(milvus, tmp_path / "tue", 20, pa.array(["2026-11-21T12:00:00Z"]), column, input=section)
    assert job.headlines.times[:2].tolist() == [NOON.timestamp()] * 2
    rows = pq.read_table(job.run.file(COLLECTION) / "rows.parquet")
    assert rows["time"].to_pylist()[1:] == [NOON.timestamp()] * 2
    assert stats["warnings"] == []


def test_earlier_headlines_without_times_are_a_warning(milvus: Milvus, tmp_path: Path) -> None:
    section = {"path": "news.csv", "time": "published"}
    stored(milvus, tmp_path / "mon", 10, pa.array([1, 2]), input=section)
    _, stats = stored(milvus, tmp_path / "tue", 20, pa.array([3]), input=section)
    assert "2 rows of the collection that are not of this input have no publication time" in stats["warnings"][0]


def outside_the_sample(ids: Ids) -> list[int]:
    """Some ids that are not among those whose vectors are compared after writing."""
    compared = np.random.default_rng(0).choice(len(ids), store_write._SAMPLE, replace=False)
    return [int(id) for id in np.delete(ids, compared)[:5]]


@pytest.mark.parametrize("filter", ["", "own < 500"])
def test_rows_of_the_input_that_another_program_removed_are_written_again(
    milvus: Milvus, tmp_path: Path, filter: str
) -> None:
    column = pa.array(np.arange(600))
    job, _ = stored(milvus, tmp_path / "run", 10, column, filter=filter)
    removed = outside_the_sample(job.input_headlines.ids)
    milvus.delete(np.array(removed))
    job, stats = stored(milvus, tmp_path / "run", 10, column, filter=filter)
    assert sorted(milvus.vectors(np.array(removed))) == removed
    selected = 500 if filter else 600
    assert (stats["rows"], len(job.headlines)) == (selected, selected)
    # what the filter leaves out is not missing: nothing is written again
    _, stats = stored(milvus, tmp_path / "run", 10, column, filter=filter)
    assert stats["batches_kept"] == stats["batches"]


def test_rows_that_another_program_removes_again_and_again_are_an_error(
    milvus: Milvus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = store_collection._read_rows

    def removes_first(job: Job, file: IO[bytes]) -> Any:
        milvus.delete(np.array(outside_the_sample(job.input_headlines.ids)))
        return read(job, file)

    monkeypatch.setattr(store_collection, "_read_rows", removes_first)
    with pytest.raises(AlteredRowsError, match=r"does not have 5 rows of this input.* \(id \d+ is one\)"):
        stored(milvus, tmp_path / "run", 10, pa.array(np.arange(600)))


def test_without_an_input_the_answer_is_the_collection_alone(milvus: Milvus, tmp_path: Path) -> None:
    job, _ = stored(milvus, tmp_path / "run", 10, pa.array([1, 2]))
    assert len(answer(job)) == 2
    again = job_of(tmp_path / "run", None, None, milvus, input={}, store={"scope": "collection"})
    stats = stats_of(StoreStage().run(again))
    assert stats["rows_of_others"] == 2
    assert sorted(row["title"] for row in answer(again)) == ["run 10", "run 11"]
    assert len(pq.read_table(again.run.file(COLLECTION) / "rows.parquet")) == 2


@pytest.mark.parametrize("filter", ["own >> (", "id > 'x'"])
def test_a_filter_that_milvus_does_not_understand_is_named_and_is_no_damage(
    milvus: Milvus, tmp_path: Path, filter: str
) -> None:
    stored(milvus, tmp_path / "run", 10, pa.array([1, 2]))
    store = {"scope": "collection", "filter": filter}
    again = job_of(tmp_path / "run", None, None, milvus, input={}, store=store)
    milvus.fields = Fields()
    with pytest.raises(BadInput, match=r"^store\.filter = '.*': Milvus Lite .* does not understand it: ") as raised:
        StoreStage().run(again)
    assert "move it away" not in str(raised.value)


def test_texts_of_others_are_shown_without_html(milvus: Milvus, tmp_path: Path) -> None:
    texts = ["O&#039;Neal in <i>Blue Chips</i>\n<p>AT&amp;T</p>", "<br>\n<br>", "a < b"]
    rows = headlines_of(np.arange(3), texts)
    milvus.fields = Fields()
    store = {"scope": "collection"}
    embeddings = Embeddings(rows.ids, np.eye(8, dtype=np.float32)[:3])
    job = job_of(tmp_path / "mon", rows, embeddings, milvus, store=store)
    pq.write_table(pa.table({"title": texts}), job.run.file("input.parquet"))
    StoreStage().run(job)
    again = job_of(tmp_path / "tue", None, None, milvus, input={}, store=store)
    StoreStage().run(again)
    assert again.titles == ["O'Neal in Blue Chips", "<br>", "a < b"]
    assert again.headlines.column("description") == ["AT&T", None, None]
    # what was embedded
    assert again.headlines.column("text") == texts


def test_a_collection_that_does_not_fit_on_the_disk_is_an_error_that_says_so(tmp_path: Path, small_disk: Path) -> None:
    """Its vectors are there twice for a moment, and fit once."""
    milvus = Milvus(str(tmp_path / "milvus.db"), None, "news_data")
    ids = np.arange(1_000)
    rows = headlines_of(ids, [str(id) for id in ids])
    vectors = np.eye(512, dtype=np.float32)[ids % 512]
    job = job_of(small_disk / "run", rows, Embeddings(rows.ids, vectors), milvus, store={"scope": "collection"})
    pq.write_table(pa.table({"title": rows.column("title")}), job.run.file("input.parquet"))
    with pytest.raises(OSError, match="No space") as raised:
        StoreStage().run(job)
    assert no_room(raised.value) is not None
    assert not list((small_disk / "run" / COLLECTION).iterdir())
    milvus.close()
