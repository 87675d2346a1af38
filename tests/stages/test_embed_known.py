"""Headlines that were embedded before keep their vectors: in the same folder, and from another run's."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, SAMPLE, Run

from job.runtime.files import read_sealed, write_sealed
from job.runtime.kept_vectors import BEFORE, IDS, keep_vectors
from job.runtime.rundir import RunDir
from job.stages.embed_known import KnownVectors, look_up

DEMO = ROOT / "configs" / "demo.yaml"


def write_part(path: Path, start: int, stop: int) -> Path:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([rows[0], *rows[1 + start : 1 + stop]])
    return path


class Embedder:
    """Runs the first two stages on a part of the sample."""

    def __init__(self, job: Run, model: Path, base: Path) -> None:
        self._job, self._model, self._base = job, model, base
        self.said = ""

    def __call__(self, folder: Path, start: int, stop: int, *more: str) -> dict[str, Any]:
        """Embed the sample's rows from `start` to `stop`; returns what the stage says of its work."""
        self.part(folder, start, stop, *more)
        stats: dict[str, Any] = json.loads((folder / "markers" / "embed.json").read_text())["stats"]
        return stats

    def part(self, folder: Path, start: int, stop: int, *more: str) -> None:
        """As one of several ranks, whose share may not be all."""
        path = write_part(self._base / f"{start}-{stop}.csv", start, stop)
        settings = ("embed.precision=fp32", "embed.shard_rows=40", f"embed.model={self._model}")
        self.said = ""
        for stage in ("ingest", "embed"):
            done = self._job("stage", stage, DEMO, f"run_dir={folder}", f"input.path={path}", *settings, *more)
            assert done.returncode == 0, done.stderr
            self.said += done.stderr


@pytest.fixture
def embed(job_here: Run, tiny_m3: Path, tmp_path: Path) -> Embedder:
    return Embedder(job_here, tiny_m3, tmp_path)


def vectors(folder: Path) -> dict[int, Any]:
    ids = pq.read_table(folder / "headlines.parquet")["id"].to_pylist()
    arrays = [np.load(path) for path in sorted((folder / "embeddings").glob("[0-9]*.npy"))]
    return dict(zip(ids, np.concatenate(arrays), strict=True))


def test_a_folder_whose_input_grew_embeds_only_what_is_new(embed: Embedder, tmp_path: Path) -> None:
    folder, fresh = tmp_path / "run", tmp_path / "fresh"
    assert "reused" not in embed(folder, 0, 100)
    before = vectors(folder)
    stats = embed(folder, 20, 130)
    after = vectors(folder)
    kept = before.keys() & after.keys()
    assert stats["reused"] == len(kept) and stats["rows"] == len(after) - len(kept)
    assert 70 <= len(kept) <= 80
    assert all((after[id] == before[id]).all() for id in kept)
    embed(fresh, 20, 130)
    expected = vectors(fresh)
    np.testing.assert_allclose(np.stack([after[id] for id in expected]), np.stack(list(expected.values())), atol=1e-6)
    assert not list(folder.glob(f"{BEFORE}*"))


def test_a_run_takes_the_vectors_of_the_one_that_it_is_told(embed: Embedder, tmp_path: Path) -> None:
    monday, tuesday = tmp_path / "monday", tmp_path / "tuesday"
    embed(monday, 0, 60)
    before = vectors(monday)
    stats = embed(tuesday, 30, 90, f"embed.reuse={monday}")
    kept = before.keys() & vectors(tuesday).keys()
    assert stats["reused"] == len(kept) >= 25
    assert all((vectors(tuesday)[id] == before[id]).all() for id in kept)


def test_ids_that_stay_name_a_run_with_vectors_too(embed: Embedder, tmp_path: Path) -> None:
    monday, tuesday = tmp_path / "monday", tmp_path / "tuesday"
    embed(monday, 0, 60)
    assert embed(tuesday, 30, 90, f"cluster.previous={monday}")["reused"] >= 25


@pytest.mark.slow
def test_vectors_that_cannot_be_used_are_made_and_the_reason_is_said(embed: Embedder, tmp_path: Path) -> None:
    monday = tmp_path / "monday"
    embed(monday, 0, 60)
    reuse = f"embed.reuse={monday}"

    def warned(name: str, *more: str) -> str:
        stats = embed(tmp_path / name, 30, 90, reuse, *more)
        assert "reused" not in stats
        reason = next(text for text in stats["fallbacks"] if "embed.reuse" in text)
        assert reason in " ".join(embed.said.split("embed: 1")[0].split()), "it is said before the work"
        return str(reason)

    assert "another model, precision or length of texts made them" in warned("longer", "embed.max_length=20")
    marker = monday / "markers" / "embed.json"
    whole = marker.read_bytes()
    shard = monday / "embeddings" / "00000.npy"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert f"'{shard}' is damaged" in warned("damaged")
    shard.write_bytes(content)
    marker.unlink()
    assert "no finished run with vectors" in warned("unfinished")
    old = json.loads(whole)
    del old["stats"]["settings_digest"], old["xxh3"]
    marker.write_text(json.dumps(old))
    assert "an older version made them" in warned("older")
    shutil.rmtree(monday)
    assert "no finished run with vectors" in warned("gone")


