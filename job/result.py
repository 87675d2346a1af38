"""A finished run as tables, for Python."""

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from job.context import Job


class Result:
    """What a finished run found: `path` is its folder, and stands for it where a path is expected.

    Each table is a `pyarrow.Table`: `.to_pandas()` makes a data frame of it.
    """

    def __init__(self, path: str | Path, finished: bool = True) -> None:
        """`path`: the folder of a finished run; with `finished=False` of one that may not be finished yet.

        Raises:
            BadInput: it holds no finished run.
        """
        self.path = Path(path)
        if finished:
            _ = self._job

    @cached_property
    def _job(self) -> "Job":
        from job.commands.finished import open_finished

        return open_finished(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Result('{self.path}')"

    @property
    def map(self) -> Path:
        """The page with the map."""
        return self.path / "map.html"

    @property
    def report(self) -> Path:
        """The page with the report."""
        return self.path / "report.html"

    @property
    def record(self) -> dict[str, Any]:
        """What ran, with what, why and how long: `run.json`."""
        return dict(json.loads((self.path / "run.json").read_text(encoding="utf-8")))

    def headlines(self) -> "pa.Table":
        """Every input row with its own columns and the job's (configs/README.md)."""
        import pyarrow.parquet as pq

        return pq.read_table(self.path / "headlines_clustered.parquet")

    def stories(self) -> "pa.Table":
        """One row a story: the columns of topics.csv; `keywords`, `exemplars` and `exemplar_ids` are lists."""
        from job.commands.export_tables import stories_table

        return stories_table(self._job)

    def themes(self) -> "pa.Table | None":
        """One row a theme and a topic above the stories; None where clusters are not merged into stories."""
        import pyarrow as pa

        from job.topics import THEME_NAMES

        if not self._job.merges:
            return None
        return pa.Table.from_pylist([vars(row) for row in self._job.theme_names], THEME_NAMES)

    def changes(self) -> "pa.Table | None":
        """Which stories were born, split, merged, ended, returned or retired since the run before; None where stories
        have no ids that stay."""
        import pyarrow.csv

        file = self.path / "story_changes.csv"
        return pyarrow.csv.read_csv(file) if self._job.config.keeps_ids else None
