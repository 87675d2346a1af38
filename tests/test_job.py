"""The whole job as a user runs it: the command line, in a process of its own where that matters, real libraries, the
sample's headlines."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import DEMO, ROOT, SAMPLE, Run, clean_environment, read_csv, write_csv
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from job.backends.milvus import Milvus
from job.data import KnnGraph
from job.pipeline import NAMES

# there is no run before it
DEMO_STAGES = tuple(name for name in NAMES if name != "ids")
TUTORIAL_DATA = ROOT.parent / "shared" / "data" / "tutorial_news_2024.csv"
OUTPUTS = (
    "headlines_clustered.parquet",
    "headlines_clustered.csv",
    "topics.csv",
    "map.html",
    "run.json",
    "rejects.csv",
)
SAME = ("headlines_clustered.csv", "headlines_clustered.parquet", "topics.csv", "map.html")


def singletons(labels: list[str]) -> list[str]:
    return [f"noise {row}" if label == "-1" else label for row, label in enumerate(labels)]


def test_all_outputs_are_written(demo: Path) -> None:
    assert all((demo / name).stat().st_size for name in OUTPUTS)


def test_the_answer_has_every_input_row_in_order_with_its_own_columns(demo: Path) -> None:
    before, after = read_csv(SAMPLE), read_csv(demo / "headlines_clustered.csv")
    assert len(before) == len(after) == 502
    for old, new in zip(before, after, strict=True):
        assert old.items() <= new.items()
    assert {"id", "cluster", "probability", "x", "y", "nearest_cluster", "cluster_name"} <= after[0].keys()


def test_parquet_and_csv_say_the_same(demo: Path) -> None:
    table = pq.read_table(demo / "headlines_clustered.parquet").to_pylist()
    for row, text in zip(table, read_csv(demo / "headlines_clustered.csv"), strict=True):
        assert (str(row["id"]), str(row["cluster"]), row["title"]) == (text["id"], text["cluster"], text["title"])


def test_the_pages_are_named_after_the_input_and_say_from_when_it_is(demo: Path) -> None:
    days = sorted(row["published"][:10] for row in read_csv(SAMPLE) if row["published"])
    first, last = (time.strftime("%d %b %Y", time.strptime(day, "%Y-%m-%d")) for day in (days[0], days[-1]))
    report, page = ((demo / name).read_text(encoding="utf-8") for name in ("report.html", "map.html"))
    assert f"{first} – {last}" in report
    assert "<title>Stories in headlines.csv</title>" in report
    assert "<title>Stories in headlines.csv</title>" in page


def test_the_samples_stories_are_found(demo: Path) -> None:
    rows = read_csv(demo / "headlines_clustered.csv")
    found = singletons([row["cluster"] for row in rows])
    assert adjusted_mutual_info_score([row["story"] for row in rows], found) >= 0.9


def test_copies_of_a_text_share_id_and_cluster(demo: Path) -> None:
    by_text: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for row in read_csv(demo / "headlines_clustered.csv"):
        by_text.setdefault((row["title"], row["description"]), set()).add((row["id"], row["cluster"]))
    assert len(by_text) == 496
    assert all(len(answers) == 1 for answers in by_text.values())


def test_topics_describe_each_cluster_by_its_own_headlines(demo: Path) -> None:
    answer = read_csv(demo / "headlines_clustered.csv")
    *topics, none = read_csv(demo / "topics.csv")
    assert [int(topic["cluster"]) for topic in topics] == list(range(len(topics)))
    for topic in topics:
        rows = [row for row in answer if row["cluster"] == topic["cluster"]]
        members = {row["id"]: row for row in rows}
        assert (int(topic["rows"]), int(topic["headlines"])) == (len(rows), len(members))
        assert int(topic["sources"]) == len({row["source"] for row in rows})
        assert set(topic["exemplar_ids"].split()) <= members.keys()
        titles = " ".join(row["title"] for row in members.values()).lower()
        assert topic["keywords"]
        assert all(word.lower() in titles for word in topic["keywords"].split(", "))
    assert int(none["rows"]) == sum(row["cluster"] == "-1" for row in answer)
    assert sum(int(line["rows"]) for line in [*topics, none]) == len(answer)
    assert sum(int(line["headlines"]) for line in [*topics, none]) == len({row["id"] for row in answer})


def test_the_record_says_with_what_why_and_how_long(demo: Path) -> None:
    record = json.loads((demo / "run.json").read_text())
    assert tuple(record["stages"]) == DEMO_STAGES
    assert all(stage["seconds"] >= 0 for stage in record["stages"].values())
    assert record["recall"] == 1.0
    assert record["clusters"] == len(read_csv(demo / "topics.csv")) - 1
    assert 0 < record["noise_share"] < 0.5
    assert record["choices"]["device"]["reason"]
    assert record["versions"]["torch"]
    assert record["fallbacks"] == [f"device cpu: {record['choices']['device']['reason']}"]
    assert record["this_run"]["peak_mb"] > 100


def test_milvus_holds_exactly_the_distinct_headlines(copy: Path) -> None:
    milvus = Milvus(str(copy / "milvus.db"), None, "news_data")
    milvus.load()
    ids = milvus.ids()
    milvus.close()
    assert {str(id) for id in ids} == {row["id"] for row in read_csv(copy / "headlines_clustered.csv")}


def test_the_same_command_again_does_nothing(job_here: Run, copy: Path) -> None:
    names = [name for name in OUTPUTS if name != "run.json"]
    before = {name: (copy / name).stat().st_mtime_ns for name in names}
    again = job_here("run", DEMO, f"run_dir={copy}")
    assert again.returncode == 0
    assert again.stderr.count("up to date") == len(DEMO_STAGES)
    assert {name: (copy / name).stat().st_mtime_ns for name in names} == before


def test_a_changed_setting_redoes_only_what_depends_on_it(job_here: Run, copy: Path) -> None:
    done = job_here("run", DEMO, f"run_dir={copy}", "cluster.smallest_story=6")
    fresh = json.loads((copy / "run.json").read_text())["this_run"]["stages"]
    assert fresh == ["stories", "themes", "describe", "report"]
    assert "cluster.smallest_story: 2 -> 6" in done.stderr
    job_here("run", DEMO, f"run_dir={copy}", "cluster.smallest_story=6", "project.n_neighbors=60")
    fresh = json.loads((copy / "run.json").read_text())["this_run"]["stages"]
    assert fresh == ["neighbors", "project", "report"]


@pytest.mark.slow
def test_a_changed_input_redoes_what_it_changes_and_leaves_nothing_stale(
    job_here: Run, copy: Path, tmp_path: Path
) -> None:
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    fewer = tmp_path / "fewer.csv"
    fewer.write_text("\n".join(lines[:300]) + "\n", encoding="utf-8")
    assert job_here("run", DEMO, f"run_dir={copy}", f"input.path={fewer}").returncode == 0
    record = json.loads((copy / "run.json").read_text())
    assert record["rows"] == len(read_csv(copy / "headlines_clustered.csv")) == 299
    assert record["stages"]["store"]["rows"] == record["headlines"] < 300


def test_a_missing_output_is_written_again(job_here: Run, demo: Path, copy: Path) -> None:
    (copy / "map.html").unlink()
    assert job_here("run", DEMO, f"run_dir={copy}").returncode == 0
    assert (copy / "map.html").read_bytes() == (demo / "map.html").read_bytes()


@pytest.mark.slow
def test_kill_9_after_each_stage_and_the_same_command_gives_the_same_answer(
    demo: Path, job: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    words = [sys.executable, "-m", "job", "run", str(DEMO), f"run_dir={folder}"]
    # each time, the run that the last kill has left goes on
    for after in ("run:", "ingest:", "embed:", "store:", "neighbors:", "cluster:"):
        process = subprocess.Popen(words, cwd=ROOT, env=clean_environment(), stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        for line in process.stderr:
            if f" {after}" in line:
                break
        time.sleep(0.3)
        process.kill()
        process.wait()
        process.stderr.close()
        assert not (folder / "markers" / "report.json").exists()
    done = job("run", DEMO, f"run_dir={folder}")
    assert done.returncode == 0, done.stderr
    for name in SAME:
        assert (folder / name).read_bytes() == (demo / name).read_bytes(), name
    test_milvus_holds_exactly_the_distinct_headlines(folder)


@pytest.mark.slow
def test_a_stop_signal_ends_in_75_and_the_same_command_goes_on(demo: Path, job: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = [sys.executable, "-m", "job", "run", str(DEMO), f"run_dir={folder}"]
    process = subprocess.Popen(words, cwd=ROOT, env=clean_environment(), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if " ingest:" in line:
            break
    process.send_signal(signal.SIGTERM)
    said = process.stderr.read()
    assert process.wait() == 75
    assert "stopped by SIGTERM" in said
    assert "Traceback" not in said
    assert job("run", DEMO, f"run_dir={folder}").returncode == 0
    assert (folder / SAME[0]).read_bytes() == (demo / SAME[0]).read_bytes()


def test_a_second_run_in_the_same_folder_is_refused_with_the_holders_name(copy: Path, job: Run) -> None:
    from job.runtime.rundir import RunDir

    with RunDir(copy).locked():
        refused = job("run", DEMO, f"run_dir={copy}")
        status = job("status", copy)
    assert refused.returncode == 1
    assert "is in use by process" in refused.stderr
    assert "running: process" in status.stdout


def test_stages_run_one_by_one_and_ask_for_what_is_missing(job_here: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    early = job_here("stage", "embed", DEMO, f"run_dir={folder}")
    assert early.returncode == 2
    assert "stage ingest is not done" in early.stderr
    assert not (folder / "run.json").exists() or json.loads((folder / "run.json").read_text())["stages"] == {}
    assert job_here("stage", "ingest", DEMO, f"run_dir={folder}").returncode == 0
    status = job_here("status", folder)
    assert status.returncode == 0
    assert status.stdout.startswith("ingest     done")
    assert "embed      not done" in status.stdout


def test_a_stage_does_not_start_from_what_other_settings_left(job_here: Run, copy: Path) -> None:
    assert job_here("stage", "embed", DEMO, f"run_dir={copy}").returncode == 0
    stale = job_here("stage", "embed", DEMO, f"run_dir={copy}", "input.deduplicate=false")
    assert stale.returncode == 2
    assert "stage ingest is not done with these settings" in stale.stderr


def test_status_of_no_run_folder_is_bad_input(job: Run, tmp_path: Path) -> None:
    assert job("status", tmp_path).returncode == 2


@pytest.mark.slow
def test_doctor_takes_the_models_own_dimensions_and_the_pooling_asked_for(job: Run) -> None:
    plain = job("doctor")
    assert "minilm" in plain.stdout and "mean pooling" in plain.stdout
    without_input = job("doctor", ROOT / "configs" / "collection.yaml", "embed.model=minilm", "store.uri=none.db")
    assert "384 dimensions, k = 50" in without_input.stdout and "1,000,000" in without_input.stdout
    assert "cls pooling" in job("doctor", DEMO, "embed.pooling=cls").stdout


def test_validate_lists_the_columns(job: Run) -> None:
    said = job("validate", DEMO)
    assert said.returncode == 0
    assert "title, description, source, published, language, story" in said.stdout


def test_help_and_bad_configuration_import_nothing_heavy() -> None:
    code = (
        "import sys; from job.cli import main\n"
        "for words in (['--help'], ['run', 'configs/demo.yaml', 'a=b'], ['validate', 'configs/demo.yaml']):\n"
        "    try: main(words)\n"
        "    except SystemExit: pass\n"
        "heavy = {'torch', 'numba', 'pymilvus', 'transformers', 'FlagEmbedding', 'sklearn', 'umap', 'plotly'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert said.stdout.splitlines()[-1] == "heavy: []"


def test_a_token_is_in_no_file_and_no_log(job: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    secret = "s3cret-t0ken"
    done = job(
        "run",
        DEMO,
        f"run_dir={folder}",
        f"input.path={SAMPLE}",
        f"store.uri=http://u:{secret}@127.0.0.1:1",
        "store.patience=1",
        env=clean_environment() | {"MILVUS_TOKEN": secret},
    )
    # it may be down and come back
    assert done.returncode == 75
    assert "no Milvus server answers" in done.stderr
    assert "waited 1 s (store.patience)" in done.stderr
    assert secret not in done.stderr + done.stdout
    assert all(secret.encode() not in file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_columns_named_as_ours_are_kept_and_hostile_text_is_harmless(job_here: Run, tmp_path: Path) -> None:
    source = tmp_path / "hostile.csv"
    source.write_text(
        "title,description,cluster,x\n"
        # what ingest takes for HTML is in no text; these elements are none that feeds have
        "<svg onload=alert(1)>,</scripts><svg/onload=alert(2)>,mine,7\n"
        "<script>alert(1)</script>,x,nobody's,0\n"
        "=cmd|' /C calc'!A0,@SUM(1),theirs,-8\n"
        "=cmd|' /C calc'!A0,@SUM(1),theirs again,-8\n",
        encoding="utf-8",
    )
    folder = tmp_path / "run"
    done = job_here("run", DEMO, f"run_dir={folder}", f"input.path={source}")
    assert done.returncode == 0, done.stderr
    first, second, third = read_csv(folder / "headlines_clustered.csv")
    assert (first["input_cluster"], first["input_x"], second["input_x"]) == ("mine", "7", "-8")
    assert second["title"] == "'=cmd|' /C calc'!A0"
    assert second["description"] == "'@SUM(1)"
    assert second["id"] == third["id"]
    page = (folder / "map.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<svg onload" not in page and "<svg/onload" not in page
    assert pq.read_table(folder / "headlines.parquet", filters=[("title", "=", "<svg onload=alert(1)>")]).num_rows == 1


@pytest.mark.slow
@pytest.mark.skipif(not TUTORIAL_DATA.exists(), reason="the tutorial's headlines are not beside this checkout")
def test_the_tutorials_run_equals_hdbscan_on_its_dense_matrix(job: Run, tmp_path: Path) -> None:
    import hdbscan

    folder = tmp_path / "run"
    words = ("configs/tutorial.yaml", f"input.path={TUTORIAL_DATA}", "embed.model=minilm", f"run_dir={folder}")
    assert job("run", *words).returncode == 0
    assert len(read_csv(folder / "headlines_clustered.csv")) == 870
    graph = KnnGraph.load(folder / "neighbors.npz").first(49)
    matrix = np.full((len(graph), len(graph)), np.inf)
    np.put_along_axis(matrix, graph.indices.astype(np.int64), graph.distances.astype(np.float64) ** 2, axis=1)
    np.fill_diagonal(matrix, 0.0)
    theirs = hdbscan.HDBSCAN(metric="precomputed", min_samples=3, min_cluster_size=3).fit(matrix).labels_
    ours = pq.read_table(folder / "clusters.parquet")["cluster"].to_numpy()
    assert adjusted_rand_score(theirs, ours) == 1.0
    assert ((theirs < 0) == (ours < 0)).all()


@pytest.mark.slow
def test_the_order_of_the_input_changes_nothing(demo: Path, job_here: Run, tmp_path: Path) -> None:
    rows = read_csv(SAMPLE)
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = tmp_path / "shuffled.csv"
    write_csv(shuffled, [rows[i] for i in order])
    folder = tmp_path / "run"
    assert job_here("run", DEMO, f"run_dir={folder}", f"input.path={shuffled}").returncode == 0
    straight = read_csv(demo / "headlines_clustered.csv")
    assert [straight[i] for i in order] == read_csv(folder / "headlines_clustered.csv")


@pytest.mark.slow
def test_vectors_reduced_and_clustered_and_a_map_in_three_dimensions(job_here: Run, copy: Path) -> None:
    words = (
        "cluster.recipe=null",
        "cluster.input=vectors",
        "cluster.reduce_to=5",
        "cluster.min_cluster_size=5",
        "project.dimensions=3",
    )
    done = job_here("run", DEMO, f"run_dir={copy}", *words)
    assert done.returncode == 0, done.stderr
    rows = read_csv(copy / "headlines_clustered.csv")
    assert "z" in rows[0]
    assert json.loads((copy / "run.json").read_text())["stages"]["cluster"]["implementation"] == "hdbscan"
    assert adjusted_mutual_info_score([r["story"] for r in rows], singletons([r["cluster"] for r in rows])) > 0.7
