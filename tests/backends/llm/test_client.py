"""The client against a local server that answers well, late, wrong, with 429, with 500, and never."""

import email.utils
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from llm_server import LlmServer, Reply, completion, serving

from job.backends.llm import prompt
from job.backends.llm.client import TRIES, Answer, Client, LlmError

QUESTION = prompt.messages([["Ferry strike", "Strike of ferries"]])
KEY = "s3cret-k3y"


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with serving() as found:
        yield found


def ask(server: LlmServer, timeout: float = 5.0, pause: float = 0.0) -> Answer:
    client = Client(server.endpoint, "model-1", KEY, timeout, pause)
    try:
        return client.ask(QUESTION, prompt.SCHEMA, 100)
    finally:
        client.close()


def refusal(server: LlmServer, **settings: Any) -> LlmError:
    with pytest.raises(LlmError) as caught:
        ask(server, **settings)
    assert KEY not in str(caught.value)
    return caught.value


def test_a_question_and_its_answer(server: LlmServer) -> None:
    server.in_turn(completion("yes", 17))
    assert ask(server) == Answer("yes", 17)
    (request,) = server.requests
    assert request["model"] == "model-1"
    assert request["messages"] == QUESTION
    assert request["response_format"]["json_schema"]["schema"] == prompt.SCHEMA
    assert (request["temperature"], request["max_tokens"]) == (0, 100)
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


def test_without_a_count_of_tokens_there_is_none(server: LlmServer) -> None:
    server.in_turn(completion("yes", None))
    assert ask(server) == Answer("yes", None)


@pytest.mark.parametrize("status", [400, 422])
def test_what_a_server_refuses_is_left_out_from_then_on(server: LlmServer, status: int) -> None:
    def picky(request: dict[str, Any]) -> Reply:
        for name in ("temperature", "response_format", "max_tokens"):
            if name in request:
                return Reply({"error": {"message": f"Unsupported parameter: {name}"}}, status)
        return completion("yes")

    server.reply = picky
    client = Client(server.endpoint, "m", KEY, 5.0, 0.0)
    assert client.ask(QUESTION, prompt.SCHEMA, 100).text == "yes"
    assert len(server.requests) == 4
    assert client.ask(QUESTION, prompt.SCHEMA, 100).text == "yes"
    assert len(server.requests) == 5
    assert server.requests[-1]["max_completion_tokens"] == 4_100, "with room to think"
    client.close()


def test_a_refusal_without_a_reason_gives_up_the_schema_first(server: LlmServer) -> None:
    server.in_turn(Reply(b"no", 400), completion("yes"))
    assert ask(server).text == "yes"
    assert "response_format" not in server.requests[1]
    assert "temperature" in server.requests[1]


def test_a_question_that_no_form_makes_acceptable_is_given_up(server: LlmServer) -> None:
    server.in_turn(Reply({"error": "context is too long"}, 400))
    assert "HTTP 400" in str(refusal(server))
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_busy_and_broken_servers_are_asked_again(server: LlmServer, status: int) -> None:
    server.in_turn(Reply(b"", status), Reply(b"", status), completion("yes"))
    assert ask(server).text == "yes"
    server.in_turn(Reply(b"oh", status))
    error = refusal(server)
    assert f"HTTP {status}: oh" in str(error)
    assert not error.final
    assert len(server.requests) == 3 + TRIES


@pytest.mark.parametrize("as_date", [False, True])
def test_the_servers_retry_after_is_waited_for(server: LlmServer, as_date: bool) -> None:
    value = email.utils.formatdate(time.time() + 2.5, usegmt=True) if as_date else "1"
    server.in_turn(Reply(b"", 429, {"Retry-After": value}), completion("yes"))
    assert ask(server).text == "yes"
    first, second = server.times
    assert second - first >= 0.9


def test_a_retry_after_that_is_none_is_passed_over(server: LlmServer) -> None:
    server.in_turn(Reply(b"", 429, {"Retry-After": "soon"}), completion("yes"))
    assert ask(server).text == "yes"


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404])
def test_a_bad_key_or_address_fails_at_once_and_the_key_is_not_shown(server: LlmServer, status: int) -> None:
    server.in_turn(Reply({"error": f"Incorrect API key provided: {KEY}"}, status, {"Location": "http://127.0.0.1:9/"}))
    error = refusal(server)
    assert error.final
    assert "***" in str(error)
    assert len(server.requests) == 1


def test_a_server_that_never_answers_costs_three_timeouts(server: LlmServer) -> None:
    server.in_turn(Reply(b"", late=60.0))
    assert "no answer within 0.3 s" in str(refusal(server, timeout=0.3))
    assert len(server.requests) == TRIES


def test_an_answer_in_time_after_a_late_one_is_taken(server: LlmServer) -> None:
    server.in_turn(Reply(b"", late=60.0), completion("yes"))
    assert ask(server, timeout=0.5).text == "yes"


def test_a_server_that_trickles_has_no_more_time(server: LlmServer) -> None:
    server.in_turn(Reply(b" " * 10_000, late=0.1, trickle=True))
    start = time.monotonic()
    assert "within 0.4 s" in str(refusal(server, timeout=0.4))
    assert time.monotonic() - start < 30


def test_nobody_there_is_an_error_and_not_a_traceback() -> None:
    client = Client("http://127.0.0.1:9/v1", "m", None, 1.0, 0.0)
    with pytest.raises(LlmError, match="ConnectError"):
        client.ask(QUESTION, prompt.SCHEMA, 100)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": null}}]}', b"\xff", b"1"],
)
def test_what_is_no_answer_of_the_protocol_is_asked_for_again(server: LlmServer, body: bytes) -> None:
    server.in_turn(Reply(body), completion("yes"))
    assert ask(server).text == "yes"


def test_an_endless_answer_is_cut_off(server: LlmServer) -> None:
    server.in_turn(Reply(b" " * 2_000_000))
    assert "more than 1,000,000 bytes" in str(refusal(server))


def test_a_stop_ends_a_wait(server: LlmServer) -> None:
    server.in_turn(Reply(b"", 429, {"Retry-After": "100"}))
    client = Client(server.endpoint, "m", None, 5.0)
    threading.Timer(0.3, client.stop).start()
    with pytest.raises(LlmError):
        client.ask(QUESTION, prompt.SCHEMA, 100)
    assert len(server.requests) == 1


def test_without_a_key_none_is_sent(server: LlmServer) -> None:
    server.in_turn(completion(json.dumps({})))
    client = Client(server.endpoint, "m", None, 5.0)
    client.ask(QUESTION, prompt.SCHEMA, 100)
    assert "authorization" not in server.headers[0]
