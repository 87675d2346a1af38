"""`recut` of HDBSCAN's clusters, and the cluster stage's settings, as a user has them: the command line, the sample."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEMO, Run, read_csv

SAME = ("headlines_clustered.csv", "headlines_clustered.parquet", "topics.csv", "map.html")


HDBSCAN = ("cluster.recipe=null", "cluster.min_samples=1", "cluster.min_cluster_size=4")


@pytest.fixture(scope="module")
def demo(job_here: Run, demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's run without its recipe."""
    folder = Path(shutil.copytree(demo, tmp_path_factory.mktemp("hdbscan") / "run"))
    done = job_here("run", DEMO, f"run_dir={folder}", *HDBSCAN)
    assert done.returncode == 0, done.stderr
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    return read_csv(folder / "headlines_clustered.csv")


def stage(folder: Path, name: str = "cluster") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())["stages"][name]
    return found


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_relative_to(folder / "milvus.db"))
    return {str(file): (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def test_a_recut_is_a_fresh_run_with_that_value_byte_for_byte(job_here: Run, demo: Path, copy: Path) -> None:
    there = job_here("recut", copy, "min_cluster_size=8")
    assert there.returncode == 0, there.stderr
    fewer = json.loads((copy / "run.json").read_text())
    assert 0 < fewer["clusters"] < json.loads((demo / "run.json").read_text())["clusters"]
    assert fewer["this_run"]["stages"] == ["cluster", "describe", "report"]
    assert fewer["config"]["cluster"]["min_cluster_size"] == 8
    assert stage(copy)["tree_reused"]
    sizes = np.unique([row["cluster"] for row in rows_of(copy) if row["cluster"] != "-1"], return_counts=True)[1]
    # of copies one is counted
    assert sizes.min() >= 8
    # and back: the demo was run with 4 from the start
    back = job_here("recut", copy, "cluster.min_cluster_size=4")
    assert back.returncode == 0, back.stderr
    for name in SAME:
        assert (copy / name).read_bytes() == (demo / name).read_bytes(), name


def test_a_run_goes_on_from_a_recut(job_here: Run, copy: Path) -> None:
    # settle the copy's own place first
    assert job_here("run", DEMO, f"run_dir={copy}", *HDBSCAN).returncode == 0
    assert job_here("recut", copy, "selection=leaf").returncode == 0
    leaf = (copy / SAME[0]).read_bytes()
    again = job_here("run", DEMO, f"run_dir={copy}", *HDBSCAN, "cluster.selection=leaf")
    assert again.stderr.count("up to date") == 8
    assert (copy / SAME[0]).read_bytes() == leaf


def test_several_values_are_a_table_and_nothing_is_written(job_here: Run, copy: Path) -> None:
    before = everything(copy)
    said = job_here("recut", copy, "min_cluster_size=3,4,30", "selection=eom")
    assert said.returncode == 0, said.stderr
    assert everything(copy) == before
    head, *lines = said.stdout.splitlines()
    assert head.split() == ["clusters", "noise", "largest"]
    found = {line.split()[0]: line.split()[1:] for line in lines}
    assert list(found) == [f"cluster.min_cluster_size={value}" for value in (3, 4, 30)]
    record = json.loads((copy / "run.json").read_text())
    clusters, noise, largest = found["cluster.min_cluster_size=4"]
    assert int(clusters) == record["clusters"]
    assert float(noise.rstrip("%")) / 100 == pytest.approx(record["noise_share"], abs=0.001)
    assert int(largest) == stage(copy)["largest"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["min_samples=2"], "'min_samples=2': recut takes min_cluster_size, selection"),
        (["neighbors.k=9"], "'neighbors.k=9': recut takes"),
        (["leaf"], "'leaf': recut takes"),
        (["min_cluster_size=1"], "cluster.min_cluster_size"),
        (["min_cluster_size=three"], "cluster.min_cluster_size"),
        (["selection=all"], "cluster.selection"),
        (
            ["min_cluster_size=3,4", "epsilon=0,1"],
            "'min_cluster_size=3,4 epsilon=0,1': give several values to one setting",
        ),
        (["min_cluster_size=3,1"], "cluster.min_cluster_size"),
    ],
)
def test_what_does_not_cut_is_refused_and_nothing_is_written(
    job_here: Run, demo: Path, words: list[str], said: str
) -> None:
    before = everything(demo)
    refused = job_here("recut", demo, *words)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert everything(demo) == before


