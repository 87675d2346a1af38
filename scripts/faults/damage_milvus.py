"""As `damage`, for the files of Milvus Lite's database in the run folder."""

from faults import damage
from faults.bench import Bench
from faults.damage import carry_out

__all__ = ["carry_out", "cases"]


def cases(bench: Bench, seed: int, every: int = 1) -> list[tuple[str, str, str]]:
    return damage.cases(bench, seed, every, milvus=True)
