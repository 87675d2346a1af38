"""Recipes: settings of `cluster` that belong together, by measurement (configs/README.md)."""

from collections.abc import Mapping
from typing import Any

RECIPES: dict[str, dict[str, Any]] = {
    "stories": {"input": "neighbors", "k": 15, "min_samples": 5, "min_cluster_size": 10, "merge_above": "auto"},
    "topics": {"input": "vectors", "reduce_to": 5, "min_samples": 10, "min_cluster_size": 30, "noise": "nearest"},
}


def expand(cluster: Mapping[str, Any], available: int | None = None) -> dict[str, Any]:
    """The section `cluster` with the settings of its recipe added; a setting that is there already stays.

    `available`: `neighbors.k`, which limits the recipe's own `k`.
    """
    recipe = RECIPES.get(str(cluster.get("recipe")), {})
    added = {key: value for key, value in recipe.items() if key not in cluster}
    if cluster.get("input") == "neighbors":
        added.pop("reduce_to", None)
    if available is not None and "k" in added:
        added["k"] = min(added["k"], available)
    return {**added, **cluster}


def override(file: dict[str, Any], words: Mapping[str, Any]) -> dict[str, Any]:
    """Take the settings out of the file's `cluster` section that a recipe among `words` sets, and return them."""
    recipe = RECIPES.get(str(words.get("recipe")), {})
    return {key: file.pop(key) for key in recipe if key in file}


def effects(given: Mapping[str, Any], replaced: Mapping[str, Any], result: Mapping[str, Any]) -> str | None:
    """What a recipe set and what it left, in one line for the log; None without a recipe.

    `given`: the section as written. `replaced`: settings of the file that the recipe replaced. `result`: the section
    as it is used.
    """
    name = str(given.get("recipe"))
    if name not in RECIPES:
        return None
    parts = []
    for key in RECIPES[name]:
        if key in given:
            parts.append(f"{key}={given[key]} was set by you and stays (the recipe: {RECIPES[name][key]})")
        elif result[key] != RECIPES[name][key]:
            parts.append(f"{key}={result[key]} (the recipe's {RECIPES[name][key]} does not fit the other settings)")
        elif key in replaced:
            parts.append(f"{key}={result[key]} (replaces the file's {replaced[key]})")
        else:
            parts.append(f"{key}={result[key]}")
    return f"cluster.recipe = {name}: {', '.join(parts)}"
