"""A collection that another program filled, clustered by the real command line."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import ROOT, SAMPLE, Run

# the tutorial's own calls (auto_id, one insert a row, FLAT, L2); its vectors stand-ins that keep stories together
TUTORIAL = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from job.backends.milvus.connection import _client_class; _client_class()
from pymilvus import Collection, CollectionSchema, DataType, FieldSchema, connections
connections.connect(uri=sys.argv[1])
fields = [
    FieldSchema("id", DataType.INT64, is_primary=True, auto_id=True),
    FieldSchema("embedding", DataType.FLOAT_VECTOR, dim=16),
    FieldSchema("text", DataType.VARCHAR, max_length=65_535),
]
collection = Collection("news_data", CollectionSchema(fields), consistency_level="Strong")
random = np.random.default_rng(0)
stories = random.normal(size=(12, 16))
for row in range(120):
    vector = stories[row % 12] + 0.05 * random.normal(size=16)
    scale = float(sys.argv[2])
    collection.insert({"text": f"story {row % 12} told again {row}\\nwith a summary", "embedding":
                       (scale ** row * vector / np.linalg.norm(vector)).astype(np.float32)})
collection.create_index("embedding", {"index_type": "FLAT", "metric_type": "L2"})
collection.flush()
collection.load()
"""


def filled(folder: Path, scale: float = 1.0) -> Path:
    database = folder / "theirs.db"
    subprocess.run([sys.executable, "-c", TUTORIAL, str(database), str(scale)], check=True, cwd=ROOT, timeout=120)
    return database


@pytest.mark.slow
def test_the_tutorials_own_collection_is_clustered_as_it_is(job_here: Run, tmp_path: Path) -> None:
    words = ["configs/collection.yaml", f"store.uri={filled(tmp_path)}", f"run_dir={tmp_path / 'run'}"]
    done = job_here("run", *words)
    assert done.returncode == 0, done.stderr
    answer = pq.read_table(tmp_path / "run" / "headlines_clustered.parquet").to_pylist()
    assert len(answer) == 120
    assert {row["description"] for row in answer} == {"with a summary"}
    stories: dict[int, set[str]] = {}
    for row in answer:
        stories.setdefault(row["cluster"], set()).add(" ".join(row["title"].split()[:2]))
    assert len(stories) == 12
    assert all(len(names) == 1 for names in stories.values())
    again = job_here("run", *words)
    assert "cluster: up to date" in again.stderr
    with_input = job_here("run", *words, f"input.path={SAMPLE}", "embed.model=minilm", f"run_dir={tmp_path / 'more'}")
    assert with_input.returncode == 2
    assert "it generates its own ids (auto_id)" in with_input.stderr
    wrong = job_here("run", *words, "store.text_field=body", f"run_dir={tmp_path / 'wrong'}")
    assert wrong.returncode == 2
    assert "store.text_field = 'body' does not exist" in wrong.stderr


@pytest.mark.slow
def test_vectors_of_other_lengths_need_the_exact_graph(job_here: Run, tmp_path: Path) -> None:
    words = ["configs/collection.yaml", f"store.uri={filled(tmp_path, 1.01)}", f"run_dir={tmp_path / 'run'}"]
    refused = job_here("run", *words)
    assert refused.returncode == 2
    assert "set neighbors.backend=exact" in refused.stderr
    done = job_here("run", *words, "neighbors.backend=exact")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["clusters"] == 12


@pytest.mark.slow
def test_today_is_added_to_yesterday_and_both_are_in_the_answer(job_here: Run, tmp_path: Path) -> None:
    with SAMPLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    days = {"mon": rows[:300], "tue": rows[250:]}
    words = ["configs/collection.yaml", f"store.uri={tmp_path / 'm.db'}", "embed.model=minilm"]
    words += ["store.extra_fields=[day]", "project.n_neighbors=15"]
    for day, part in days.items():
        source = tmp_path / f"{day}.csv"
        with source.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [*part[0], "day"])
            writer.writeheader()
            writer.writerows({**row, "day": day} for row in part)
        done = job_here("run", *words, f"input.path={source}", f"run_dir={tmp_path / day}")
        assert done.returncode == 0, done.stderr
    answer = pq.read_table(tmp_path / "tue" / "headlines_clustered.parquet").to_pylist()
    assert len({row["id"] for row in answer}) == 496
    assert [row["title"] for row in answer[:5]] == [row["title"] for row in rows[250:255]]
    assert {row["day"] for row in answer[len(days["tue"]) :]} == {"mon"}
    assert answer[-1]["cluster"] is not None
    filtered = job_here("run", *words, 'store.filter=day == "mon"', f"run_dir={tmp_path / 'filtered'}")
    assert filtered.returncode == 0, filtered.stderr
    assert {row["day"] for row in pq.read_table(tmp_path / "filtered" / "headlines_clustered.parquet").to_pylist()} == {
        "mon"
    }
