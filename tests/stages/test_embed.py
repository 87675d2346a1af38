"""The embed stage: killed, resumed, split over ranks, refused, failing; the vectors stay the same to the bit."""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import ROOT, SAMPLE, Run, clean_environment, start
from jobs import headlines_of, job_of

from job.backends.embedding.encoder import FlagEncoder
from job.backends.embedding.lexical_shards import load_lexical_weights
from job.backends.embedding.models import find_model
from job.data import Embeddings
from job.runtime import signals
from job.runtime.errors import JobError, Resumable
from job.runtime.files import read_sealed, write_sealed
from job.runtime.progress import Progress
from job.runtime.rundir import RunDir
from job.runtime.shards import Shards
from job.stages.embed import EmbedStage, language_warnings
from job.stages.embed_fingerprint import read_fingerprint
from job.stages.embed_loop import Target, embed_shards, read_texts

DEMO = ROOT / "configs" / "demo.yaml"
SETTINGS = ("embed.precision=fp32", "embed.max_length=64", "embed.shard_rows=40")


def words(folder: Path, model: Path, *more: str) -> list[str]:
    return ["stage", "embed", str(DEMO), f"run_dir={folder}", f"embed.model={model}", *SETTINGS, *more]


def shard_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "embeddings").glob("[0-9]*.npy"))}


