"""The JSON files of a finished run are as their schemas say."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from job.runtime import markers, ownership, record

SCHEMAS = Path(record.__file__).parent / "schemas"
FORMATS = {"marker": markers.FORMAT, "run": record.FORMAT, "run_folder": ownership.FORMAT}


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return found


def files(demo: Path, name: str) -> list[Path]:
    return sorted(demo.glob("markers/*.json")) if name == "marker" else [demo / f"{name}.json"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_file_of_a_finished_run_fits_its_schema(demo: Path, name: str) -> None:
    found = files(demo, name)
    assert len(found) == (11 if name == "marker" else 1)
    for path in found:
        jsonschema.validate(json.loads(path.read_text()), schema(name))


@pytest.mark.parametrize("name", FORMATS)
def test_a_schema_is_sound_and_of_the_format_that_the_code_writes(demo: Path, name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    values = json.loads(files(demo, name)[0].read_text())
    assert values["format"] == FORMATS[name]
    for wrong in ({**values, "format": FORMATS[name] + 1}, {**values, "more": 1}, {"format": FORMATS[name]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema(name))
