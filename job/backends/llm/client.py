"""One question to an API that speaks OpenAI's chat completions.

Servers differ in what they accept: newer models of OpenAI refuse `max_tokens` and `temperature`, others have no
`response_format`. So after a refusal (400, 422) the next form goes without what it complains of, and the form that was
accepted is kept.
"""

import email.utils
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TRIES = 3
_LONGEST_WAIT = 120.0
_LARGEST_ANSWER = 1_000_000
_THINKING_TOKENS = 4_000
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_REFUSED = frozenset({400, 422})
# in the order in which they are given up where the refusal names none
_OPTIONAL = ("response_format", "max_tokens", "temperature")


class LlmError(Exception):
    """No answer. `final`: no other question would get one either."""

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class _Retry(Exception):
    """This try failed; `wait`: seconds that the server asked for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Answer:
    """`tokens`: as the server counted question and answer; None where it does not say."""

    text: str
    tokens: int | None


class Client:
    """Asks; several threads may share it. `key`: sent as the bearer token, and in no message of any error.

    `timeout`: seconds for one whole answer. `pause`: seconds before the second try, doubled for the third, where the
    server names no other (`Retry-After`).
    """

    def __init__(self, endpoint: str, model: str, key: str | None, timeout: float, pause: float = 2.0) -> None:
        import httpx2

        self._url, self._model, self._key = f"{endpoint}/chat/completions", model, key
        self._timeout, self._pause = timeout, pause
        self._stop = threading.Event()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(timeout=timeout, headers=headers, follow_redirects=False)
        self._left_out: frozenset[str] = frozenset()

    def stop(self) -> None:
        """End waits, and begin no other try."""
        self._stop.set()

    def close(self) -> None:
        self._http.close()

    def ask(self, messages: list[dict[str, str]], schema: dict[str, Any], max_tokens: int) -> Answer:
        """The model's answer.

        Raises:
            LlmError: no answer in three tries, or one that will not change.
        """
        reason = "stopped"
        for attempt in range(TRIES):
            if self._stop.is_set():
                break
            try:
                return self._ask_in_some_form(messages, schema, max_tokens)
            except _Retry as error:
                reason = str(error)
                wait = self._pause * 2**attempt if error.wait is None else error.wait
                if attempt + 1 < TRIES:
                    self._stop.wait(min(wait, _LONGEST_WAIT))
        raise LlmError(reason)

    def _ask_in_some_form(self, messages: list[dict[str, str]], schema: dict[str, Any], max_tokens: int) -> Answer:
        left_out = self._left_out
        while True:
            status, headers, body = self._post(self._form(messages, schema, max_tokens, left_out))
            if status == 200:
                self._left_out |= left_out
                return _answer(body)
            said = self._without_key(body.decode("utf-8", "replace"))
            reason = f"HTTP {status}: {' '.join(said.split())[:200]}"
            if status in _RETRIED:
                raise _Retry(reason, _retry_after(headers.get("retry-after")))
            dropped = _dropped(said, left_out) if status in _REFUSED else None
            if dropped is None:
                raise LlmError(reason, final=status in (401, 403, 404, 405) or 300 <= status < 400)
            left_out |= {dropped}

    def _form(
        self, messages: list[dict[str, str]], schema: dict[str, Any], max_tokens: int, left_out: frozenset[str]
    ) -> dict[str, Any]:
        form: dict[str, Any] = {"model": self._model, "messages": messages}
        if "response_format" not in left_out:
            form["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "names", "strict": True, "schema": schema},
            }
        if "temperature" not in left_out:
            form["temperature"] = 0
        if "max_tokens" in left_out:
            # models that refuse the older name think before they answer, and count that
            form["max_completion_tokens"] = max_tokens + _THINKING_TOKENS
        else:
            form["max_tokens"] = max_tokens
        return form

    def _post(self, form: dict[str, Any]) -> tuple[int, Any, bytes]:
        """Status, headers and body; a server that trickles has no more time than one that is silent."""
        import httpx2

        until = time.monotonic() + self._timeout
        body = b""
        try:
            with self._http.stream("POST", self._url, json=form) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if time.monotonic() > until:
                        raise _Retry(f"no whole answer within {self._timeout:g} s")
                    if len(body) > _LARGEST_ANSWER:
                        raise _Retry(f"an answer of more than {_LARGEST_ANSWER:,} bytes")
                return response.status_code, response.headers, body
        except httpx2.TimeoutException:
            raise _Retry(f"no answer within {self._timeout:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise _Retry(f"{type(error).__name__}: {self._without_key(str(error))[:200]}") from None

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _answer(body: bytes) -> Answer:
    try:
        found = json.loads(body)
        text = found["choices"][0]["message"]["content"]
        usage = found.get("usage") or {}
        tokens = usage.get("total_tokens")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise _Retry("not an answer of chat completions") from None
    if not isinstance(text, str):
        raise _Retry("an answer without text")
    return Answer(text, tokens if isinstance(tokens, int) else None)


def _dropped(said: str, left_out: frozenset[str]) -> str | None:
    """What the next form goes without: what the refusal names, else the next in order."""
    open_to = [name for name in _OPTIONAL if name not in left_out]
    mentions: dict[str, Callable[[], bool]] = {
        "response_format": lambda: "response_format" in said or "json_schema" in said or "guided" in said,
        "max_tokens": lambda: "max_tokens" in said,
        "temperature": lambda: "temperature" in said,
    }
    return next((name for name in open_to if mentions[name]()), open_to[0] if open_to else None)


def _retry_after(value: str | None) -> float | None:
    """The seconds of a `Retry-After`, given as seconds or as a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
