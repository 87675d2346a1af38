"""A real Chromium without a network, driven over the DevTools protocol: for the tests of the pages, their benchmark,
and pictures of them.

    with Browser(folder) as browser:
        page = browser.open(path)
        page.evaluate("document.title")

The protocol's messages go over a pipe, as JSON with a null byte after each (`--remote-debugging-pipe`). Every host name
fails to resolve, and each request that a page makes is noted.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# software WebGL: a test machine has no GPU
FLAGS = """--headless --no-sandbox --hide-scrollbars --no-first-run --disable-quic --disable-sync --disable-extensions
--disable-background-networking --disable-component-update --use-gl=angle --use-angle=swiftshader
--enable-unsafe-swiftshader --force-device-scale-factor=1 --remote-debugging-pipe""".split()
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND"


class Browser:
    """One Chromium with a profile of its own in `folder`, closed at the end of the `with`."""

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None, "no Chromium on this machine"
        # Chromium reads commands from descriptor 3 and writes answers to 4
        (read_3, self._to), (self._from, write_4) = os.pipe(), os.pipe()
        command = ["bash", "-c", f'exec "$@" 3<&{read_3} 4>&{write_4}', "bash"]
        command += [CHROMIUM, *FLAGS, OFFLINE, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, pass_fds=(read_3, write_4), stdin=quiet, stdout=quiet, stderr=quiet)
        os.close(read_3)
        os.close(write_4)
        self._unread = b""
        self._last_id = 0
        self.pages: dict[str, Page] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.terminate()
        self.process.wait(20)
        os.close(self._to)
        os.close(self._from)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result. Raises RuntimeError when the browser answers with an error."""
        self._last_id += 1
        wanted = self._last_id
        message: dict[str, Any] = {"id": wanted, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(60)
            if answer is None:
                raise RuntimeError(f"{method}: no answer from Chromium within 60 s")
            if answer.get("id") == wanted:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def listen(self, seconds: float) -> None:
        """Read what the browser reports for this long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._next(left)

    def _next(self, seconds: float) -> dict[str, Any] | None:
        """The next message; events go to their page. None when there is none within `seconds`."""
        end = time.monotonic() + seconds
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from], [], [], max(end - time.monotonic(), 0))
            if not ready:
                return None
            more = os.read(self._from, 1 << 20)
            if not more:
                raise RuntimeError("Chromium ended")
            self._unread += more
        text, self._unread = self._unread.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        page = self.pages.get(message.get("sessionId", ""))
        if page and "method" in message:
            page.note(message["method"], message["params"])
        return message

    def open(self, path: Path, width: int = 1200, height: int = 800, dark: bool = False, touch: bool = False) -> "Page":
        """Open a file in a new tab of this size in CSS pixels, and wait until it is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        self.pages[session] = page
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.call("Network.setCacheDisabled", cacheDisabled=True)
        page.resize(width, height, mobile=touch)
        page.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        page.call("Page.navigate", url=path.absolute().as_uri())
        page.wait("document.readyState === 'complete'")
        return page


class Page:
    """A tab. `requests`: the addresses asked for; `errors`: what the console reports of errors and warnings."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser = browser
        self.session = session
        self.requests: list[str] = []
        self.errors: list[str] = []

    def note(self, method: str, data: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(data["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = data["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and data["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(argument.get("value")) for argument in data["args"]))
        elif method == "Log.entryAdded" and data["entry"]["level"] in ("error", "warning"):
            self.errors.append(data["entry"]["text"])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """The JSON value of an expression, of a promise when it is fulfilled. Raises RuntimeError when it throws."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise TimeoutError(f"not true within {seconds} s: {condition}; errors: {self.errors}")
            self.browser.listen(0.05)

    def settle(self, seconds: float) -> None:
        """Wait so long, and until some frames are drawn: on a busy machine those take longer."""
        self.browser.listen(seconds)
        for _ in range(6):
            self.evaluate("new Promise(requestAnimationFrame)")

    def resize(self, width: int, height: int, mobile: bool = False) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """`kind`: mouseMoved, mousePressed, mouseReleased or mouseWheel."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", buttons=0, clickCount=1)

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 8) -> None:
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, button="left", buttons=1, clickCount=1)
        for step in range(1, steps + 1):
            at = (a + (b - a) * step / steps for a, b in zip(start, end, strict=True))
            self.mouse("mouseMoved", *at, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", buttons=0, clickCount=1)

    def press(self, key: str, code: int = 0, text: str = "") -> None:
        """Press and release a key, such as `Escape`, 27."""
        more = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **more, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **more)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def close(self) -> None:
        self.call("Page.close")

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
