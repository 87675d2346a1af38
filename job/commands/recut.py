"""`recut`: other granularities from the tree of a finished run, without making the graph again."""

import argparse
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from job.commands.command import Command
from job.commands.finished import check_files, check_texts
from job.config import Config, resolve
from job.config.sections import CUT_KEYS, NOISE_KEYS, STORY_KEYS
from job.context import Job
from job.data import Clusters, Ints
from job.pipeline import NAMES, STAGES, carry_out, in_run_folder, note_settings
from job.runtime import ownership
from job.runtime.errors import BadInput
from job.runtime.rundir import RunDir
from job.stages.cluster import load_linkage, tree_key
from job.stages.ids import begins_with
from job.stages.merge import MergeStage
from job.stages.neighbors import MADE_OF, made_of
from job.stages.stories import merge_level, story_labels

# recut carries out the stage `cluster` and those after it; stages that do not depend on the cut are up to date
_FIRST = NAMES.index("cluster")
_KEYS = (*CUT_KEYS, *NOISE_KEYS, *STORY_KEYS)


class RecutCommand(Command):
    name = "recut"
    help = "cut a finished run's cluster tree again: another granularity in seconds"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run_dir", type=Path)
        parser.add_argument(
            "settings",
            nargs="+",
            metavar="key=value",
            help=f"{', '.join(_KEYS)}; several values, as in min_cluster_size=5,10,20: only say what each would give",
        )

    def run(self, arguments: argparse.Namespace) -> Iterator[str]:
        return recut(arguments.run_dir, arguments.settings)


def recut(run_dir: Path, words: list[str]) -> Iterator[str]:
    """Cut with `key=value` settings of `cluster`, and write the answer again; or, where one of them has several
    values (`min_cluster_size=5,10,20`), write nothing and say what each would give. Yields lines to print.

    Raises:
        BadInput: the folder holds no finished run, or a setting does not cut.
    """
    run = RunDir(run_dir)
    values = ownership.settings(run_dir)
    for name in NAMES[:_FIRST]:
        if name != "store":
            check_files(run, name)
    _check_graph(Job(_config(values, [], run_dir), device="auto"))
    choices = [_choices(word) for word in words]
    several = [choice for choice in choices if len(choice) > 1]
    if len(several) > 1:
        raise BadInput(f"'{' '.join(words)}': give several values to one setting only")
    fixed = [choice[0] for choice in choices if len(choice) == 1]
    compared = [(word, _config(values, [*fixed, word], run_dir)) for word in several[0]] if several else []
    configs = [config for _, config in compared] or [_config(values, fixed, run_dir)]
    if any(config.cluster.merge_above is not None for config in configs):
        _check_no_cut_of_clusters(words)
    if compared:
        yield from _compare(compared)
    else:
        _write(configs[0])


def _check_no_cut_of_clusters(words: list[str]) -> None:
    for word in words:
        if word.partition("=")[0].strip().removeprefix("cluster.") in CUT_KEYS:
            raise BadInput(f"'{word}': stories are not HDBSCAN's clusters; recut them with {', '.join(STORY_KEYS)}")


def _check_graph(job: Job) -> None:
    """A run that stopped, or `stage`, may have left headlines and vectors that the graph was not made of."""
    made = job.run.stats("neighbors").get(MADE_OF)
    if made is not None and made != made_of(job):
        raise BadInput(f"'{job.run.path}': its graph is of other headlines or vectors: `run` it to the end first")


def _choices(word: str) -> list[str]:
    key, equals, text = word.partition("=")
    key = key.strip().removeprefix("cluster.")
    if not equals or key not in _KEYS:
        raise BadInput(f"'{word}': recut takes {', '.join(_KEYS)}; for other settings use `run`")
    return [f"cluster.{key}={value}" for value in text.split(",")]


def _config(values: dict[str, Any], words: list[str], run_dir: Path) -> Config:
    return resolve(copy.deepcopy(values), words, f"{run_dir}/config.json")


def _compare(configs: list[tuple[str, Config]]) -> Iterator[str]:
    # merge_above=null among other values asks for HDBSCAN's clusters
    of_kind = {}
    for word, config in configs:
        job = Job(config, device="auto")
        if job.merges not in of_kind:
            of_kind[job.merges] = job, _merged_labels(job, word) if job.merges else _cut_labels(job)
    yield f"{'':<40} {'clusters':>9} {'noise':>7} {'largest':>9}"
    for word, config in configs:
        job, labels_of = of_kind[config.cluster.merge_above is not None]
        labels = _seen(job, config, labels_of(config))
        sizes = np.bincount(labels[labels >= 0])
        noise = float((labels < 0).mean())
        yield f"{word:<40} {len(sizes):>9,} {noise:>7.1%} {int(sizes.max(initial=0)):>9,}"


def _seen(job: Job, config: Config, labels: Ints) -> Ints:
    """The labels with noise assigned as the settings say: what a reader would see."""
    from job.backends.knn.vote import nearest_cluster

    if config.cluster.assign_within is None:
        return labels
    graph = job.near if job.merges else job.near_to_cluster
    nearest, distance = nearest_cluster(labels, graph.indices, graph.distances)
    persistence = np.zeros(int(labels.max(initial=-1)) + 1, np.float32)
    clusters = Clusters(labels, np.zeros(len(labels), np.float32), persistence, nearest, distance)
    return clusters.assigned(config.cluster.assign_within)


def _cut_labels(job: Job) -> Callable[[Config], Ints]:
    from job.backends.graph_hdbscan import cut

    kept = load_linkage(job.run, tree_key(job))
    if kept is None:
        raise BadInput(f"'{job.run.path}' has no tree (cuML gives none): give one value to cluster again with it")
    return lambda config: cut(kept[0], **config.cluster.cut_settings()).labels


def _merged_labels(job: Job, word: str) -> Callable[[Config], Ints]:
    from job.backends.stories.merge_tree import MergeTree

    if word.partition("=")[0].removeprefix("cluster.") not in STORY_KEYS:
        raise BadInput(f"'{word}': where clusters are merged, several values go only with {', '.join(STORY_KEYS)}")
    if MergeStage().up_to_date(job) is None:
        raise BadInput(
            f"'{job.run.path}': stage merge was done by an older version, or with other settings: `run` it once more"
        )
    tree = MergeTree.load(job.run.file("merges.npz"))
    return lambda config: story_labels(
        tree, merge_level(job.run, config.cluster.merge_above), config.cluster.smallest_story
    )


def _write(config: Config) -> None:
    job = Job(config, device="auto")
    check_texts(job)
    if config.keeps_ids:
        # refused before anything is cut where the stories that these go on from are gone
        begins_with(job)

    def work() -> None:
        # a kill before the first marker is gone leaves the settings that the answer was made with
        carry_out(STAGES[_FIRST:], job)
        note_settings(job)

    in_run_folder(job, work)