def test_a_folder_without_a_finished_run_is_refused_with_what_to_do(job_here: Run, tmp_path: Path, copy: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        refused = job_here("recut", folder, "min_cluster_size=5")
        assert refused.returncode == 2
        assert f"'{folder}' is no run folder" in refused.stderr
    (copy / "neighbors.npz").unlink()
    refused = job_here("recut", copy, "min_cluster_size=5")
    assert refused.returncode == 2
    assert "stage neighbors has to be done again, 'neighbors.npz' is missing" in refused.stderr
    assert "`run` it to the end first" in refused.stderr


def test_the_tree_is_kept_for_what_cuts_and_made_anew_for_what_shapes(job_here: Run, copy: Path) -> None:
    tree = copy / "linkage.npz"
    assert job_here("run", DEMO, f"run_dir={copy}", *HDBSCAN).returncode == 0
    before = tree.stat().st_mtime_ns
    done = job_here("run", DEMO, f"run_dir={copy}", *HDBSCAN, "cluster.min_cluster_size=6", "cluster.noise=nearest")
    assert done.returncode == 0, done.stderr
    assert (stage(copy)["tree_reused"], tree.stat().st_mtime_ns) == (True, before)
    done = job_here("run", DEMO, f"run_dir={copy}", *HDBSCAN, "cluster.min_cluster_size=6", "cluster.min_samples=2")
    assert done.returncode == 0, done.stderr
    assert not stage(copy)["tree_reused"]
    assert tree.stat().st_mtime_ns > before


def test_noise_given_to_the_nearest_is_a_column_of_its_own(job_here: Run, demo: Path, copy: Path) -> None:
    done = job_here("recut", copy, "noise=nearest", "noise_distance=1.1")
    assert done.returncode == 0, done.stderr
    kept, given = rows_of(demo), rows_of(copy)
    assert "assigned" not in kept[0]
    assert [row["cluster"] for row in given] == [row["cluster"] for row in kept]
    for row in given:
        near = row["cluster"] != "-1" or (row["nearest_distance"] and float(row["nearest_distance"]) < 1.1)
        assert row["assigned"] == (row["nearest_cluster"] if near else "-1")
    noise = [row["assigned"] for row in given if row["cluster"] == "-1"]
    # the sample's lone headlines are near nothing
    assert 0 < sum(label != "-1" for label in noise) < len(noise)
    names = {row["cluster"]: row["cluster_name"] for row in given if row["cluster"] != "-1"}
    assert all(row["assigned_name"] == names.get(row["assigned"], "") for row in given)


def test_log_map_tables_record_and_comparison_count_the_same_noise(job_here: Run, copy: Path) -> None:
    words = ("noise=nearest", "noise_distance=1.1")
    said = job_here("recut", copy, "min_cluster_size=4,5", *words)
    done = job_here("recut", copy, *words)
    assert done.returncode == said.returncode == 0, done.stderr + said.stderr
    rows = rows_of(copy)
    noise = {row["id"] for row in rows if row["assigned"] == "-1"}
    share = len(noise) / len({row["id"] for row in rows})
    record = json.loads((copy / "run.json").read_text())
    assert record["noise_headlines"] == len(noise)
    assert record["noise_rows"] == sum(row["assigned"] == "-1" for row in rows)
    assert record["noise_share"] == stage(copy)["noise_share"] == pytest.approx(share, abs=1e-4)
    *_, last = read_csv(copy / "topics.csv")
    assert (last["cluster"], int(last["rows"]), int(last["headlines"])) == ("-1", record["noise_rows"], len(noise))
    assert f"{share:.1%} noise" in done.stderr
    assert f"{len(noise)} of {record['headlines']} headlines are noise ({share:.1%})" in done.stderr
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("cluster.min_cluster_size=4")]
    assert line.split()[2] == f"{share:.1%}"
    page = (copy / "map.html").read_text(encoding="utf-8")
    about = json.loads(page.split('id="about">')[1].split("</script>")[0])
    assert about["noise"] == len(noise)
