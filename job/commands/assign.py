"""`assign`: new headlines to the stories of a finished run, by the run's own measure and limit."""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from job.commands.command import Command
from job.runtime.errors import BadInput
from job.runtime.log import logger

if TYPE_CHECKING:
    import pyarrow as pa

    from job.backends.stories.assign import Assigned, Texts
    from job.context import Job
    from job.data import Floats, Headlines, Ids, Ints, Vectors

_SECTIONS = ("input", "embed", "store")
# of the section `store`: where Milvus is now. The rest says what the run wrote there
_PLACE = ("uri", "token", "db_name", "tls_ca", "collection", "patience")


class AssignCommand(Command):
    name = "assign"
    help = "assign new headlines to the stories of a finished run; writes a table and changes nothing else"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
        parser.add_argument("new", type=Path, metavar="NEW", help="a file of headlines, with the columns of the run's")
        parser.add_argument(
            "settings",
            nargs="*",
            default=[],
            metavar="key=value",
            help=f"over the run's: device, or of {', '.join(_SECTIONS)}",
        )
        parser.add_argument(
            "--output",
            type=Path,
            metavar="FILE",
            help=".csv, .jsonl or .parquet; default: NEW_assigned.csv, of a glob assigned.csv, here",
        )

    def run(self, arguments: argparse.Namespace) -> Iterator[str]:
        return assign(arguments.run_dir, arguments.new, arguments.output, arguments.settings)


def assign(run_dir: Path, new: Path, output: Path | None = None, words: list[str] | None = None) -> Iterator[str]:
    """Write the table of `new` with the story of each headline to `output`; yields lines to print.

    Rows that cannot be used go to `OUTPUT_rejects.csv`. The run folder is only read.

    Raises:
        BadInput: no finished run, a setting that is not the input's or the model's, an input that `run` refuses too, or
            an output in whose place something else lies.
        Resumable: the run was changed meanwhile.
    """
    for word in words or []:
        key, equals, _ = word.partition("=")
        key = key.strip()
        if not equals:
            raise BadInput(f"'{word}': assign takes one NEW, a file or a glob in quotes, such as 'news/*.csv'")
        section, _, name = key.partition(".")
        if key != "device" and (section not in _SECTIONS or not name):
            raise BadInput(
                f"'{word}': assign takes device, and settings of {', '.join(_SECTIONS)}; it clusters nothing"
            )
        if key == "input.path":
            raise BadInput(f"'{word}': assign reads NEW, here '{new}': give the file or glob there")
        if section == "store" and name not in _PLACE:
            raise BadInput(f"'{word}': assign takes of store only where Milvus is: {', '.join(_PLACE)}")
    from job.backends.tables.answer_rows import AnswerRows, writer_of
    from job.commands.finished import check_texts, open_finished, unchanged, written
    from job.runtime.files import atomic
    from job.runtime.rundir import RunDir

    output = output or Path(f"{_stem(new)}_assigned.csv" if new.exists() else "assigned.csv")
    writer = writer_of(output, "--output")
    if not output.parent.is_dir():
        raise BadInput(f"--output '{output}': there is no folder '{output.parent}': make it first")
    beside = output.with_name(f"{output.stem}_rejects.csv")
    _check_places(new, output, beside)
    job = open_finished(run_dir, words)
    check_texts(job)
    with tempfile.TemporaryDirectory(prefix="headline-clusters-") as name, unchanged(job):
        scratch = RunDir(Path(name))
        headlines, files = _read(job, new, scratch, words or [])
        found = _find(job, headlines, scratch)
        with written(job, output) as temporary:
            rows = AnswerRows(scratch.path, _columns(job, headlines, found), files)
            with writer(temporary, rows.schema) as file:
                rows.writers.append(file)
                count = rows.write()
        rejects = scratch.file("rejects.csv").read_bytes()
    beside.unlink(missing_ok=True)
    rejected = rejects.count(b"\n") - 1
    if rejected:
        with atomic(beside) as temporary:
            temporary.write_bytes(rejects)
    assigned = int((found.labels >= 0).sum())
    yield (
        f"{output}: {count:,} rows, {len(headlines):,} headlines: {assigned:,} assigned, "
        f"{len(headlines) - assigned:,} new"
    )
    if rejected:
        yield f"{beside}: {rejected:,} rows that could not be used"


