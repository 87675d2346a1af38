"""For every field of the configuration another value, and the stages that it may cause to be done again."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from faults import world
from job.config import Config
from job.pipeline import NAMES

ALL = NAMES
FROM_EMBED = NAMES[1:]
FROM_STORE = NAMES[2:]
FROM_NEIGHBORS = NAMES[3:]
FROM_CLUSTER = NAMES[4:]
FROM_MERGE = NAMES[5:]
FROM_STORIES = NAMES[6:]
# the same headlines under another key: what has every row of the input
ROWS = ("ingest", "describe", "report")
SEARCH = ("store", "neighbors")
_OTHER = "store.collection=other"
_NO_SERVER = "describe.llm.endpoint=http://127.0.0.1:9/v1"
_LLM = (_NO_SERVER, "describe.llm.model=none")


@dataclass(frozen=True)
class Row:
    """`words`: the setting, and what goes with it. `stages`: that may be done again, and `report` with any of them: the
    pipeline takes its marker back first. `before`: settings of the run before, where the field says something only
    together with them. `why_not`: why it is not tried."""

    words: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    why_not: str = ""


def _row(word: str, stages: tuple[str, ...] = (), *more: str, before: tuple[str, ...] = ()) -> Row:
    return Row((*before, word, *more), stages, before)


def table(base: Path) -> dict[str, Row]:
    """The rows by field. `base` holds the second model `model2` and the same input as `same.csv`."""
    return {
        "run_dir": Row(why_not="another folder is another run"),
        "device": _row("device=auto", ("cluster", "project")),
        "seed": _row("seed=7", ("project", "report")),
        **_input_rows(base),
        **_embed_rows(base),
        **_store_rows(base),
        **_neighbors_rows(),
        **_cluster_rows(),
        "stories.words": _row("stories.words=0.2", FROM_MERGE),
        "stories.time": _row("stories.time=0.2", FROM_MERGE),
        "stories.hours": _row("stories.hours=10", FROM_MERGE),
        "stories.themes": _row("stories.themes=2", ("themes", "describe", "report")),
        "stories.topics": _row("stories.topics=4", ("themes", "describe", "report")),
        "project.dimensions": _row("project.dimensions=3", ("project", "report")),
        "project.n_neighbors": _row("project.n_neighbors=8", ("project", "report")),
        "project.min_dist": _row("project.min_dist=0.4", ("project", "report")),
        "report.title": _row("report.title=Another title", ("report",)),
        "report.map_mb": _row("report.map_mb=6", ("report",)),
        "ranks.rank": _row("ranks.rank=0", (), "ranks.world=1"),
        "ranks.world": _row("ranks.world=1", (), "ranks.rank=0"),
        "ranks.wait": _row("ranks.wait=7"),
        **_llm_rows(),
    }


def _input_rows(base: Path) -> dict[str, Row]:
    return {
        "input.path": _row(f"input.path={base / 'same.csv'}", ROWS),
        "input.format": _row("input.format=csv", ROWS),
        "input.title": _row("input.title=story", ALL),
        "input.description": _row("input.description=null", ALL),
        "input.time": _row("input.time=null", ("ingest", *FROM_MERGE)),
        "input.time_format": _row("input.time_format=%Y-%m-%dT%H:%M:%S%z", ROWS),
        "input.source": _row("input.source=language", ROWS),
        "input.max_line_mb": _row("input.max_line_mb=3", ROWS),
        "input.encoding": _row("input.encoding=latin-1", ALL),
        "input.deduplicate": _row("input.deduplicate=false", ALL),
    }


def _embed_rows(base: Path) -> dict[str, Row]:
    return {
        "embed.model": _row(f"embed.model={base / 'model2'}", FROM_EMBED),
        "embed.max_length": _row("embed.max_length=12", FROM_EMBED),
        "embed.precision": _row("embed.precision=auto", FROM_EMBED),
        "embed.token_budget": _row("embed.token_budget=256"),
        "embed.pooling": _row("embed.pooling=mean", FROM_EMBED),
        "embed.shard_rows": _row("embed.shard_rows=32", FROM_EMBED),
        "embed.sparse": _row("embed.sparse=false", FROM_EMBED, _OTHER),
        # the vectors are there already
        "embed.reuse": _row(f"embed.reuse={base / 'run'}"),
    }


def _store_rows(base: Path) -> dict[str, Row]:
    # from a run of its own headlines: a collection's stories keep ids that they had before, as no new run can
    whole = "store.scope=collection"
    return {
        "store.uri": _row(f"store.uri={base / 'run' / 'second.db'}", SEARCH),
        "store.token": _row("store.token=a:b"),
        "store.db_name": Row(why_not="Milvus Lite has one database"),
        "store.tls_ca": Row(why_not="Milvus Lite has no connection to protect"),
        "store.collection": _row(_OTHER, SEARCH),
        "store.scope": _row(whole, FROM_STORE),
        "store.filter": _row("store.filter=id > 1000000000000000000", FROM_STORE, whole),
        "store.id_field": _row("store.id_field=key", SEARCH, _OTHER),
        "store.vector_field": _row("store.vector_field=dense", SEARCH, _OTHER),
        "store.text_field": _row("store.text_field=words", SEARCH, _OTHER),
        "store.sparse_field": _row("store.sparse_field=lexical", SEARCH, _OTHER),
        "store.extra_fields": _row("store.extra_fields=[language, source]", SEARCH, _OTHER),
        "store.index": _row("store.index=HNSW", SEARCH),
        "store.nlist": _row("store.nlist=4", FROM_STORE, before=("store.index=IVF_FLAT",)),
        "store.cache_dataset_on_device": _row("store.cache_dataset_on_device=true", SEARCH),
        "store.metric": _row("store.metric=L2", SEARCH),
        "store.parallel": _row("store.parallel=1"),
        "store.patience": _row("store.patience=1"),
    }


def _neighbors_rows() -> dict[str, Row]:
    only = ("neighbors",)
    return {
        "neighbors.k": _row("neighbors.k=17", FROM_NEIGHBORS),
        "neighbors.backend": _row("neighbors.backend=exact", FROM_NEIGHBORS),
        "neighbors.batch": _row("neighbors.batch=5"),
        "neighbors.parallel": _row("neighbors.parallel=1"),
        "neighbors.nprobe": _row(
            "neighbors.nprobe=4", FROM_NEIGHBORS, before=("store.index=IVF_FLAT", "store.nlist=4")
        ),
        "neighbors.min_recall": _row("neighbors.min_recall=0.5", only),
        "neighbors.recall_sample": _row("neighbors.recall_sample=9", only),
        "neighbors.audit": _row("neighbors.audit=full", only),
        "neighbors.shard_rows": _row("neighbors.shard_rows=24", only),
    }


def _cluster_rows() -> dict[str, Row]:
    # beside the stories they change only HDBSCAN's own clusters
    plain = ("cluster.recipe=null",)
    cut = ("cluster", "describe", "report")
    after = ("themes", "describe", "report")
    vectors = ("cluster.recipe=null", "cluster.input=vectors")
    return {
        "cluster.recipe": _row("cluster.recipe=topics", FROM_NEIGHBORS),
        "cluster.input": _row("cluster.input=vectors", cut, before=plain),
        "cluster.k": _row("cluster.k=9", FROM_CLUSTER),
        "cluster.reduce_to": _row("cluster.reduce_to=3", FROM_NEIGHBORS, before=vectors),
        "cluster.mode": _row("cluster.mode=tutorial", cut, before=plain),
        "cluster.min_samples": _row("cluster.min_samples=4", cut, before=plain),
        "cluster.min_cluster_size": _row("cluster.min_cluster_size=5", cut, before=plain),
        "cluster.selection": _row("cluster.selection=leaf", cut, before=plain),
        "cluster.epsilon": _row("cluster.epsilon=0.3", cut, before=plain),
        "cluster.max_cluster_size": _row("cluster.max_cluster_size=30", cut, before=plain),
        "cluster.allow_single_cluster": _row("cluster.allow_single_cluster=true", cut, before=plain),
        "cluster.components": _row("cluster.components=joined", cut, before=plain),
        "cluster.noise": _row("cluster.noise=nearest", cut, before=plain),
        "cluster.noise_distance": _row("cluster.noise_distance=0.5", cut, before=(*plain, "cluster.noise=nearest")),
        "cluster.merge_above": _row("cluster.merge_above=0.1", ("stories", *after)),
        "cluster.smallest_story": _row("cluster.smallest_story=5", ("stories", *after)),
        "cluster.previous": Row(why_not="tests/stages/test_ids.py has a run before"),
    }


def _llm_rows() -> dict[str, Row]:
    # nobody answers there: the stories keep their titles, and the next run asks again
    return {
        "describe.llm.endpoint": _row(_LLM[0], ("describe",), _LLM[1]),
        "describe.llm.model": _row("describe.llm.model=other", ("describe",), before=_LLM),
        "describe.llm.largest": _row("describe.llm.largest=2", ("describe",), before=_LLM),
        "describe.llm.batch": _row("describe.llm.batch=2", ("describe",), before=_LLM),
        "describe.llm.budget_tokens": _row("describe.llm.budget_tokens=1", ("describe",), before=_LLM),
        "describe.llm.timeout": _row("describe.llm.timeout=5", ("describe",), before=_LLM),
        "describe.llm.parallel": _row("describe.llm.parallel=1", ("describe",), before=_LLM),
    }


def fields(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    """The names of all fields of the configuration, as they are given on the command line."""
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        section = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        yield from fields(section, f"{prefix}{name}.") if section is not None else (f"{prefix}{name}",)


def mutated(rows: list[dict[str, str]], what: str) -> list[dict[str, str]]:
    """The input with one change: of a column, or of the rows."""
    changes = {
        "title": {"title": "Another title for one headline"},
        "description": {"description": "Another description."},
        "time": {"published": "2031-03-01T00:00:00Z"},
        "no-time": {"published": ""},
        "source": {"source": "Another Paper"},
        "extra": {"language": "xx"},
    }
    if what in changes:
        return [{**row, **changes[what]} if number == 5 else row for number, row in enumerate(rows)]
    return {
        "added": [*rows, {**rows[0], "title": "One headline more"}],
        "copied": [*rows, rows[7]],
        "removed": [*rows[:9], *rows[10:]],
        "reordered": rows[::-1],
        "column": [{**row, "mood": str(number)} for number, row in enumerate(rows)],
    }[what]


# what may be done again where an input's column or rows change, without and with `store.extra_fields`
INPUT_CHANGES = {
    "title": (ALL, ALL),
    "description": (ALL, ALL),
    "time": (("ingest", *FROM_MERGE), ("ingest", "store", "neighbors", *FROM_MERGE)),
    "no-time": (("ingest", *FROM_MERGE), ("ingest", "store", "neighbors", *FROM_MERGE)),
    "source": (ROWS, (*ROWS, *SEARCH)),
    "extra": (ROWS, (*ROWS, *SEARCH)),
    "added": (ALL, ALL),
    "copied": (ROWS, (*ROWS, *SEARCH)),
    "removed": (ALL, ALL),
    "reordered": (ROWS, (*ROWS, *SEARCH)),
    "column": (ROWS, (*ROWS, *SEARCH)),
}
EXTRA = "store.extra_fields=[language, source]"


def prepare(base: Path) -> None:
    """Write what the rows of the table name."""
    world.write_input(base / "same.csv", world.headlines())
