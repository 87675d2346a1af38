"""The GPU benchmark itself, on the CPU: its texts, its parts, its script and the packages that are packed for it."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, clean_environment
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import normalize

from job.backends.knn.exact import ExactSearch
from job.backends.stories import candidates, greedy, linkage, pair_queue
from job.runtime.device import cuda_devices

sys.path.insert(0, str(ROOT / "scripts" / "bench"))

from gpu_parts.embedding import waits
from gpu_parts.measure import Bench, has_rapids
from gpu_parts.model import tokenizer
from gpu_parts.neighbors import recall
from gpu_parts.texts import clustered, headlines, lengths, pieces

# tests/gpu is a package called gpu too
_spec = importlib.util.spec_from_file_location("gpu_bench", ROOT / "scripts" / "bench" / "gpu.py")
assert _spec and _spec.loader
gpu = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gpu)


def results(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_texts_have_40_tokens_on_average_with_the_checkpoints_tokenizer() -> None:
    assert abs(lengths(200_000, np.random.default_rng(0)).mean() - 40) < 1
    titles, descriptions = headlines(3_000, 4_000)
    assert len(titles) == len(descriptions) == 3_000
    texts = [f"{title}\n{more}" if more else title for title, more in zip(titles, descriptions, strict=True)]
    counts = [len(encoding.ids) for encoding in tokenizer("tiny").encode_batch(texts)]
    assert 34 < np.mean(counts) < 48
    assert min(counts) >= 3
    assert headlines(3_000, 4_000) == (titles, descriptions)


def test_headlines_merge_with_as_few_similarities_as_real_ones() -> None:
    """Two to three for each pair of neighbors; of headlines that share words by chance only, more and more."""
    rows, k = 3_000, 15
    texts = [f"{title} {more or ''}" for title, more in zip(*headlines(rows, 250_002), strict=True)]
    words = HashingVectorizer(n_features=4_096, alternate_sign=False, norm=None).transform(texts)
    vectors = words @ np.random.default_rng(0).normal(size=(4_096, 256))
    vectors = normalize(vectors - vectors.mean(axis=0)).astype(np.float32)
    each = np.arange(rows, dtype=np.int32)
    pairs = candidates.candidate_pairs(each, ExactSearch(vectors, "cpu").find(np.arange(rows), k), 1)
    clusters, means = linkage._clusters(vectors, each, None, True, 1)
    norm = float(clusters["norm"].max())
    quantum = linkage._quantum(norm**2)
    similarities = greedy.similarities(clusters, means, quantum, *pairs, 1)
    computed = greedy.merge_all(clusters, pair_queue.loose_pairs(*pairs, similarities), means, quantum, norm)[3]
    assert computed < 4 * len(similarities)


def test_a_vocabulary_has_as_many_pieces_as_bge_m3s_and_none_twice() -> None:
    names = pieces(250_002)
    assert len(names) == len(set(names)) == 250_002


def test_waits_are_the_gaps_between_kernels() -> None:
    busy, gaps = waits([(0.0, 2.0), (1.0, 3.0), (7.0, 8.0), (8.5, 9.0)])
    assert busy == 4.5
    assert gaps == [(4.0, 3.0), (0.5, 8.0)]


def test_recall_counts_missing_neighbors(tmp_path: Path) -> None:
    bench = Bench("knn", "cpu", 300, 8, 5, "tiny", tmp_path, tmp_path)
    vectors = clustered(300, 8, "cpu")
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    near = np.argsort(distances, axis=1).astype(np.int32)
    assert recall(bench, vectors, near[:, :5]) == 1.0
    assert recall(bench, vectors, np.where(np.arange(5) == 4, near[:, 200:201], near[:, :5])) == pytest.approx(0.8)


def test_neighbors_and_graph_are_measured_part_by_part(tmp_path: Path) -> None:
    for part in ("peaks", "knn", "graph"):
        words = [part, "--quick", "--device", "cpu", "--rows", "800", "--out", str(tmp_path), "--scratch"]
        gpu.main([*words, str(tmp_path / "scratch")])
    found = results(tmp_path)
    assert not [line for line in found if "failed" in line]
    assert {line["part"] for line in found} == {"peaks", "knn", "graph"}
    ours = next(line for line in found if line["name"] == "ours: recall")
    assert ours["recall"] == 1.0
    assert gpu.ratios(tmp_path)["knn: ours: recall: recall"] == 1.0


def test_a_failure_is_a_result_and_the_benchmark_goes_on(tmp_path: Path) -> None:
    bench = Bench("knn", "cpu", 10, 8, 5, "tiny", tmp_path, tmp_path)
    assert bench.attempt("broken", lambda: 1 / 0) is None
    bench.add("next", 0.5)
    assert "ZeroDivisionError" in str(results(tmp_path)[0]["failed"])
    assert results(tmp_path)[1]["name"] == "next"


def test_cuml_that_comes_with_a_later_call_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call on a lent machine has no room for it. `cuda` is only said: nothing here asks the device."""
    bench = Bench("knn", "cuda", 10, 8, 5, "tiny", tmp_path / "out", tmp_path / "scratch")
    assert not has_rapids(bench)
    site = tmp_path / "site"
    for name in ("cupy", "cuml", "cuml/cluster", "cuml/manifold"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    assert has_rapids(bench)
    (site / "cuml" / "cluster" / "__init__.py").write_text("raise OSError('libcuml.so: cannot open')")
    assert has_rapids(bench), "it is tried once"
    (tmp_path / "scratch" / "cuml.txt").unlink()
    assert not has_rapids(bench)
    assert [line["left_out"] for line in results(bench.out)] == [
        "it is not installed",
        "it cannot be loaded: OSError: libcuml.so: cannot open",
    ]


def test_without_a_device_one_line_says_so(tmp_path: Path) -> None:
    if cuda_devices()[0]:
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(SystemExit, match=r"torch cannot use the device|no usable CUDA device"):
        gpu.main(["graph", "--out", str(tmp_path)])
    assert not (tmp_path / "results.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", ["embed", "job", "texts", "million", "store", "stories", "brute", "cluster", "umap", "kernels"]
)
def test_every_other_part_runs_on_a_cpu(part: str, tmp_path: Path) -> None:
    words = [sys.executable, "-W", "ignore", "scripts/bench/gpu.py", part, "--quick", "--device", "cpu"]
    done = subprocess.run(
        [*words, "--rows", "100", "--out", str(tmp_path), "--scratch", str(tmp_path / "scratch")],
        cwd=ROOT,
        env=clean_environment() | {"TQDM_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = results(tmp_path)
    assert not [line for line in found if "failed" in line]
    assert len(found) >= 2
    assert json.loads(done.stdout.splitlines()[-1]) == gpu.ratios(tmp_path)


def test_the_script_goes_on_after_a_failed_part_and_keeps_the_results(tmp_path: Path) -> None:
    environment = clean_environment() | {
        "QUICK": "1",
        "DEVICE": "cpu",
        "ROWS": "300",
        "PYTHON": sys.executable,
        "OUT": str(tmp_path / "out"),
        "SITE": str(tmp_path / "site"),
        "SCRATCH": str(tmp_path / "scratch"),
    }
    done = subprocess.run(
        ["bash", "scripts/bench/gpu.sh", "nothing", "peaks"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert "no part 'nothing'" in done.stdout
    assert "peaks: exit code 0" in done.stdout
    assert results(tmp_path / "out")[-1]["name"] == "peak rates of this machine"
    assert (tmp_path / "out" / "log.txt").read_text()
    out_of_time = subprocess.run(
        ["bash", "scripts/bench/gpu.sh", "peaks"],
        cwd=ROOT,
        env=environment | {"LIMIT": "5", "PYTHON": "true"},
        capture_output=True,
        text=True,
    )
    assert "no time left" in out_of_time.stdout


def gpu_sh(tmp_path: Path, *parts: str, **environment: str) -> str:
    """What `gpu.sh` prints, on a CPU, with its folders in `tmp_path`."""
    folders = {name: str(tmp_path / name.lower()) for name in ("OUT", "SITE", "SCRATCH")}
    settings = {"QUICK": "1", "DEVICE": "cpu", "ROWS": "300", "PYTHON": sys.executable} | folders | environment
    command = ["bash", "scripts/bench/gpu.sh", *parts]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment() | settings, capture_output=True, text=True)
    return done.stdout


@pytest.mark.slow
def test_a_part_that_ended_well_is_not_done_again_unless_it_is_named(tmp_path: Path) -> None:
    assert "nothing: exit code 2" in gpu_sh(tmp_path, "nothing")
    done = tmp_path / "scratch" / "done"
    assert not list(done.iterdir())
    gpu_sh(tmp_path, "peaks")
    assert [file.name for file in done.iterdir()] == ["peaks"]
    parts = "tests embed job rapids knn graph umap million brute stories cluster store".split()
    for name in parts:
        (done / name).touch()
    said = gpu_sh(tmp_path, PYTHON="true")
    assert said.count("done before on this machine") == len(parts)
    assert "profile: exit code" in said
    assert "peaks: exit code 0" in gpu_sh(tmp_path, "peaks")
    assert "embed: done before" not in gpu_sh(tmp_path, FRESH="1", LIMIT="5", PYTHON="true")


def test_a_machine_without_the_jobs_packages_is_told_what_to_bring_before_anything_starts(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    bare.chmod(0o755)
    said = gpu_sh(tmp_path, "knn", "job", PYTHON=str(bare))
    assert "lacks pydantic pymilvus FlagEmbedding hdbscan: carry .whl to this machine" in said
    assert "====" not in said


def test_the_groups_name_parts_that_there_are(tmp_path: Path) -> None:
    for group, most in (("first", 400), ("second", 330)):
        said = gpu_sh(tmp_path, group, PYTHON="true", LIMIT=str(most))
        assert "no part" not in said
        assert said.count("exit code 0") >= 3


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_job_that_was_stopped_or_failed_goes_on_after_the_last_finished_stage(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_parts import whole

    from job.stages.cluster import ClusterStage

    bench = Bench("million", "cpu", 120, 32, 15, "tiny", tmp_path / "out", tmp_path / "scratch")

    def ended(self: ClusterStage, job: object) -> None:
        raise error

    with monkeypatch.context() as context:
        context.setattr(ClusterStage, "run", ended)
        if error is KeyboardInterrupt:
            with pytest.raises(KeyboardInterrupt):
                whole.run(bench)
        else:
            whole.run(bench)
    before = [line["name"] for line in results(bench.out)]
    assert "embed" in before and "merge" not in before
    whole.run(bench)
    after = results(bench.out)[len(before) :]
    names = [line["name"] for line in after]
    assert "embed" not in names
    assert {"cluster", "merge", "stories", "themes", "project", "report"} <= set(names)
    assert after[-1]["name"] == "all except store, from texts to files"
    assert after[-1]["resumed"] is True


def test_every_packed_package_has_a_version() -> None:
    script = (ROOT / "scripts" / "bench" / "gpu_pack.sh").read_text()
    match = re.search(r"packages=\((.*?)\)", script, re.DOTALL)
    assert match
    pinned = {line.split("==")[0].lower() for line in (ROOT / "scripts" / "constraints.txt").read_text().splitlines()}
    assert {name.lower() for name in match[1].split()} <= pinned
    assert os.access(ROOT / "scripts" / "bench" / "gpu.sh", os.X_OK)