def _check_places(new: Path, output: Path, beside: Path) -> None:
    """Refuse an output that would overwrite the input or files of a run, and rejects that would overwrite other files.

    Raises:
        BadInput: what to choose otherwise.
    """
    from job.backends.tables.files import find_files
    from job.runtime import ownership

    other = "give another --output"
    there = [place for place in (output, beside) if place.exists()]
    inputs = find_files([str(new)], log=False) if there else {}
    for place in there:
        if any(place.samefile(file) for file in inputs):
            raise BadInput(f"--output '{output}': '{place}' is part of the input: {other}")
    run = ownership.around(output)
    if run is not None:
        raise BadInput(f"--output '{output}' lies in the run folder '{run}', whose files it may overwrite: {other}")
    if beside in there and not _is_list_of_rejects(beside):
        raise BadInput(
            f"--output '{output}': rows that cannot be used would go to '{beside}', which is there and is no list of "
            f"rejects: {other}"
        )


def _is_list_of_rejects(path: Path) -> bool:
    from job.stages.ingest import REJECT_COLUMNS

    head = ",".join(REJECT_COLUMNS).encode() + b"\n"
    with path.open("rb") as file:
        return file.read(len(head)) == head


def _stem(path: Path) -> str:
    from job.backends.tables.packed import SUFFIXES

    inner = path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
    return inner.stem or path.name


def _read(job: "Job", new: Path, scratch: Any, words: list[str]) -> "tuple[Headlines, list[str]]":
    """The headlines of the files, read as the run read its own, and the files; ingest's files go to `scratch`."""
    from job.data import Headlines
    from job.stages.ingest import ingest

    stats = job.run.stats("ingest")
    given = {word.partition("=")[0].strip() for word in words}
    # the columns that the run found, so that the texts are made as its own
    kept = [key for key in ("description", "time") if key in stats and f"input.{key}" not in given]
    if job.config.input.time == "auto" and stats.get("time") is not None and "time" in kept:
        # found again by its name, or not: then the times are unknown
        kept.remove("time")
    used: dict[str, Any] = {key: stats[key] for key in kept}
    config = job.config.input.model_copy(update=used | {"path": str(new)})
    read = ingest(config, scratch, job.run.path, stats.get("day_first"))
    return Headlines.load(scratch.file("headlines.parquet")), read.stats["files"]


@dataclass
class _Found:
    """Of each headline the `labels` and `nearest` stories int32, -1 = none; `similarity` (NaN = none), `distance` and
    `probability` float32."""

    labels: "Ints"
    nearest: "Ints"
    similarity: "Floats"
    distance: "Floats"
    probability: "Floats"


def _find(job: "Job", headlines: "Headlines", scratch: Any) -> _Found:
    """The story of each headline; one that the run has itself keeps the run's answer."""
    n = len(headlines)
    none = np.full(n, np.nan, np.float32)
    no_story = np.full(n, -1, np.int32)
    found = _Found(no_story, no_story.copy(), none, none.copy(), np.zeros(n, np.float32))
    place = np.minimum(np.searchsorted(job.headlines.ids, headlines.ids), len(job.headlines) - 1)
    known = job.headlines.ids[place] == headlines.ids
    if known.any():
        logger.info("assign: %s of %s headlines are in the run already", f"{int(known.sum()):,}", f"{n:,}")
        _keep(job, np.flatnonzero(known), place[known], found)
    if not known.all():
        _find_new(job, headlines, np.flatnonzero(~known), found, scratch)
    return found


def _keep(job: "Job", known: "Ids", rows: "Ids", found: _Found) -> None:
    """The run's own answer for the headlines `known`, which are its `rows`."""
    clusters, labels = job.clusters, job.assigned[rows]
    distance = _nearest_distance(clusters.labels, labels, job.graph.indices[rows], job.graph.distances[rows])
    voted = (clusters.labels[rows] < 0) & (labels >= 0)
    found.labels[known], found.distance[known] = labels, distance
    found.nearest[known] = np.where(labels >= 0, labels, clusters.nearest[rows])
    found.probability[known] = np.where(voted, _by_vote(job, distance), clusters.probabilities[rows])


