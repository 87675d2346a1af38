"""A local server that speaks OpenAI's chat completions as a test tells it to: well, late, wrong, not at all."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Names = dict[str, str]


@dataclass
class Reply:
    """`body`: sent as it is if bytes, else as JSON. `late`: seconds before it, or between its bytes if `trickle`."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    late: float = 0.0
    trickle: bool = False


def completion(text: str | None, tokens: int | None = 100) -> Reply:
    """An answer of the protocol with this text."""
    usage = {} if tokens is None else {"usage": {"total_tokens": tokens}}
    return Reply({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}], **usage})


def stories_of(request: dict[str, Any]) -> dict[str, list[str]]:
    """The headlines that a request shows, by id."""
    data = json.loads(request["messages"][-1]["content"])
    return {story["id"]: story["headlines"] for story in data["stories"]}


def naming(choose: Callable[[list[str]], str]) -> Callable[[dict[str, Any]], Reply]:
    """Replies that name each story by a function of its headlines."""

    def reply(request: dict[str, Any]) -> Reply:
        names = [{"id": id, "name": choose(titles)} for id, titles in stories_of(request).items()]
        return completion(json.dumps({"names": names}))

    return reply


class LlmServer:
    """`requests`, `headers`, `times`: of every request so far. `reply`: makes the next answer from its request."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.reply: Callable[[dict[str, Any]], Reply] = naming(lambda titles: titles[0])
        self.endpoint = ""

    def in_turn(self, *replies: Reply | Callable[[dict[str, Any]], Reply]) -> None:
        """Answer with these in turn, with the last one from then on."""
        left = list(replies)

        def reply(request: dict[str, Any]) -> Reply:
            found = left.pop(0) if len(left) > 1 else left[0]
            return found if isinstance(found, Reply) else found(request)

        self.reply = reply


@contextmanager
def serving() -> Iterator[LlmServer]:
    """The server on a free local port, until the end of the block."""
    state, ended = LlmServer(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.times.append(time.monotonic())
            state.headers.append({key.lower(): value for key, value in self.headers.items()})
            state.requests.append(request)
            found = state.reply(request) if self.path == "/v1/chat/completions" else Reply({}, 404)
            content = found.body if isinstance(found.body, bytes) else json.dumps(found.body).encode()
            if not found.trickle and ended.wait(found.late):
                return
            self.send_response(found.status)
            for name, value in {"Content-Length": str(len(content)), **found.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for piece in [content[i : i + 1] for i in range(len(content))] if found.trickle else [content]:
                    if found.trickle and ended.wait(found.late):
                        return
                    self.wfile.write(piece)
                    self.wfile.flush()
            except OSError:
                pass

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    state.endpoint = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