@pytest.mark.slow
def test_lexical_weights_are_never_left_out(embed: Embedder, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    embed(folder, 0, 60, "embed.sparse=true")
    assert "reused" not in embed(folder, 30, 90, "embed.sparse=true")
    keep = RunDir(folder)
    assert not keep.file(BEFORE).exists()
    assert len(list((folder / "sparse").glob("[0-9]*.npy"))) == len(list((folder / "embeddings").glob("[0-9]*.npy")))


def test_what_is_kept_is_the_last_finished_work(embed: Embedder, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    embed(folder, 0, 60)
    run, ids = RunDir(folder), np.load(folder / IDS)
    keep_vectors(run, json.loads((folder / "markers" / "embed.json").read_text())["stats"]["headlines_digest"])
    assert not run.file(BEFORE).exists(), "the same headlines need nothing kept"
    keep_vectors(run, "other headlines")
    kept = RunDir(run.file(BEFORE))
    marker = kept.marker("embed")
    assert marker is not None and not kept.problems(marker)
    # shards are replaced one by one, and what is kept stays; half-made work is not kept in its place
    (folder / "embeddings" / "00000.npy").unlink()
    keep_vectors(run, "others again")
    assert not kept.problems(marker)
    np.testing.assert_array_equal(np.load(kept.file(IDS)), ids)


@pytest.mark.slow
def test_a_file_system_without_hard_links_keeps_nothing(
    embed: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    embed(folder, 0, 60)

    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    keep_vectors(RunDir(folder), "other headlines")
    assert not list(folder.glob(f"{BEFORE}*"))


def test_vectors_are_found_by_id_in_any_shard_and_source() -> None:
    draw = np.random.default_rng(0)
    ids = np.sort(draw.choice(2**60, 50, replace=False))
    values = draw.standard_normal((50, 3)).astype(np.float16)
    first = KnownVectors(ids[:30], [values[:7], values[7:29], values[29:30]])
    second = KnownVectors(ids[10:], [values[10:]])
    asked = draw.permutation(np.concatenate([ids, [1, 2**62]]))
    missing, found = look_up([first, second], asked)
    assert sorted(asked[missing]) == [1, 2**62]
    assert found is not None
    there = np.setdiff1d(np.arange(len(asked)), missing)
    np.testing.assert_array_equal(found[there], values[np.searchsorted(ids, asked[there])])
    missing, found = look_up([second], np.array([5, 6]))
    assert found is None and list(missing) == [0, 1]
    assert look_up([], ids)[1] is None


def test_a_run_of_an_older_version_gets_its_ids_and_is_not_embedded_again(embed: Embedder, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    embed(folder, 0, 60)
    before = vectors(folder)
    marker = folder / "markers" / "embed.json"
    values = read_sealed(marker)
    del values["files"][IDS], values["stats"]["headlines_digest"], values["stats"]["settings_digest"]
    write_sealed(marker, values)
    (folder / IDS).unlink()
    assert embed(folder, 0, 60)["rows"] == 0
    stats = embed(folder, 10, 70)
    assert stats["reused"] == len(before.keys() & vectors(folder).keys())


@pytest.mark.slow
def test_all_ranks_are_counted(embed: Embedder, tmp_path: Path) -> None:
    monday, tuesday = tmp_path / "monday", tmp_path / "tuesday"
    embed(monday, 0, 130)
    for rank in (0, 1):
        words = (f"embed.reuse={monday}", f"ranks.rank={rank}", "ranks.world=2")
        embed.part(tuesday, 0, 130, *words)
    stats = json.loads((tuesday / "markers" / "embed.json").read_text())["stats"]
    assert stats["reused"] == len(vectors(monday))


@pytest.mark.slow
def test_a_home_folder_is_found_and_a_folder_that_is_none_is_said(
    job_here: Run, embed: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(tmp_path / "monday", 0, 60)
    monkeypatch.setenv("HOME", str(tmp_path))
    for setting in ("embed.reuse=~/monday", "cluster.previous=~/monday"):
        assert embed(tmp_path / setting.partition(".")[0], 30, 90, setting)["reused"] >= 25
    done = job_here("validate", DEMO, f"run_dir={tmp_path / 'new'}", "embed.reuse=~no-such-user/monday")
    assert done.returncode == 0
    assert "embed.reuse = '~no-such-user/monday' is no run folder" in done.stdout
