"""Milvus Lite's files damaged, lists of the run folder damaged, rows altered by others: the run still ends well."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from jobs import headlines_of, job_of

from job import pipeline
from job.backends.milvus import Fields, LiteError, Milvus, OtherRowsError
from job.backends.milvus.index_kinds import Index
from job.backends.milvus.messages import RowBatch
from job.context import Job
from job.data import Embeddings, Headlines
from job.rewrites import RowsAlteredError
from job.runtime.errors import BadInput, JobError, Resumable
from job.stages import store_write
from job.stages.cluster import tree_key
from job.stages.neighbors import NeighborsStage
from job.stages.store import StoreStage

COUNT, DIM = 120, 16
DATA = "milvus.db/collections/news_data/partitions/_default/data/*.parquet"
SIDECAR = "milvus.db/collections/news_data/partitions/_default/indexes/*.idx"
SCHEMA = "milvus.db/collections/news_data/schema.json"
MANIFEST = "milvus.db/collections/news_data/manifest.json"


def rows(count: int = COUNT) -> Headlines:
    return headlines_of(np.arange(count) * 7 + 1, [f"headline {row}" for row in range(count)])


def vectors(count: int = COUNT, seed: int = 0, twins: int = 0) -> Embeddings:
    found = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    found[:twins] = found[0]
    return Embeddings(rows(count).ids, found / np.linalg.norm(found, axis=1, keepdims=True))


def a_job(folder: Path, count: int = COUNT, twins: int = 0, key: str = "k", extra: Any = None, **sections: Any) -> Job:
    small = {"neighbors": {"k": 10, "shard_rows": 50}, "project": {"n_neighbors": 11}} | sections
    return job_of(folder, rows(count), vectors(count, twins=twins), None, f"{key}{count}", extra, **small)


def finish(folder: Path, *args: Any, attempts: int = 2, **sections: Any) -> str:
    """Store and neighbors as `run` does them; the digest of the graph."""
    job = a_job(folder, *args, **sections)
    try:
        for left in reversed(range(attempts)):
            try:
                for stage in (StoreStage(), NeighborsStage()):
                    assert pipeline.do(stage, job)
                break
            except RowsAlteredError:
                if not left:
                    raise
        return job.output("neighbors")
    finally:
        job.close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("finished") / "run"
    return folder, finish(folder)


@pytest.fixture
def run(finished: tuple[Path, str], tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flipped(path: Path, at: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 0x41
    path.write_bytes(bytes(content))


def forget(run: Path, *stages: str) -> None:
    for stage in stages:
        (run / "markers" / f"{stage}.json").unlink()


DAMAGES: tuple[Callable[[Path], None], ...] = (half, zeroed, flipped, Path.unlink)


BOTH = ("store", "neighbors")


@pytest.mark.parametrize(
    ("pattern", "damage", "stages"),
    [
        (SCHEMA, half, ("neighbors",)),
        (SCHEMA, Path.unlink, BOTH),
        (MANIFEST, half, ("neighbors",)),
        (DATA, zeroed, BOTH),
        (DATA, Path.unlink, ("neighbors",)),
        (SIDECAR, flipped, ("neighbors",)),
    ],
)
def test_a_damaged_database_of_the_runs_own_is_made_again(
    finished: tuple[Path, str], run: Path, pattern: str, damage: Callable[[Path], None], stages: tuple[str, ...]
) -> None:
    damage(next(run.glob(pattern)))
    forget(run, *stages)
    assert finish(run) == finished[1]


@pytest.mark.slow
@pytest.mark.parametrize("stages", [("neighbors",), BOTH])
@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_file_is_damaged_the_graph_is_the_same(
    finished: tuple[Path, str], run: Path, damage: Callable[[Path], None], stages: tuple[str, ...], tmp_path: Path
) -> None:
    names = [path.relative_to(run) for path in run.glob("milvus.db/**/*") if path.is_file()]
    assert len(names) >= 6
    for name in [*names, "store_ids.bin", "store_done.txt"]:
        other = Path(shutil.copytree(run, tmp_path / "other"))
        if (other / name).stat().st_size:
            damage(other / name)
        forget(other, *stages)
        assert finish(other) == finished[1], name
        shutil.rmtree(other)


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
left = int(sys.argv[3])

def count(event, args):
    global left
    writes = event.startswith(("os.", "shutil.")) or (event == "open" and args[1] not in ("r", "rb"))
    if writes and any(isinstance(one, (str, os.PathLike)) and "milvus.db" in os.fspath(one) for one in args):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

import test_milvus_damage
from pathlib import Path
sys.addaudithook(count)
test_milvus_damage.finish(Path(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("operation", [2, 9, 14, 22])
def test_a_kill_within_milvus_lite_costs_nothing(finished: tuple[Path, str], tmp_path: Path, operation: int) -> None:
    """At the n-th file that is opened to write, renamed or removed in its database."""
    words = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path / "run"), str(operation)]
    killed = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert finish(tmp_path / "run") == finished[1]


IDLE = """
import sys, time
from job.backends.milvus import Milvus
milvus = Milvus(sys.argv[1], None, "news_data")
time.sleep(45)
print(milvus.exists())
"""


@pytest.mark.slow
def test_an_idle_connection_to_milvus_lite_is_not_refused(tmp_path: Path) -> None:
    """Milvus Lite refuses pings of an idle client after 30 s, of which gRPC tells the terminal."""
    words = [sys.executable, "-c", IDLE, str(tmp_path / "milvus.db")]
    environment = os.environ | {"GRPC_VERBOSITY": "ERROR"}
    done = subprocess.run(words, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_damaged_database_that_the_user_named_is_an_error_with_what_to_do_and_stays(tmp_path: Path) -> None:
    named = tmp_path / "shared.db"
    finish(tmp_path / "run", store={"uri": str(named)})
    half(named / SCHEMA.removeprefix("milvus.db/"))
    kept = {path: path.stat().st_size for path in named.rglob("*.parquet")}
    forget(tmp_path / "run", "store", "neighbors")
    with pytest.raises(LiteError, match=r"store.uri = '.*shared.db'.*put back a copy of it, or move it away"):
        finish(tmp_path / "run", store={"uri": str(named)})
    assert kept == {path: path.stat().st_size for path in named.rglob("*.parquet")} != {}


def test_a_sound_database_is_not_removed_where_the_machine_refuses_its_lock(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    kept = {path: path.stat().st_ino for path in run.glob(DATA)}
    forget(run, "store", "neighbors")
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(JobError, match=r"cannot open it: .*No locks available.*Nothing was removed"):
        finish(run)
    assert kept == {path: path.stat().st_ino for path in run.glob(DATA)} != {}


def test_a_damaged_database_of_a_collection_that_grew_is_never_removed(run: Path) -> None:
    (run / "collection").mkdir()
    half(run / SCHEMA)
    forget(run, "store", "neighbors")
    with pytest.raises(LiteError, match="Nothing was removed"):
        finish(run)
    assert list(run.glob(DATA))


def test_other_collections_of_the_database_stay(run: Path, finished: tuple[Path, str]) -> None:
    other = Milvus(str(run / "milvus.db"), None, "other")
    other.prepare(4)
    other.close()
    half(run / SCHEMA)
    forget(run, "store", "neighbors")
    assert finish(run) == finished[1]
    assert (run / "milvus.db" / "collections" / "other" / "schema.json").exists()


def test_a_database_that_cannot_be_made_since_the_disk_is_full(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        for number in range(1_000):
            (small_disk / str(number)).touch()
    with pytest.raises(Resumable, match=r"store.uri = '.*own.db': .*no space left on this disk: make room"):
        Milvus(str(small_disk / "own.db"), None, "news_data")


def test_a_database_that_does_not_fit_on_the_disk_is_written_once_there_is_room(
    small_disk: Path, finished: tuple[Path, str]
) -> None:
    with (small_disk / "other").open("wb") as other:
        other.write(bytes(3_100_000))
    with pytest.raises(Resumable, match=r"store.uri = '.*milvus.db': no space left on this disk: make room"):
        finish(small_disk / "run")
    (small_disk / "other").unlink()
    assert finish(small_disk / "run") == finished[1]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("store_ids.bin", flipped),
        ("store_done.txt", zeroed),
        *(pytest.param("store_ids.bin", damage, marks=pytest.mark.slow) for damage in (half, zeroed, Path.unlink)),
        *(pytest.param("store_done.txt", damage, marks=pytest.mark.slow) for damage in (half, flipped, Path.unlink)),
    ],
)
def test_a_damaged_list_costs_no_row_and_rows_that_left_are_still_removed(
    run: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(run / name)
    finish(run, COUNT - 50)
    milvus = Milvus(str(run / "milvus.db"), None, "news_data")
    milvus.load()
    assert (milvus.ids() == rows(COUNT - 50).ids).all()
    milvus.close()


def test_a_damaged_list_of_a_shared_collection_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    run, store = tmp_path / "run", {"uri": str(tmp_path / "shared.db")}
    finish(run, store=store)
    flipped(run / "store_ids.bin")
    with pytest.raises(OtherRowsError, match=r"holds 50 rows that are not in the input.*lost or damaged.*drop that"):
        finish(run, COUNT - 50, store=store)
    finish(run, store=store)
    finish(run, COUNT - 50, store=store)


def test_the_rows_of_another_run_with_the_same_headlines_are_not_removed(tmp_path: Path) -> None:
    uri = str(tmp_path / "shared.db")
    mine, theirs = ({"uri": uri, "collection": name} for name in ("mine", "colleague"))
    finish(tmp_path / "run", store=mine)
    finish(tmp_path / "other", store=theirs)
    with pytest.raises(OtherRowsError, match=r"holds 50 rows that this run has not written there.*drop that"):
        finish(tmp_path / "run", COUNT - 50, store=theirs)
    milvus = Milvus(uri, None, "colleague")
    milvus.load()
    assert milvus.count() == COUNT
    milvus.close()


@pytest.mark.parametrize("known", [True, False])
def test_a_list_of_ids_without_its_place_is_of_the_place_in_the_runs_record(tmp_path: Path, known: bool) -> None:
    """As versions wrote it that did not note the place."""
    run, store = tmp_path / "run", {"uri": str(tmp_path / "shared.db"), "collection": "news_data"}
    finish(run, store=store)
    content = rows().ids.astype("<i8").tobytes()
    (run / "store_ids.bin").write_bytes(xxhash.xxh3_64(content).digest() + content)
    record = {"config": {"store": {**store, "db_name": "", "collection": "news_data" if known else "another"}}}
    (run / "run.json").write_text(json.dumps(record))
    if not known:
        with pytest.raises(OtherRowsError, match="holds 50 rows that this run has not written there"):
            finish(run, COUNT - 50, store=store)
    else:
        finish(run, COUNT - 50, store=store)


def test_a_list_of_ids_without_its_place_holds_for_the_runs_own_database(run: Path) -> None:
    content = rows().ids.astype("<i8").tobytes()
    (run / "store_ids.bin").write_bytes(xxhash.xxh3_64(content).digest() + content)
    before = next(run.glob(SCHEMA)).stat().st_ino
    finish(run, COUNT - 50)
    assert next(run.glob(SCHEMA)).stat().st_ino == before, "the database was made again"


def test_a_changed_extra_column_is_stored_though_no_text_changed(tmp_path: Path) -> None:
    for desk in ("sports", "politics"):
        extra = [{"desk": desk} for _ in range(COUNT)]
        finish(tmp_path / "run", extra=extra, store={"extra_fields": ("desk",)})
    milvus = Milvus(str(tmp_path / "run" / "milvus.db"), None, "news_data", Fields(extra=("desk",)))
    milvus.load()
    assert (milvus.count('desk == "politics"'), milvus.count('desk == "sports"')) == (COUNT, 0)
    milvus.close()


def alter(uri: Path, how_many: int, index: Index | None = None) -> None:
    """What another program does: it replaces the vectors of some rows."""
    milvus = Milvus(str(uri), None, "news_data")
    some = slice(0, how_many)
    if how_many:
        milvus.upsert(RowBatch(rows().ids[some], vectors(seed=1).vectors[some], ["theirs"] * how_many))
    milvus.build_index(index or milvus.index())
    milvus.close()


@pytest.mark.parametrize(("index", "metric"), [("FLAT", "IP"), ("FLAT", "L2"), ("FLAT", "COSINE"), ("HNSW", "IP")])
def test_rows_that_others_altered_are_written_again(tmp_path: Path, index: str, metric: str) -> None:
    store = {"uri": str(tmp_path / "shared.db"), "index": index, "metric": metric}
    digest = finish(tmp_path / "run", store=store)
    alter(tmp_path / "shared.db", 3)
    forget(tmp_path / "run", "neighbors")
    assert finish(tmp_path / "run", store=store) == digest
    milvus = Milvus(str(tmp_path / "shared.db"), None, "news_data")
    milvus.load()
    stored = milvus.vectors(rows().ids)
    assert all((stored[int(id)] == vector).all() for id, vector in zip(rows().ids, vectors().vectors, strict=True))
    milvus.close()


def test_an_index_of_another_kind_is_noticed_and_replaced(tmp_path: Path) -> None:
    store = {"uri": str(tmp_path / "shared.db")}
    digest = finish(tmp_path / "run", store=store)
    alter(tmp_path / "shared.db", 0, Index("IVF_FLAT", "L2", {"nlist": 4}, ""))
    forget(tmp_path / "run", "neighbors")
    assert finish(tmp_path / "run", store=store) == digest


def test_rows_that_are_altered_again_and_again_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = {"uri": str(tmp_path / "shared.db")}
    digest = finish(tmp_path / "run", store=store)
    forget(tmp_path / "run", "neighbors")
    alter(tmp_path / "shared.db", 3)
    write = store_write.write_headlines

    def write_and_alter(job: Job, key: str) -> Any:
        result = write(job, key)
        milvus = job.milvus
        milvus.upsert(RowBatch(rows().ids[:3], vectors(seed=1).vectors[:3], ["theirs"] * 3))
        milvus.build_index(milvus.index())
        return result

    with monkeypatch.context() as patch:
        patch.setattr(store_write, "write_headlines", write_and_alter)
        with pytest.raises(JobError, match="Does another program write to this collection") as stopped:
            finish(tmp_path / "run", attempts=5, store=store)
        assert stopped.value.exit_code == 1
    # once the other program has stopped
    assert finish(tmp_path / "run", store=store) == digest


def test_rows_of_another_that_came_in_place_of_ours_are_named(tmp_path: Path) -> None:
    store = {"uri": str(tmp_path / "shared.db")}
    finish(tmp_path / "run", store=store)
    milvus = Milvus(str(tmp_path / "shared.db"), None, "news_data")
    milvus.delete(rows().ids[:1])
    milvus.upsert(RowBatch(np.array([5]), vectors().vectors[:1], ["theirs"]))
    milvus.build_index(milvus.index())
    milvus.close()
    forget(tmp_path / "run", "neighbors")
    with pytest.raises(OtherRowsError, match=r"holds 1 rows of another run \(id 5 is one\)"):
        finish(tmp_path / "run", store=store)


def test_equal_vectors_are_no_alarm(tmp_path: Path) -> None:
    finish(tmp_path / "run", COUNT, 90, attempts=1)
    assert not (tmp_path / "run" / "rewrites.json").exists()


def test_a_moved_run_folder_and_another_spelling_are_the_same_store(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Path(shutil.move(run, tmp_path / "moved"))
    monkeypatch.chdir(tmp_path)
    for folder in (moved, Path("moved"), Path("../moved") if tmp_path.name == "moved" else Path("./moved")):
        assert StoreStage().up_to_date(a_job(folder)) is not None
    store = {"uri": str(tmp_path / "shared.db")}
    finish(tmp_path / "other", store=store)
    assert StoreStage().up_to_date(a_job(tmp_path / "other", store={"uri": "shared.db"})) is not None


def test_when_all_shards_are_there_milvus_is_not_asked_again(
    run: Path, finished: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(run, "neighbors")
    with monkeypatch.context() as patch:
        patch.setattr(NeighborsStage, "clean_up", lambda self, job: None)
        finish(run)
    forget(run, "neighbors")
    job = a_job(run)
    assert pipeline.do(NeighborsStage(), job)
    assert "milvus" not in job.__dict__
    assert job.output("neighbors") == finished[1]


def test_clustering_does_not_depend_on_the_columns_that_only_the_layout_reads(run: Path) -> None:
    before = tree_key(a_job(run))
    wide = {"project": {"n_neighbors": 21}}
    finish(run, **wide)
    assert tree_key(a_job(run, **wide)) == before
    assert np.load(run / "neighbors.npz")["more_indices"].shape == (COUNT, 10)


def test_what_can_be_known_before_embedding_is_said_before_it(tmp_path: Path) -> None:
    (tmp_path / "file.db").write_text("an SQLite file of Milvus Lite 2")
    (tmp_path / "other.db").mkdir()
    (tmp_path / "other.db" / "notes.txt").write_text("mine")
    source = tmp_path / "news.csv"
    source.write_text("title,desk\none,sports\n")
    for store, said in (
        ({"uri": str(tmp_path / "file.db")}, r"store\.uri = '.*file\.db': this is a file, but the database.*another"),
        ({"uri": str(tmp_path / "other.db")}, r"holds something and is no Milvus Lite database: set store\.uri"),
        ({"uri": str(tmp_path / "file.db" / "x.db")}, r"file\.db' is a file, not a folder: set store\.uri"),
        ({"tls_ca": tmp_path / "none.pem", "uri": "http://localhost:1"}, r"store\.tls_ca = '.*none\.pem': no such"),
        ({"extra_fields": ("desk", "agency")}, r"no column 'agency'; it has: title, desk"),
    ):
        with pytest.raises(BadInput, match=said):
            StoreStage().check(job_of(tmp_path / "run", store=store, input={"path": str(source)}))
    StoreStage().check(job_of(tmp_path / "run", store={"extra_fields": ("desk",)}, input={"path": str(source)}))
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(BadInput, match="no regular file"):
        StoreStage().check(
            job_of(tmp_path / "run", store={"extra_fields": ("desk",)}, input={"path": str(tmp_path / "pipe.csv")})
        )
    assert not (tmp_path / "run" / "milvus.db").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(BadInput, match=r"nothing can be made in '.*locked': set store\.uri"):
        StoreStage().check(job_of(tmp_path / "run", store={"uri": str(tmp_path / "locked" / "x.db")}))
