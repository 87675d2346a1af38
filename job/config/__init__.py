"""The configuration of a run: YAML, then the environment, then `key=value` words, all checked at once.

sections, input, describe   every key with its meaning; each field says whether it is part of a stage's key
schema     the sections together, and the rules between them
recipes    settings that belong together under one name
kinds      what types a key's value may have
load       reading the file, the environment and the words
errors     validation errors as lines that name the key, the value and the next action

Nothing heavy is imported. `configs/*.yaml` repeat the keys with their trade-offs.
"""

from job.config.describe import Describe, Llm
from job.config.input import Input
from job.config.load import load, put_environment, resolve
from job.config.recipes import RECIPES
from job.config.schema import REDUCE_NEIGHBORS, SPARE_HITS, Config
from job.config.sections import Cluster, Embed, Neighbors, Project, RanksConfig, Report, Store, Stories

__all__ = [
    "RECIPES",
    "REDUCE_NEIGHBORS",
    "SPARE_HITS",
    "Cluster",
    "Config",
    "Describe",
    "Embed",
    "Input",
    "Llm",
    "Neighbors",
    "Project",
    "RanksConfig",
    "Report",
    "Store",
    "Stories",
    "load",
    "put_environment",
    "resolve",
]
