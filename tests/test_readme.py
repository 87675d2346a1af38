"""The README is true: its links, its commands, its exit codes, its tree."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from scipy.spatial import cKDTree

from job.cli import parser
from job.config import load

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "configs" / "README.md", ROOT / "job" / "sample" / "README.md"]
COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for page in [*PAGES, *(ROOT / "configs").glob("*.yaml")]
        for line in re.findall(r"^(?:#\s+)?((?:\S+=\S+ )*\.venv/bin/python \S.*)$", page.read_text(), re.MULTILINE)
    }
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_documentation_is_understood(command: str) -> None:
    words = [word for word in shlex.split(command) if not re.fullmatch(r"MILVUS_\w+=.*", word)]
    assert words[0] == ".venv/bin/python"
    if words[1:3] != ["-m", "job"]:
        assert (ROOT / words[1]).exists()
        return
    arguments = parser().parse_args(words[3:])
    if "config" in arguments:
        assert load(ROOT / arguments.config, arguments.settings)


def test_the_library_example_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    points = np.random.default_rng(0).normal(size=(60, 2)) + np.repeat([[0, 0], [30, 0], [0, 30]], 20, axis=0)
    distances, indices = cKDTree(points).query(points, 9)
    names = {"indices": indices, "distances": distances}
    exec(code, names)
    assert names["model"].labels_.max() == 2


def test_there_are_commands_to_test() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("script", sorted(set(re.findall(r"bash (scripts/\S+\.sh)", README))))
def test_every_script_is_there(script: str) -> None:
    assert (ROOT / script).is_file()


def test_every_name_in_the_tree_exists() -> None:
    tree = README.split("## The tree")[1].split("```")[1]
    for name in ("pipeline.py", "cli.py", "config.py", "data.py", "stages", "backends", "runtime", "sample"):
        assert name in tree
        assert (ROOT / "job" / name).exists()
    for top in ("configs", "scripts", "tests", "environment.yml"):
        assert top in tree
        assert (ROOT / top).exists()


def test_the_top_level_holds_only_what_it_should() -> None:
    allowed = {
        *("job", "configs", "scripts", "tests", "environment.yml", "README.md", "pyproject.toml", "LICENSE"),
        *(".ci", ".git", ".gitignore", ".venv", "runs", ".env", ".pytest_cache", ".mypy_cache", ".ruff_cache"),
    }
    assert {path.name for path in ROOT.iterdir() if not path.name.endswith(".egg-info")} <= allowed


def test_the_versions_of_the_gpu_environment_agree_with_the_constraints() -> None:
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)$", (ROOT / "scripts" / "constraints.txt").read_text(), re.MULTILINE))
    environment = dict(re.findall(r"- ([\w-]+)==([\w.]+)$", (ROOT / "environment.yml").read_text(), re.MULTILINE))
    for name in ("FlagEmbedding", "transformers", "pymilvus", "hdbscan", "umap-learn", "plotly"):
        assert environment[name] == pinned[name]
