"""A run that cannot fit is refused before it embeds, and `doctor` says beforehand what it needs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import DEMO, ROOT, SAMPLE, Run, clean_environment
from control_group import limited_group

from job.backends.embedding.shape import ModelShape
from job.backends.milvus import Milvus
from job.backends.milvus.index_kinds import Index
from job.backends.milvus.messages import RowBatch
from job.config import load
from job.context import Job
from job.pipeline import STAGES
from job.prediction import needs, replaced_by, shortages, size_for
from job.runtime.needs import GIB, Need

MINILM = ModelShape(384, 22_700_000)
ENTER_AND_RUN = "{enter}import sys; from job.cli import main; sys.exit(main({words!r}))"


def job_of(*settings: str) -> Job:
    return Job(load(DEMO, [f"input.path={SAMPLE}", *settings]))


def test_a_disk_that_is_too_small_is_named_before_anything_is_embedded(job: Run, small_disk: Path) -> None:
    run = small_disk / "run"
    words = ("run", DEMO, f"input.path={SAMPLE}", f"run_dir={run}")
    said = job(*words)
    assert said.returncode == 2
    assert re.search(
        rf"disk: this run writes about \d+ MB, and [23] MB are free on the disk of '{run}': make room, or set run_dir",
        said.stderr,
    )
    assert not (run / "embeddings").exists()
    assert "--force" in said.stderr and "Traceback" not in said.stderr
    forced = job("run", "--force", *words[1:])
    # it went on until the disk was full
    assert forced.returncode == 75
    assert (run / "embeddings").exists()


@pytest.mark.slow
def test_memory_that_does_not_suffice_is_named_with_what_to_change(job: Run, tmp_path: Path) -> None:
    words = ["run", str(DEMO), f"input.path={SAMPLE}", f"run_dir={tmp_path / 'run'}"]
    with limited_group(700 * 2**20) as enter:
        code = ENTER_AND_RUN.format(enter=enter, words=words)
        said = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=clean_environment(), capture_output=True, text=True
        )
    assert said.returncode == 2, said.stderr
    assert re.search(
        r"memory: stage \w+ needs about \d\.\d GiB \(49\d headlines x 384 dimensions, 50 neighb", said.stderr
    )
    assert "in this control group (a container or a batch job): " in said.stderr
    assert job(*words).returncode == 0


def test_what_is_done_already_is_not_counted(job: Run, copy: Path) -> None:
    words = [str(DEMO), f"run_dir={copy}"]
    with limited_group(700 * 2**20) as enter:
        code = ENTER_AND_RUN.format(enter=enter, words=["run", *words])
        said = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=clean_environment(), capture_output=True, text=True
        )
    assert said.returncode == 0, said.stderr


def test_needs_grow_with_the_headlines_and_each_stage_says_what_to_change() -> None:
    job = job_of()
    small, large = (needs(job, STAGES, size_for(job, MINILM, n, n, 60.0 * n)) for n in (10_000, 1_000_000))
    assert small.keys() == {stage.name for stage in STAGES} - {"ids"}
    for name, need in large.items():
        assert 0 < small[name].memory <= need.memory < 64 * GIB, name
        assert 0 < small[name].disk < need.disk, name
        assert need.remedy, name
        assert name == "embed" or small[name].loops + small[name].products < need.loops + need.products, name


def test_settings_change_what_is_needed() -> None:
    def found(*settings: str) -> dict[str, float]:
        job = job_of(*settings)
        return {
            name: need.memory for name, need in needs(job, STAGES, size_for(job, MINILM, 10**6, 10**6, 6e7)).items()
        }

    plain = found()
    assert found("neighbors.k=200")["neighbors"] > plain["neighbors"] + GIB
    assert found("store.uri=http://localhost:19530")["store"] < plain["store"]
    assert "merge" not in found("cluster.recipe=null")
    of_vectors = found("cluster.recipe=null", "cluster.input=vectors")
    of_graph = found("cluster.recipe=null")
    assert (
        of_vectors["cluster"] > of_graph["cluster"] and found("cluster.recipe=topics")["cluster"] > of_graph["cluster"]
    )


def test_doctor_lists_every_stage_and_leaves_nothing(job: Run, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = job("doctor", DEMO, f"input.path={SAMPLE}", f"run_dir={run}")
    assert said.returncode == 0, said.stderr
    assert "minilm" in said.stdout and "Milvus Lite" in said.stdout and "GPU        " in said.stdout
    assert "input      502 rows, 49" in said.stdout
    lines = [line.split()[1] for line in said.stdout.splitlines() if line.startswith("plan ")]
    assert lines == ["seconds", *(stage.name for stage in STAGES if stage.name != "ids"), "in"]
    assert "verdict    this run fits" in said.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_doctor_says_what_will_not_fit(job: Run, small_disk: Path) -> None:
    said = job("doctor", DEMO, f"input.path={SAMPLE}", f"run_dir={small_disk / 'run'}")
    assert said.returncode == 0
    assert re.search(r"verdict    disk: this run writes about \d+ MB, and 3 MB are free", said.stdout)


def test_doctor_goes_on_where_the_input_is_missing(job: Run) -> None:
    said = job("doctor", DEMO, "input.path=nowhere.csv")
    assert said.returncode == 0
    assert "plan       input.path = 'nowhere.csv': no such file" in said.stdout


@pytest.mark.parametrize("settings", [(), ("cluster.recipe=topics",), ("cluster.recipe=null", "cluster.input=vectors")])
def test_what_cluster_says_to_change_lowers_its_need(settings: tuple[str, ...]) -> None:
    def need(*words: str) -> Need:
        job = job_of(*settings, *words)
        return needs(job, STAGES, size_for(job, MINILM, 10**6, 10**6, 6e7))["cluster"]

    plain = need()
    kept, instead = plain.remedy.removeprefix("set ").split(", or lower ")
    assert instead.split(" and ") == ["neighbors.k", "project.n_neighbors"]
    lower = need("neighbors.k=20", "project.n_neighbors=15")
    assert lower.memory < plain.memory
    if settings:
        assert need("cluster.recipe=null", kept).memory < plain.memory


def test_what_ids_says_to_change_fits_where_the_ids_come_from(tmp_path: Path) -> None:
    def remedy(*words: str) -> str:
        job = job_of(*words)
        return needs(job, STAGES, size_for(job, MINILM, 1_000, 1_000, 6e4))["ids"].remedy

    assert remedy(f"cluster.previous={tmp_path}") == "set cluster.previous=null"
    assert "store.filter" in remedy("store.scope=collection") and "previous" not in remedy("store.scope=collection")


def test_files_that_a_run_replaces_make_room_for_its_own_except_the_largest_and_vectors(
    copy: Path, small_disk: Path
) -> None:
    again = Job(load(DEMO, [f"input.path={SAMPLE}", f"run_dir={copy}"]))
    names = [name for stage in STAGES if stage.name != "embed" for name in stage.files(again)]
    sizes = [(copy / name).stat().st_size for name in names if (copy / name).is_file()]
    assert replaced_by(again, STAGES) == sum(sizes) - max(sizes) > 0
    assert replaced_by(job_of(f"run_dir={copy / 'new'}"), STAGES) == 0
    size = size_for(again, MINILM, 502, 496, 3e4)
    found = needs(again, STAGES, size)
    added = sum(need.disk for need in found.values()) + max(need.scratch for need in found.values())
    free = shutil.disk_usage(small_disk).free
    on_disk = job_of(f"run_dir={small_disk / 'run'}")
    (short,) = shortages(on_disk, found, size, 1.0)
    assert "MB more than the files that it replaces, and" in short
    assert shortages(on_disk, found, size, added - free) == []


def test_doctor_takes_dimensions_rows_and_index_of_a_collection_that_is_clustered_as_a_whole(
    job: Run, tmp_path: Path
) -> None:
    """No model is looked for, and the server need not show whether it builds GPU indexes."""
    milvus = Milvus(str(tmp_path / "own.db"), None, "news_data")
    milvus.prepare(24)
    milvus.upsert(RowBatch(np.arange(1, 501), np.eye(500, 24, dtype=np.float32), ["text"] * 500, []))
    milvus.build_index(Index("FLAT", "IP", {}, ""))
    milvus.close()
    said = job("doctor", ROOT / "configs" / "collection.yaml", f"store.uri={tmp_path / 'own.db'}", "embed.model=none")
    assert said.returncode == 0, said.stderr
    assert "collection 'news_data': 500 rows x 24 dimensions, index FLAT/IP" in said.stdout
    assert "model      none is needed" in said.stdout and "GPU indexes" not in said.stdout
    assert "24 dimensions, k = 50" in said.stdout
    assert [line.split()[1] for line in said.stdout.splitlines() if line.startswith("memory ")][2] == "500"