@pytest.fixture(scope="module")
def read(job: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder in which ingest is done."""
    folder = tmp_path_factory.mktemp("read") / "run"
    done = job("stage", "ingest", DEMO, f"run_dir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(read: Path, tmp_path: Path) -> Path:
    """A run folder of the test's own in which ingest is done."""
    return Path(shutil.copytree(read, tmp_path / "run"))


@pytest.fixture(scope="module")
def whole(job: Run, read: Path, tiny_m3: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder embedded by one process that nobody disturbed."""
    folder = Path(shutil.copytree(read, tmp_path_factory.mktemp("whole") / "run"))
    done = job(*words(folder, tiny_m3), env=clean_environment() | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return folder


# ---- kill and resume


@pytest.mark.slow
def test_kill_9_in_the_middle_then_resume_gives_the_same_bits(
    read: Path, whole: Path, tiny_m3: Path, tmp_path: Path
) -> None:
    for attempt in range(4):  # on a busy machine the kill may come after the end
        folder = Path(shutil.copytree(read, tmp_path / f"run{attempt}"))
        for least in (1, 3, 6):  # killed three times, further on each time
            process = start(*words(folder, tiny_m3))
            while len(list((folder / "embeddings").glob("[0-9]*.json"))) < least and process.poll() is None:
                time.sleep(0.002)
            process.kill()
            process.communicate()
        if not (folder / "markers" / "embed.json").exists():
            break
    assert not (folder / "markers" / "embed.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in (folder / "embeddings").glob("[0-9]*.json")}
    assert kept
    process = start(*words(folder, tiny_m3))
    assert process.wait(120) == 0
    assert process.stderr is not None
    process.stderr.close()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "finished shards were made again"
    assert shard_bytes(folder) == shard_bytes(whole)
    assert not list(folder.rglob(".*.tmp*"))


def test_a_damaged_shard_is_made_again_and_no_other(job: Run, whole: Path, tiny_m3: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    subprocess.run(["cp", "-a", str(whole), str(folder)], check=True)
    (folder / "markers" / "embed.json").unlink()
    shard = folder / "embeddings" / "00003.npy"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert job(*words(folder, tiny_m3), env=clean_environment() | {"OMP_NUM_THREADS": "1"}).returncode == 0
    assert shard_bytes(folder) == shard_bytes(whole)
    assert json.loads((folder / "markers" / "embed.json").read_text())["stats"]["rows"] == 40


@pytest.mark.slow
def test_lexical_weights_lie_beside_the_vectors_and_are_made_once(job_here: Run, folder: Path, tiny_m3: Path) -> None:
    assert job_here(*words(folder, tiny_m3, "embed.sparse=true")).returncode == 0
    texts = pq.read_table(folder / "headlines.parquet")["text"].to_pylist()
    weights = load_lexical_weights(folder)
    assert weights.shape[0] == len(texts)
    encoder = FlagEncoder(find_model(str(tiny_m3), "auto"), "cpu", "fp32", 64, None, sparse=True)
    expected = encoder.forward(encoder.tokenize(texts), False).lexical()
    np.testing.assert_array_equal(np.repeat(np.arange(len(texts)), np.diff(weights.indptr)), expected["row"])
    np.testing.assert_array_equal(weights.indices, expected["token"])
    np.testing.assert_allclose(weights.data, expected["weight"], atol=1e-5)
    (folder / "sparse" / "00002.npy").write_bytes(b"damaged")
    done = job_here(*words(folder, tiny_m3, "embed.sparse=true"))
    assert done.returncode == 0
    assert json.loads((folder / "markers" / "embed.json").read_text())["stats"]["rows"] == 40
    assert job_here(*words(folder, tiny_m3)).returncode == 0
    assert load_lexical_weights(folder) is None


# ---- ranks


@pytest.mark.slow
def test_four_ranks_one_killed_and_started_again_are_as_one(job: Run, folder: Path, whole: Path, tiny_m3: Path) -> None:
    command = words(folder, tiny_m3)
    ranks = [start(*command, SLURM_PROCID=str(rank), SLURM_NTASKS="4") for rank in range(4)]
    ranks[2].kill()  # before it has done anything at all
    said = [process.communicate()[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0, -signal.SIGKILL, 0], said
    assert not (folder / "markers" / "embed.json").exists()
    finishing = job("stage", "store", DEMO, f"run_dir={folder}", f"embed.model={tiny_m3}", *SETTINGS)
    assert finishing.returncode == 2
    assert "stage embed is not done" in finishing.stderr
    assert "00002, 00006, 00010" in finishing.stderr
    again = start(*command, SLURM_PROCID="2", SLURM_NTASKS="4")
    assert again.wait(120) == 0
    assert again.stderr is not None
    again.stderr.close()
    assert (folder / "markers" / "embed.json").exists()
    assert shard_bytes(folder) == shard_bytes(whole)
    outputs = [json.loads((path / "markers" / "embed.json").read_text())["output"] for path in (folder, whole)]
    assert outputs[0] == outputs[1]


@pytest.mark.slow
def test_ranks_one_after_the_other_by_configuration_and_one_process_for_the_rest(
    job: Run, folder: Path, whole: Path, tiny_m3: Path
) -> None:
    environment = clean_environment() | {"OMP_NUM_THREADS": "1"}
    first = job(*words(folder, tiny_m3, "ranks.rank=1", "ranks.world=3"), env=environment)
    assert first.returncode == 0
    assert "rank 1 of 3: its share is done; still missing: shards 00000, 00003, 00006" in first.stderr
    assert sorted(shard_bytes(folder)) == ["00001.npy", "00004.npy", "00007.npy", "00010.npy"]
    rest = job(*words(folder, tiny_m3), env=environment)
    assert rest.returncode == 0
    assert shard_bytes(folder) == shard_bytes(whole)


@pytest.mark.parametrize("damage", ["changed", "deleted"])
def test_a_rank_does_not_complete_the_stage_with_a_damaged_shard_of_another(
    job_here: Run, whole: Path, tiny_m3: Path, tmp_path: Path, damage: str
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    shard = folder / "embeddings" / "00001.npy"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.unlink() if damage == "deleted" else shard.write_bytes(content)
    first = job_here(*words(folder, tiny_m3, "ranks.rank=0", "ranks.world=2"))
    assert first.returncode == 0, first.stderr
    assert "its share is done; still missing: shards 00001 (1 of rank 1)" in first.stderr
    early = job_here("stage", "store", *words(folder, tiny_m3)[2:])
    assert early.returncode == 2
    assert "stage embed is not done" in early.stderr
    assert "shards 00001" in early.stderr
    second = job_here(*words(folder, tiny_m3, "ranks.rank=1", "ranks.world=2"))
    assert second.returncode == 0, second.stderr
    files = json.loads((folder / "markers" / "embed.json").read_text())["files"]
    assert list(files) == [*(f"embeddings/{name}" for name in shard_bytes(whole)), "embedded_ids.npy"]


def test_a_marker_that_lists_too_few_shards_is_not_believed(
    job_here: Run, whole: Path, tiny_m3: Path, tmp_path: Path
) -> None:
    """As older versions wrote it where a shard of another rank was gone."""
    folder = Path(shutil.copytree(whole, tmp_path / "run"))
    (folder / "embeddings" / "00001.npy").unlink()
    marker = folder / "markers" / "embed.json"
    values = read_sealed(marker)
    del values["files"]["embeddings/00001.npy"]
    write_sealed(marker, values)
    done = job_here(*words(folder, tiny_m3))
    assert done.returncode == 0, done.stderr
    assert sorted(shard_bytes(folder)) == sorted(shard_bytes(whole))


@pytest.mark.slow
def test_the_whole_job_started_as_two_ranks(job: Run, tiny_m3: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    # this model's vectors are so alike that Milvus Lite takes long
    settings = (f"embed.model={tiny_m3}", *SETTINGS, "neighbors.backend=exact")
    command = ["run", str(DEMO), f"run_dir={folder}", *settings]
    ranks = [start(*command, RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    said = [process.communicate(timeout=250)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], said
    assert "report:" in said[0]
    assert "report:" not in said[1]
    alone = tmp_path / "alone"
    one_thread = clean_environment() | {"OMP_NUM_THREADS": "1"}
    assert job("run", DEMO, f"run_dir={alone}", *settings, env=one_thread).returncode == 0
    for name in ("headlines_clustered.csv", "topics.csv"):
        assert (folder / name).read_bytes() == (alone / name).read_bytes()

    # started again after a shard of rank 1 was damaged: rank 0 waits for it
    shard = folder / "embeddings" / "00001.npy"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 0x41
    shard.write_bytes(content)
    ranks = [start(*command, RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    said = [process.communicate(timeout=250)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], said
    assert shard_bytes(folder) == shard_bytes(alone)
    assert (folder / "headlines_clustered.csv").read_bytes() == (alone / "headlines_clustered.csv").read_bytes()


@pytest.mark.slow
def test_a_rank_waits_for_the_others_no_longer_than_it_was_told(job_here: Run, tiny_m3: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    settings = (f"run_dir={folder}", f"embed.model={tiny_m3}", *SETTINGS, "ranks.wait=1", "ranks.world=2")
    first = job_here("run", DEMO, *settings, "ranks.rank=1")
    assert first.returncode == 75
    assert "ingest: waited 1 s (ranks.wait)" in first.stderr
    assert "rank 0's work" in first.stderr
    zero = job_here("run", DEMO, *settings, "ranks.rank=0")
    assert zero.returncode == 75
    assert "(6 of rank 1)" in zero.stderr


# ---- another model


@pytest.mark.slow
def test_a_half_done_stage_refuses_another_model_and_another_tokenizer(
    job_here: Run, folder: Path, whole: Path, tiny_m3: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    subprocess.run(["cp", "-a", str(tiny_m3), str(model)], check=True)
    assert job_here(*words(folder, model, "ranks.rank=0", "ranks.world=2")).returncode == 0
    before = shard_bytes(folder)
    assert 0 < len(before) < len(shard_bytes(whole))

    other = job_here(*words(folder, Path("minilm")))
    assert other.returncode == 2
    assert "it is not the model that 7 shards" in other.stderr
    assert f"delete '{folder}/embeddings'" in other.stderr

    # what an upgrade of the tokenizer's library does: the same files, other ids
    probe = read_sealed(folder / "embed_fingerprint.json")
    changed = probe | {"tokens": [[*ids, 7] for ids in probe["tokens"]]}
    (folder / "embed_fingerprint.json").write_text(json.dumps(changed))
    split = job_here(*words(folder, model))
    assert split.returncode == 2
    assert "its tokenizer splits texts differently" in split.stderr
    vectors = np.frombuffer(base64.b64decode(probe["vectors_float32"]), np.float32)
    changed = probe | {"vectors_float32": base64.b64encode((-vectors).tobytes()).decode()}
    (folder / "embed_fingerprint.json").write_text(json.dumps(changed))
    turned = job_here(*words(folder, model))
    assert turned.returncode == 2
    assert "it gives other vectors" in turned.stderr

    assert shard_bytes(folder) == before
    for damaged in ("", "{", json.dumps(probe | {"vectors_float32": "?"}), "[]", "{}"):
        (folder / "embed_fingerprint.json").write_text(damaged)
        assert read_fingerprint(Shards(folder / "embeddings", "key", 496, 40), RunDir(folder)) is None
    (folder / "embed_fingerprint.json").write_text(json.dumps(probe))
    assert job_here(*words(folder, model)).returncode == 0


@pytest.mark.slow
def test_a_finished_stage_is_done_again_with_another_model(job_here: Run, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    subprocess.run(["cp", "-a", str(whole), str(folder)], check=True)
    done = job_here(*words(folder, Path("minilm")))
    assert done.returncode == 0, done.stderr
    assert np.load(folder / "embeddings" / "00000.npy").shape == (40, 384)


def test_another_lexical_head_makes_another_key_of_lexical_weights_only(tiny_m3: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(tiny_m3, tmp_path / "model"))

    def keys() -> list[str]:
        embed = {"model": str(model)}
        return [EmbedStage().digest(job_of(tmp_path / "run", embed=embed | {"sparse": on})) for on in (False, True)]

    dense, sparse = keys()
    head = torch.load(model / "sparse_linear.pt", weights_only=True)
    torch.save({name: 2 * values for name, values in head.items()}, model / "sparse_linear.pt")
    assert keys()[0] == dense
    assert keys()[1] != sparse


# ---- streaming and errors


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """250 texts in row groups of 60."""
    lines = (SAMPLE.read_text(encoding="utf-8").splitlines()[1:] * 2)[:250]
    pq.write_table(
        pa.table({"id": range(len(lines)), "text": lines, "more": lines}), tmp_path / "rows.parquet", row_group_size=60
    )
    return tmp_path / "rows.parquet"


@pytest.mark.parametrize("rows_per_shard", [1, 7, 30, 60, 61, 250, 1000])
def test_shards_get_their_own_texts_whatever_the_row_groups(rows: Path, rows_per_shard: int) -> None:
    everything = pq.read_table(rows)["text"].to_pylist()
    for shard in Shards(Path("x"), "", 250, rows_per_shard).all:
        assert read_texts(rows, shard)[1] == everything[shard.start : shard.stop]


@pytest.fixture
def model(tiny_m3: Path) -> FlagEncoder:
    return FlagEncoder(find_model(str(tiny_m3), "auto"), "cpu", "fp32", 64, 512)


def embedded(model: FlagEncoder, rows: Path, to: Shards) -> None:
    with Progress("embed", 250, "texts") as progress:
        embed_shards(model, rows, to.to_make(), Target(to, half=False), progress)


def test_the_pipeline_gives_what_encode_gives(model: FlagEncoder, rows: Path, tmp_path: Path) -> None:
    shards = Shards(tmp_path / "shards", "key", 250, 30)
    embedded(model, rows, shards)
    assert shards.to_make() == []
    np.testing.assert_allclose(shards.load(), model.encode(pq.read_table(rows)["text"].to_pylist()), atol=1e-6)


def fail_after(model: FlagEncoder, passes: int, error: Exception) -> None:
    real, calls = model._module, 0

    def forward(input_ids: torch.Tensor) -> object:
        nonlocal calls
        calls += 1
        if calls > passes:
            raise error
        return real(input_ids=input_ids)

    model._module = forward


def test_an_error_names_the_shard_and_its_rows_and_keeps_what_was_done(
    model: FlagEncoder, rows: Path, tmp_path: Path
) -> None:
    shards = Shards(tmp_path / "shards", "key", 250, 30)
    fail_after(model, 40, RuntimeError("no kernel image is available"))
    with pytest.raises(JobError, match=r"embedding shard \d{5}, rows \d.* of headlines\.parquet: a forward") as caught:
        embedded(model, rows, shards)
    assert "RuntimeError: no kernel image is available" in str(caught.value)
    left = shards.to_make()
    assert f"shard {left[0].number:05d}" in str(caught.value)
    row = int(str(caught.value).split("rows ")[1].split()[0].rstrip(",").replace(",", ""))
    assert left[0].start <= row < left[0].stop
    assert left[0].number > 0


def test_a_text_that_cannot_be_tokenized_and_a_full_disk_name_the_shard(
    model: FlagEncoder, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["fine"] * 35 + [None] + ["fine"] * 5
    pq.write_table(pa.table({"id": range(41), "text": texts}), tmp_path / "null.parquet")
    shards = Shards(tmp_path / "shards", "key", 41, 30)
    with pytest.raises(JobError, match=r"tokenizing shard 00001, rows 30 to 40 of headlines\.parquet: TypeError"):
        embedded(model, tmp_path / "null.parquet", shards)
    shards = Shards(tmp_path / "other", "key", 250, 100)

    def full(*_: object, **counts: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards, "write", full)
    with pytest.raises(JobError, match=r"saving shard 00000, rows 0 to 99 .*No space left"):
        embedded(model, rows, shards)


def test_a_stop_signal_keeps_the_shard_at_hand_unless_it_takes_too_long(
    model: FlagEncoder, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = model._module

    def stopped(input_ids: torch.Tensor) -> object:
        os.kill(os.getpid(), signal.SIGUSR1)
        return real(input_ids=input_ids)

    model._module = stopped
    for grace, kept in ((60.0, 1), (0.0, 0)):
        monkeypatch.setattr("job.stages.embed_loop._GRACE_SECONDS", grace)
        shards = Shards(tmp_path / str(kept), "key", 250, 100)
        with signals.stop_signals(), pytest.raises(Resumable, match="SIGUSR1"):
            embedded(model, rows, shards)
        assert len(shards.all) - len(shards.to_make()) == kept
    with signals.stop_signals():  # forgets it
        pass


def test_what_a_killed_rank_left_half_written_is_no_shard(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    subprocess.run(["cp", "-a", str(whole), str(folder)], check=True)
    (folder / "embeddings" / ".00003.npy.1a2b.tmp.npy").write_bytes(b"half")
    ids = np.arange(496)
    mine, theirs = (Embeddings.load(run / "embeddings", ids).vectors for run in (folder, whole))
    assert np.array_equal(mine, theirs)


def test_finished_work_that_other_settings_replace_never_looks_half_done(tmp_path: Path) -> None:
    old = Shards(tmp_path / "embeddings", "old", 6, 2)
    for shard in old.to_make():
        old.write(shard, np.ones((2, 3), np.float32))
    fields = {"model": "m", "model_digest": "d", "pooling": "cls", "tokens": [[1]], "vectors_float32": "AACAPw=="}
    write_sealed(tmp_path / "embed_fingerprint.json", {**fields, "shards_key": "old", "rows": 6})
    half = read_fingerprint(old, RunDir(tmp_path))
    assert half is not None and half.shards == 3
    new = Shards(tmp_path / "embeddings", "new", 6, 4)
    assert read_fingerprint(new, RunDir(tmp_path)) is None
    # as a kill leaves it while the old shards are dropped
    (tmp_path / "embeddings" / "00002.json").unlink()
    assert read_fingerprint(new, RunDir(tmp_path)) is None


# ---- what the model was not made for


@pytest.mark.parametrize(
    ("model", "titles", "warned"),
    [
        ("minilm", ["Storm nears coast", "台风接近沿海"], True),
        ("minilm", ["Storm nears coast", "La tormenta se acerca a la costa del norte"], True),
        ("minilm", ["Storm nears coast"] * 30 + ["台风接近沿海"], False),
        ("some/other", ["台风接近沿海"], False),
    ],
)
def test_titles_in_languages_that_minilm_does_not_know_are_a_warning(
    tmp_path: Path, model: str, titles: list[str], warned: bool
) -> None:
    headlines = headlines_of(range(len(titles)), titles)
    job = job_of(tmp_path / "run", headlines, embed={"model": model})
    headlines.save(job.run.file("headlines.parquet"))
    found = language_warnings(job)
    assert len(found) == warned
    if warned:
        assert "about 50% of the titles are in other languages" in found[0]
        assert "embed.model=BAAI/bge-m3" in found[0]
