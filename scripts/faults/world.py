"""The small run that everything is tried on: 70 headlines, a tiny model, shards of 16 headlines."""

import csv
from dataclasses import dataclass
from pathlib import Path

from job.runtime.files import digest_file

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "job" / "sample" / "headlines.csv"
STORIES = 7
# of the answer: what a reader gets, and what later commands read
ANSWER = (
    "headlines_clustered.parquet",
    "headlines_clustered.csv",
    "topics.csv",
    "themes.csv",
    "map.html",
    "rejects.csv",
)
SETTINGS = """
run_dir: {folder}
device: cpu
input: {{path: {input}, time: auto, source: auto}}
embed: {{model: {model}, precision: fp32, shard_rows: 16, sparse: true, token_budget: 512}}
store: {{patience: 20}}
neighbors: {{k: 20, batch: 7, shard_rows: 16}}
cluster: {{recipe: stories, min_samples: 2, min_cluster_size: 3}}
project: {{n_neighbors: 10}}
"""


@dataclass(frozen=True)
class World:
    """A folder of its own for runs: `run` is their run folder, `scratch` for what they print; `settings`: over the
    configuration's."""

    base: Path
    settings: tuple[str, ...] = ()

    @property
    def run(self) -> Path:
        return self.base / "run"

    @property
    def scratch(self) -> Path:
        return self.base / "scratch"

    @property
    def input(self) -> Path:
        return self.base / "headlines.csv"

    @property
    def config(self) -> Path:
        return self.base / "config.yaml"

    def words(self, *settings: str) -> list[str]:
        return ["run", str(self.config), *self.settings, *settings]


def make(base: Path, model: Path, *settings: str) -> World:
    """Write the input and the configuration of a world."""
    base.mkdir(parents=True, exist_ok=True)
    world = World(base, settings)
    write_input(world.input, headlines())
    world.config.write_text(SETTINGS.format(folder=world.run, input=world.input, model=model), encoding="utf-8")
    return world


def headlines() -> list[dict[str, str]]:
    """Headlines of a few of the sample's stories, with copies, rejects and a row without a time."""
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["story"] for row in rows})[:STORIES]
    chosen = [row for row in rows if row["story"] in names][:64]
    copies = [{**row, "source": "Copy Desk"} for row in chosen[::16]]
    return [
        *chosen,
        *copies,
        {**chosen[0], "title": " "},
        {**chosen[1], "title": "A headline by itself", "published": ""},
    ]


def write_input(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def digests(folder: Path, names: tuple[str, ...] = ANSWER) -> dict[str, str]:
    """The digests of these files, by name; those that are missing are left out."""
    return {name: digest_file(folder / name) for name in names if (folder / name).is_file()}
