"""What a language model's names may cost, where the key comes from, and which settings are refused."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from describe_llm_jobs import described, job_with, strike
from llm_server import LlmServer, Reply, completion, naming, serving

from job.backends.text.names import Name
from job.config import Describe
from job.stages.describe_llm import _Asked, _checked


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with serving() as found:
        yield found


def test_the_budget_ends_the_questions(tmp_path: Path, server: LlmServer) -> None:
    server.reply = naming(strike)
    stats = described(job_with(tmp_path / "none", server, budget_tokens=10))
    assert server.requests == []
    assert stats["llm"]["kept_titles"] == {"describe.llm.budget_tokens = 10 is spent": 6}
    # the server counts 100 tokens a request, an estimate is above 400
    stats = described(job_with(tmp_path / "some", server, batch=1, budget_tokens=700))
    assert 1 <= stats["llm"]["named"] < 6
    assert stats["llm"]["tokens"] == 100 * stats["llm"]["named"] <= 700


def test_the_second_question_is_within_the_budget(tmp_path: Path, server: LlmServer) -> None:
    server.in_turn(completion("hm", 450))
    stats = described(job_with(tmp_path / "run", server, batch=1, budget_tokens=700))
    assert len(server.requests) == 1
    assert (stats["llm"]["requests"], stats["llm"]["tokens"]) == (1, 450)
    assert stats["llm"]["kept_titles"] == {"describe.llm.budget_tokens = 700 is spent": 6}


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(
    tmp_path: Path, server: LlmServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import logging

    monkeypatch.setattr(logging.getLogger("job"), "propagate", True)
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("LLM_API_KEY", "s3cret-k3y")
    monkeypatch.setenv("OPENAI_API_KEY", "0ther-s3cret")
    server.in_turn(Reply({"error": "bad key s3cret-k3y"}, 401))
    job = job_with(tmp_path / "run", server)
    described(job)
    assert server.headers[0]["authorization"] == "Bearer s3cret-k3y"
    assert "s3cret" not in caplog.text
    assert all(b"s3cret" not in file.read_bytes() for file in job.run.path.rglob("*") if file.is_file())
    assert "s3cret" not in json.dumps(job.config.public())
    monkeypatch.delenv("LLM_API_KEY")
    described(job_with(tmp_path / "other", server))
    assert "authorization" not in server.headers[-1], "OPENAI_API_KEY is for api.openai.com"


@pytest.mark.parametrize(
    "settings",
    [
        {"endpoint": "localhost:8000", "model": "m"},
        {"endpoint": "ftp://host/v1", "model": "m"},
        {"endpoint": "https://user:secret@host/v1", "model": "m"},
        {"endpoint": "https://host/v1?key=secret", "model": "m"},
        {"endpoint": "https://host/v1"},
        {"model": "m"},
    ],
)
def test_an_address_with_a_key_or_without_a_model_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"expected an address|set both or neither"):
        Describe.model_validate({"llm": settings})


def test_an_empty_section_is_off_and_a_full_address_is_understood() -> None:
    assert Describe.model_validate({"llm": None}).llm.endpoint is None
    full = {"endpoint": "http://localhost:8000/v1/chat/completions/", "model": "m"}
    assert Describe.model_validate({"llm": full}).llm.endpoint == "http://localhost:8000/v1"


def test_the_names_of_many_stories_are_checked_in_a_moment() -> None:
    count, asked = 40_000, 500
    known = [Name(f"Ferry {number}", f"Ferry {number}", [0]) for number in range(count)]
    titles = [f"{start} ferry{number} crews" for number in range(asked) for start in ("Today the", "Tired")]
    raw = {cluster: f"Ferry{cluster} crews" for cluster in range(asked)}
    start = time.process_time()
    found = _checked(_Asked(raw), titles, np.arange(2 * asked).reshape(asked, 2).tolist(), known)
    assert time.process_time() - start < 2
    assert [name.name for name in found[:asked]] == list(raw.values())