def _find_new(job: "Job", headlines: "Headlines", new: "Ids", found: _Found, scratch: Any) -> None:
    from job.backends.knn.brute_force import nearest_to
    from job.backends.knn.vote import nearest_cluster_of_new
    from job.backends.stories.assign import Texts
    from job.backends.tables.take import take_rows
    from job.commands.assign_vectors import embed_new, run_vectors

    texts = take_rows(headlines.table.select(["text"]), new)["text"].to_pylist()
    vectors, lexical = embed_new(job, texts, scratch)
    dense = run_vectors(job)
    settings = job.config.cluster
    indices, distances = nearest_to(vectors, dense, job.graph.columns)
    k = settings.k or job.graph.columns
    labels = np.full(len(new), -1, np.int32)
    if job.merges:
        some = Texts(vectors, texts, headlines.times[new], lexical)
        by_stories = _by_stories(job, some, dense, indices)
        labels, found.nearest[new] = by_stories.labels, by_stories.nearest
        found.similarity[new], found.probability[new] = by_stories.similarity, by_stories.probability
    if not job.merges or settings.noise == "nearest":
        voted, near = nearest_cluster_of_new(job.clusters.labels, indices[:, :k], distances[:, :k])
        given = (labels < 0) & (near < settings.noise_distance)
        found.nearest[new] = np.where(given | (not job.merges), voted, found.nearest[new])
        labels = np.where(given, voted, labels).astype(np.int32)
        # that to the most similar story, which is not near enough
        found.similarity[new[given]] = np.nan
        found.probability[new[given]] = _by_vote(job, near[given])
    found.labels[new] = labels
    found.distance[new] = _nearest_distance(job.clusters.labels, labels, indices, distances)


def _by_vote(job: "Job", distance: "Floats") -> "Floats":
    """The probability of headlines that their neighbors' vote has assigned, by the distance to the nearest of them."""
    result: Floats = (1 - distance / job.config.cluster.noise_distance).astype(np.float32)
    return result


def _by_stories(job: "Job", new: "Texts", dense: "Vectors", neighbors: "Ints") -> "Assigned":
    """The stories by the measure of the stages `merge` and `stories`."""
    from job.backends.stories.assign import StoryCorpus, Texts, assign_to_stories
    from job.backends.stories.merge_tree import MergeTree, cut
    from job.stages.merge import MergeStage, background, lexical_weights, shares
    from job.stages.stories import merge_level

    if MergeStage().up_to_date(job) is None:
        raise BadInput(
            f"'{job.run.path}': its stories are not those that this version makes with these settings: `run` it again"
        )
    headlines = job.headlines
    limit = merge_level(job.run, job.config.cluster.merge_above)
    groups = cut(MergeTree.load(job.run.file("merges.npz")), limit)
    corpus = Texts(dense, headlines.column("text"), headlines.times, lexical_weights(job))
    known = StoryCorpus(corpus, shares(job), background(job))
    return assign_to_stories(new, neighbors, known, groups, job.clusters.labels, limit)


def _nearest_distance(labels: "Ints", mine: "Ints", indices: "Ints", distances: "Floats") -> "Floats":
    """To the nearest neighbor in the headline's story; of one in none, to the nearest neighbor of all."""
    own = (labels[indices] == mine[:, None]) & (indices >= 0)
    own |= (mine < 0)[:, None] & (indices >= 0)
    result = np.where(own, distances, np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(result), result, np.nan).astype(np.float32)


def _columns(job: "Job", headlines: "Headlines", found: _Found) -> "pa.Table":
    """The job's columns, one row per distinct headline of the file."""
    import pyarrow as pa

    names = np.array([topic.name for topic in job.topics] + [None], dtype=object)
    status = np.where(found.labels >= 0, "assigned", "new")
    columns = {
        "id": pa.array(headlines.ids),
        "cluster": pa.array(found.labels),
        "status": pa.array(status.tolist(), pa.string()),
        "cluster_name": pa.array(names[found.labels], pa.string()),
        "nearest_cluster": pa.array(found.nearest),
        "nearest_name": pa.array(names[found.nearest], pa.string()),
        "probability": pa.array(found.probability),
    }
    if job.merges:
        columns["similarity"] = pa.array(found.similarity, from_pandas=True)
    columns["distance"] = pa.array(found.distance, from_pandas=True)
    if job.story_ids is not None:
        columns["story_id"] = job.story_ids.columns(found.labels)["story_id"]
    return pa.table(columns)
