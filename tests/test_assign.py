"""`assign`: new headlines to the stories of a finished run, as a user has it: the command line, the sample."""

import json
import shutil
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import DEMO, SAMPLE, Run, read_csv, write_csv

from job.commands.assign import _stem, assign

# two whole runs
pytestmark = pytest.mark.slow
STORIES = ("cluster.recipe=stories", "input.time=published")


def content(folder: Path) -> dict[str, tuple[int, int]]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in files}


def halves() -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Of each story every other headline; two whole stories and the lone headlines are in the second half alone."""
    rows = read_csv(SAMPLE)
    unseen = {"lysander-bay-film-festival", "harbor-ferry-strike"}
    counted: Counter[str] = Counter()
    first, second = [], []
    for row in rows:
        counted[row["story"]] += 1
        late = row["story"] in unseen or row["story"].startswith("lone") or counted[row["story"]] % 2 == 0
        (second if late else first).append(row)
    return first, second


@pytest.fixture(scope="module")
def yesterday(job_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the recipe stories on the first half; tests only read it."""
    folder = tmp_path_factory.mktemp("assign")
    source = write_csv(folder / "first.csv", halves()[0])
    done = job_here(
        "run", DEMO, f"input.path={source}", f"run_dir={folder / 'run'}", "neighbors.backend=exact", *STORIES
    )
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def today(job: Run, yesterday: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of the second half."""
    folder = tmp_path_factory.mktemp("today")
    before = content(yesterday)
    done = job("assign", yesterday, write_csv(folder / "second.csv", halves()[1]), "--output", folder / "out.csv")
    assert done.returncode == 0, done.stderr
    assert content(yesterday) == before, "the run folder was changed"
    return folder / "out.csv"


def test_headlines_go_to_the_story_that_holds_the_others_of_theirs(yesterday: Path, today: Path) -> None:
    of_story: dict[str, Counter[str]] = defaultdict(Counter)
    for row in read_csv(yesterday / "headlines_clustered.csv"):
        if row["cluster"] != "-1":
            of_story[row["story"]][row["cluster"]] += 1
    home = {story: clusters.most_common(1)[0][0] for story, clusters in of_story.items()}
    assigned = [row for row in read_csv(today) if row["story"] in home and row["status"] == "assigned"]
    right = [row["cluster"] == home[row["story"]] for row in assigned]
    assert len(right) > 60
    assert np.mean(right) >= 0.9


def test_headlines_of_stories_never_seen_are_new(yesterday: Path, today: Path) -> None:
    seen = {row["story"] for row in read_csv(yesterday / "headlines_clustered.csv")}
    never = [row for row in read_csv(today) if row["story"] not in seen]
    assert len(never) > 50
    assert np.mean([row["status"] == "new" for row in never]) >= 0.8


def test_every_row_is_there_with_its_own_columns_and_what_was_found(yesterday: Path, today: Path) -> None:
    names = {row["cluster"]: row["name"] for row in read_csv(yesterday / "topics.csv")} | {"-1": ""}
    known = {row["id"] for row in read_csv(yesterday / "headlines_clustered.csv")}
    limit = json.loads((yesterday / "run.json").read_text())["stages"]["stories"]["merge_above"]
    found = read_csv(today)
    assert len(found) == len(halves()[1])
    for row, given in zip(found, halves()[1], strict=True):
        assert given.items() <= row.items()
        assert (row["status"] == "new") == (row["cluster"] == "-1")
        assert row["cluster_name"] == names[row["cluster"]]
        assert 0 <= float(row["probability"]) <= 1
        if row["id"] not in known:
            assert row["status"] == "new" or float(row["similarity"]) >= limit - 1e-4
            assert float(row["distance"]) > 0


def test_the_same_again_gives_the_same_bytes_and_each_headline_is_assigned_by_itself(
    job_here: Run, yesterday: Path, today: Path, tmp_path: Path
) -> None:
    again = job_here(
        "assign", yesterday, write_csv(tmp_path / "second.csv", halves()[1]), "--output", tmp_path / "again.csv"
    )
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again.csv").read_bytes() == today.read_bytes()
    few = halves()[1][::-7]
    said = job_here("assign", yesterday, write_csv(tmp_path / "few.csv", few), "--output", tmp_path / "few.parquet")
    assert said.returncode == 0, said.stderr
    everything = {row["id"]: row["cluster"] for row in read_csv(today)}
    for row in pq.read_table(tmp_path / "few.parquet").to_pylist():
        assert str(row["cluster"]) == everything[str(row["id"])]


def test_the_table_of_a_glob_has_a_name_without_a_star(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text(f"title\nFerry strike in Selmouth goes on on day {name}\n")
    list(assign(demo, Path("one.csv")))
    list(assign(demo, Path("[ot]*[eo].csv")))
    assert {path.name for path in tmp_path.iterdir()} == {"one.csv", "two.csv", "one_assigned.csv", "assigned.csv"}
    assert len(read_csv(tmp_path / "assigned.csv")) == 2


def test_headlines_of_the_run_itself_keep_its_answer(job_here: Run, yesterday: Path, tmp_path: Path) -> None:
    done = job_here("assign", yesterday, yesterday.parent / "first.csv", "--output", tmp_path / "own.csv")
    assert done.returncode == 0, done.stderr
    before = {row["id"]: row["cluster"] for row in read_csv(yesterday / "headlines_clustered.csv")}
    assert {row["id"]: row["cluster"] for row in read_csv(tmp_path / "own.csv")} == before


def test_what_the_columns_say_of_noise_and_of_votes(job_here: Run, copy: Path, tmp_path: Path) -> None:
    """A run with noise of its own, of which some is assigned by votes; half of the table's headlines are the run's."""
    rows = read_csv(SAMPLE)
    words = ("recut", copy, "smallest_story=8", "noise=nearest", "noise_distance=1.15")
    assert job_here(*words).returncode == 0
    # another title is another headline, in nearly the same place
    others = [row | {"title": row["title"] + " again"} for row in rows]
    source = write_csv(tmp_path / "new.csv", rows + others)
    done = job_here("assign", copy, source, "--output", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    limit = json.loads((copy / "run.json").read_text())["stages"]["stories"]["merge_above"]
    answer = {row["id"]: row for row in read_csv(copy / "headlines_clustered.csv")}
    nearest = dict(zip(sorted(map(int, answer)), np.load(copy / "neighbors.npz")["distances"][:, 0], strict=True))
    kinds: Counter[tuple[str, str]] = Counter()
    for row in read_csv(tmp_path / "out.csv"):
        known = answer.get(row["id"])
        by_vote = row["status"] == "assigned" and (known["cluster"] == "-1" if known else row["similarity"] == "")
        kinds["known" if known else "other", "vote" if by_vote else row["status"]] += 1
        distance, probability = float(row["distance"]), float(row["probability"])
        if row["status"] == "assigned":
            assert (row["nearest_cluster"], row["nearest_name"]) == (row["cluster"], row["cluster_name"])
        elif known:
            assert row["nearest_cluster"] == known["nearest_cluster"]
        else:
            assert (row["nearest_cluster"] == "-1") == (row["nearest_name"] == "") == (row["similarity"] == "")
        if known:
            assert (row["cluster"], row["similarity"]) == (known["assigned"], "")
            if row["status"] == "new":
                assert distance == pytest.approx(nearest[int(row["id"])], abs=1e-6)
        elif row["status"] == "assigned" and not by_vote:
            assert float(row["similarity"]) >= limit - 1e-4
        if by_vote:
            assert distance < 1.15
            assert probability == pytest.approx(1 - distance / 1.15, abs=1e-4)
    assert min(kinds[whose, what] for whose in ("known", "other") for what in ("new", "assigned", "vote")) > 5, kinds


def test_a_few_headlines_about_one_event_are_one_story_and_another_one_joins_it(job_here: Run, tmp_path: Path) -> None:
    titles = (
        "Senate passes the budget bill after long debate",
        "Budget bill passes Senate after night of debate",
        "After long debate Senate passes budget bill",
        "Senate approves budget bill",
        "Budget bill approved by the Senate in late vote",
    )
    source = write_csv(tmp_path / "few.csv", [{"title": title} for title in titles])
    words = (*STORIES, "input.time=null", "neighbors.backend=exact", f"input.path={source}")
    done = job_here("run", DEMO, *words, f"run_dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    assert [row["cluster"] for row in read_csv(tmp_path / "run" / "headlines_clustered.csv")] == ["0"] * 5
    new = write_csv(
        tmp_path / "new.csv", [{"title": title} for title in ("Senators approve the budget bill", "Hiccups")]
    )
    done = job_here("assign", tmp_path / "run", new, "--output", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    assert [row["status"] for row in read_csv(tmp_path / "out.csv")] == ["assigned", "new"]


def test_without_the_runs_vectors_those_in_milvus_give_the_same_table(
    job_here: Run, copy: Path, tmp_path: Path
) -> None:
    assert job_here("recut", copy, "merge_above=null").returncode == 0
    plain = Path(shutil.copytree(copy, tmp_path / "plain"))
    new = tmp_path / "new.jsonl"
    titles = ["Ferry crews in Selmouth strike again over pay", "A cure for hiccups"]
    new.write_text("".join(json.dumps({"title": title}) + "\n" for title in titles))
    assert job_here("assign", plain, new, "--output", tmp_path / "one.csv").returncode == 0
    shutil.rmtree(copy / "embeddings")
    done = job_here("assign", copy, new, "--output", tmp_path / "two.csv")
    assert done.returncode == 0, done.stderr
    assert "reading them from Milvus" in done.stderr
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    found = read_csv(tmp_path / "one.csv")
    assert [row["status"] for row in found] == ["assigned", "new"]
    assert "erry" in found[0]["cluster_name"]
    assert "similarity" not in found[0], "clusters that are not merged have a distance only"
    assert float(found[0]["distance"]) < 1.1 <= float(found[1]["distance"])
    shutil.rmtree(copy / "milvus.db")
    gone = job_here("assign", copy, new, "--output", tmp_path / "three.csv")
    assert gone.returncode == 2
    assert "has no vectors, and they cannot be read from Milvus" in gone.stderr
    assert not (tmp_path / "three.csv").exists()


def test_rows_that_cannot_be_used_are_rejects_beside_the_table(job_here: Run, demo: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    new.write_text("title,description\n,no title\nFerry strike in Selmouth goes on,\n")
    done = job_here("assign", demo, new, "--output", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    assert "1 rows that could not be used" in done.stdout
    assert [row["reason"] for row in read_csv(tmp_path / "out_rejects.csv")] == ["title is blank"]
    assert len(read_csv(tmp_path / "out.csv")) == 1
    new.write_text("title,description\nFerry strike in Selmouth goes on,\n")
    assert job_here("assign", demo, new, "--output", tmp_path / "out.csv").returncode == 0
    assert not (tmp_path / "out_rejects.csv").exists(), "left from the run before"


def test_nobody_elses_file_is_overwritten_or_removed(job_here: Run, demo: Path, copy: Path, tmp_path: Path) -> None:
    new, theirs = tmp_path / "new.csv", tmp_path / "out_rejects.csv"
    new.write_text("title\nFerry strike in Selmouth goes on\n")
    theirs.write_text("title\nmine\n")
    glob = job_here("assign", demo, f"{tmp_path}/n*.csv", "--output", new)
    assert glob.returncode == 2
    assert "is part of the input" in glob.stderr
    assert new.read_text() == "title\nFerry strike in Selmouth goes on\n"
    for output, said in (
        (new, "is part of the input"),
        (copy / "headlines_clustered.csv", f"lies in the run folder '{copy}'"),
        (copy / "embeddings" / "out.csv", f"lies in the run folder '{copy}'"),
        (tmp_path / "out.csv", f"would go to '{theirs}', which is there and is no list of rejects"),
    ):
        before = content(tmp_path)
        done = job_here("assign", demo, new, "--output", output)
        assert done.returncode == 2
        assert said in done.stderr
        assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["new.csv", "--output", "out.txt"], "--output 'out.txt': the name must end in .csv, .jsonl, .parquet"),
        (["new.csv", "more.csv"], "'more.csv': assign takes one NEW, a file or a glob in quotes"),
        (["new.csv", "cluster.merge_above=0.5"], "'cluster.merge_above=0.5': assign takes device"),
        (["new.csv", "input.path=other.csv"], "'input.path=other.csv': assign reads NEW, here '"),
        (["new.csv", "store.scope=collection"], "assign takes of store only where Milvus is: uri, token, db_name"),
        (["new.csv", "store={scope: collection}"], "assign takes device, and settings of input, embed, store"),
        (["nowhere.csv"], "input.path = 'nowhere.csv': no such file"),
        (["new.csv", "input.title=headline"], "input.title = 'headline': no such column"),
        (["new.csv", "--output", "nowhere/out.csv"], "there is no folder 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    job_here: Run, demo: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    new = tmp_path / "new.csv"
    new.write_text("title\nFerry strike\n")
    words = [str(new) if word == "new.csv" else word for word in words]
    refused = job_here("assign", demo, *words)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["new.csv"]


def test_another_model_and_an_unfinished_run_are_refused(
    job_here: Run, demo: Path, copy: Path, tmp_path: Path, tiny_m3: Path
) -> None:
    new = tmp_path / "new.csv"
    new.write_text("title\nFerry strike\n")
    other = job_here("assign", demo, new, f"embed.model={tiny_m3}", "--output", tmp_path / "out.csv")
    assert other.returncode == 2
    assert "it is not the model that" in other.stderr
    (copy / "topics.parquet").unlink()
    refused = job_here("assign", copy, new, "--output", tmp_path / "out.csv")
    assert refused.returncode == 2
    assert "stage describe has to be done again, 'topics.parquet' is missing; `run` it to the end" in refused.stderr
    assert "is no run folder" in job_here("assign", tmp_path, new).stderr


def test_dates_that_alone_do_not_tell_the_day_are_read_as_the_runs(job_here: Run, tmp_path: Path) -> None:
    def file(name: str, rows: list[dict[str, str]], form: str) -> Path:
        days = [{**row, "published": f"{datetime.fromisoformat(row['published']):{form}}"} for row in rows]
        return write_csv(tmp_path / name, days)

    first, second = halves()
    late = {**first[0], "title": "A headline of the 25th", "published": "2031-03-25T12:00Z"}
    source, run = file("first.csv", [*first, late], "%d/%m/%Y %H:%M"), tmp_path / "run"
    done = job_here("run", DEMO, f"input.path={source}", f"run_dir={run}", "neighbors.backend=exact", *STORIES)
    assert done.returncode == 0, done.stderr
    found = {}
    for form in ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%Y-%m-%d %H:%M"):
        done = job_here("assign", run, file("new.csv", second, form), "--output", tmp_path / "out.csv")
        assert done.returncode == 0, done.stderr
        found[form] = [(row["cluster"], row["similarity"]) for row in read_csv(tmp_path / "out.csv")]
        assert ("read as in the run's own input, the day first" in done.stderr) == ("/" in form)
    day_first, month_first, iso = found.values()
    assert day_first == iso != month_first


@pytest.mark.parametrize("name", ["b.csv", "b.csv.gz", "b.parquet.zst", "b.zip", "b"])
def test_the_table_is_named_after_the_input(name: str) -> None:
    assert _stem(Path("a.x") / name) == "b"
