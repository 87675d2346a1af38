"""What ingest counts while it reads, and what it then has to say."""

from collections import Counter
from dataclasses import dataclass, field

from job.backends.tables import Reject
from job.backends.tables.csv_records import NEVER_CLOSED
from job.stages.ingest_times import InputTimes

# more than this share of the usable rows are worth a warning
_FEW = 0.02


@dataclass
class Tally:
    """`untimed`, `unnamed`: rows of the files, by name, that have no column of times, and none of publishers."""

    rows: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    first_reject: str = ""
    times: InputTimes = field(default_factory=InputTimes)
    untimed: Counter[str] = field(default_factory=Counter)
    unnamed: Counter[str] = field(default_factory=Counter)
    last_open_quote: str = ""
    decoded_twice: int = 0
    first_decoded_twice: str = ""

    def reject(self, file: str, reject: Reject, reason: str) -> None:
        """Count a reject. `reason`: in one line."""
        self.rejects[reason.split(":")[0]] += 1
        self.first_reject = self.first_reject or f"{file}, row {reject.row}: {reject.reason}"
        if reason == NEVER_CLOSED:
            self.last_open_quote = f"line {reject.line:,} of '{file}'"

    @property
    def rows_without_time(self) -> int:
        return self.times.unusable + self.untimed.total()


def column_notes(tally: Tally, names: dict[str, str | None]) -> list[str]:
    """What to say of files that lack a column of times or of publishers which others have. `names`: the columns by the
    key of the input that names them."""
    found = []
    for key, without, what in (("time", tally.untimed, "time"), ("source", tally.unnamed, "publisher")):
        if names[key] is not None and without:
            first, more = without.most_common(1)[0][0], len(without) - 1
            files = f"'{first}'" + (f" and {more:,} more" if more else "")
            found.append(
                f"{without.total():,} rows have no {what}, for {files} has no column '{names[key]}' or of another "
                f"usual name (input.{key}): rename its column to '{names[key]}', if it has one"
            )
    return found


def warnings(tally: Tally) -> list[str]:
    """What to say where more than a few rows could not be used, or are not what they were."""
    rejected, twice, found = sum(tally.rejects.values()), tally.decoded_twice, []
    if rejected > _FEW * tally.rows:
        rows = f"{rejected:,} of {rejected + tally.rows:,} rows"
        most = "MOST ROWS ARE MISSING: " if rejected > tally.rows else ""
        found.append(f"{most}{rows} could not be used: see rejects.csv; the first: {tally.first_reject}")
    if tally.last_open_quote:
        found.append(
            f"{tally.rejects[NEVER_CLOSED]:,} rows open a quote that is never closed, the last in "
            f"{tally.last_open_quote}: the file is cut off there, or the quote is one too many"
        )
    if twice > _FEW * tally.rows:
        example = " ".join(tally.first_decoded_twice.split())[:80]
        found.append(
            f"{twice:,} of {tally.rows:,} titles are UTF-8 once read as another encoding, such as '{example}': "
            "their words are not found; mend the file, for example with ftfy"
        )
    return found
