"""The documentation is true: its links, its commands, its examples, and the tree of the README."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SAMPLE, read_csv
from scipy.spatial import cKDTree

import job
from job.backends.stories.story_state import changes_table
from job.cli import parser
from job.config import Config, load
from job.config.sections import CUT_KEYS, NOISE_KEYS, STORY_KEYS

MAX_WORDS = 1_400
README = (ROOT / "README.md").read_text(encoding="utf-8")
FOLDERS = ("configs", "scripts", "job", "tests")
PAGES = [ROOT / "README.md", *sorted(page for folder in FOLDERS for page in (ROOT / folder).rglob("README.md"))]
TEXTS = {page: page.read_text(encoding="utf-8") for page in [*PAGES, *(ROOT / "configs").glob("*.yaml")]}
# a value for each word that stands for the reader's own
EXAMPLES = {
    "requeue CODE": "requeue 75",
    "CONFIG": "configs/demo.yaml",
    "NAME": "embed",
    "key=value": "seed=1",
    "$SLURM_ARRAY_TASK_ID": "0",
    "$SLURM_ARRAY_TASK_COUNT": "4",
}


def found(pattern: str) -> list[str]:
    """What the group of `pattern` matches in any page, without brackets for optional words and without comments."""
    matches = {match for text in TEXTS.values() for match in re.findall(pattern, text)}
    return sorted({re.sub(r"[\[\]…]", "", match).split("#")[0].strip() for match in matches})


JOB_COMMANDS = found(r"-m job ([^`\n]+)")
PYTEST_COMMANDS = found(r"-m pytest ([^`\n]+)")
SCRIPTS = found(r"(?:python|bash|compose -f|sbatch) (scripts/[^`\n]+)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_readme_is_short_enough_to_be_read_to_the_end() -> None:
    assert len(README.split()) <= MAX_WORDS


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere_in_the_repository(page: Path) -> None:
    for target in re.findall(r"\]\(([^):]+)\)", TEXTS[page]):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert linked.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("command", JOB_COMMANDS)
def test_every_command_of_the_job_is_understood(command: str) -> None:
    for word, value in EXAMPLES.items():
        command = command.replace(word, value)
    arguments = parser().parse_args(shlex.split(command))
    if getattr(arguments, "config", None):
        assert load(ROOT / arguments.config, arguments.settings)
    elif command.startswith("recut"):
        keys = {setting.partition("=")[0] for setting in arguments.settings}
        assert keys <= {*CUT_KEYS, *NOISE_KEYS, *STORY_KEYS, "seed"}


@pytest.mark.parametrize("command", SCRIPTS)
def test_every_script_is_there_and_has_the_options(command: str) -> None:
    script, *words = shlex.split(command)
    text = (ROOT / script).read_text(encoding="utf-8")
    if script.endswith(".py"):
        assert all(f'"{word}"' in text for word in words if word.startswith("--"))


@pytest.mark.parametrize("command", PYTEST_COMMANDS)
def test_every_selection_of_tests_selects_some(command: str) -> None:
    words = shlex.split(command)
    paths = [ROOT / word for word in words if word.startswith("tests")]
    assert all(path.exists() for path in paths)
    selected = words[words.index("-k") + 1] if "-k" in words else ""
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("test_*.py"))]
    assert words == ["-m", "gpu"] or any(selected in file.read_text(encoding="utf-8") for file in files)


def test_every_script_is_in_the_table_of_scripts() -> None:
    table = TEXTS[ROOT / "scripts" / "README.md"]
    assert [path.name for path in (ROOT / "scripts").glob("*.*") if f"`{path.name}`" not in table] == ["README.md"]


def test_the_commands_of_benchmarks_on_real_headlines_name_the_file() -> None:
    shown = 0
    for script in (ROOT / "scripts" / "bench").glob("*.py"):
        text = script.read_text(encoding="utf-8")
        commands = re.findall(rf"^    \S*python scripts/bench/{script.name}.*$", text, re.MULTILINE)
        if '"--data"' in text:
            assert [command for command in commands if "--data" not in command] == [], script
            shown += len(commands)
    assert shown >= 20


def test_every_file_of_a_run_and_every_column_of_its_tables_is_described(demo: Path) -> None:
    text = README + TEXTS[ROOT / "configs" / "README.md"]
    files = {f"`{path.name}{'/' if path.is_dir() and path.suffix != '.db' else ''}`" for path in demo.iterdir()}
    # the answer's Parquet file stands beside its CSV file
    assert {file for file in files if file not in text} == {"`headlines_clustered.parquet`"}
    for table in ("headlines_clustered.csv", "topics.csv", "themes.csv"):
        columns = set(read_csv(demo / table)[0]) - set(read_csv(SAMPLE)[0])
        assert {column for column in columns if f"`{column}`" not in text} == set(), table
    assert {name for name in changes_table([]).column_names if f"`{name}`" not in text} == set()


def test_there_are_commands_to_test() -> None:
    assert len(JOB_COMMANDS) >= 15
    assert len(SCRIPTS) >= 10
    assert len(PYTEST_COMMANDS) >= 5


def test_the_example_in_python_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    runs: list[Config] = []
    monkeypatch.setattr(job, "run", runs.append)
    monkeypatch.chdir(ROOT)
    exec(code, {})
    assert [str(run.run_dir) for run in runs] == ["runs/mine"]


def test_the_library_example_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXTS[ROOT / "configs" / "README.md"], re.DOTALL)
    points = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[0, 0], [30, 0], [0, 30]], 20, axis=0)
    distances, indices = cKDTree(points).query(points, 9)
    names = {"indices": indices, "distances": distances}
    exec(code, names)
    assert names["model"].labels_.max() == 2


def test_the_tree_names_everything_in_job_and_its_backends() -> None:
    tree = README.split("## The tree")[1].split("```")[1]
    for path in (ROOT / "job").iterdir():
        assert path.name.startswith("__") or path.name in tree
    for path in (ROOT / "job" / "backends").iterdir():
        assert not (path / "__init__.py").exists() or path.name in tree


def test_every_name_in_the_tree_exists() -> None:
    tree = README.split("## The tree")[1].split("```")[1]
    for part in (
        "pipeline.py",
        "cli.py",
        "config",
        "commands",
        "data.py",
        "context.py",
        "stages",
        "backends",
        "runtime",
    ):
        assert part in tree
        assert (ROOT / "job" / part).exists()
    for top in ("configs", "scripts", "tests", "environment.yml", ".ci/run"):
        assert top in tree
        assert (ROOT / top).exists()


def test_the_top_level_holds_only_what_it_should() -> None:
    allowed = {
        *("job", "configs", "scripts", "tests", "environment.yml", "README.md", "pyproject.toml", "LICENSE"),
        *(
            ".ci",
            ".git",
            ".gitignore",
            ".venv",
            "runs",
            ".env",
            ".pytest_cache",
            ".mypy_cache",
            ".ruff_cache",
            ".hypothesis",
            ".rapids",
            ".whl",
        ),
    }
    assert {path.name for path in ROOT.iterdir() if not path.name.endswith(".egg-info")} <= allowed
