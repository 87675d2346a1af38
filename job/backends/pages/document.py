"""One HTML document that asks for nothing: its scripts, styles and data are inside, and its policy forbids the rest."""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

STATIC = files("job.backends.pages") / "static"

_DOCUMENT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
{body}
{data}
{scripts}
</body>
</html>
"""


def static(name: str) -> str:
    """A file of `static/`."""
    return (STATIC / name).read_text(encoding="utf-8")


def joined(names: Sequence[str]) -> str:
    """Scripts of `static/` as one, in a scope of their own: each sees the functions of the others, the page none."""
    return '(() => {\n"use strict";\n' + "\n".join(static(name) for name in names) + "})();\n"


def document(
    title: str, body: str, style: str, scripts: Sequence[str], data: dict[str, str], later: dict[str, str] | None = None
) -> str:
    """The page. `body` is trusted markup, `title` is not; `data` are strings in base64, and JSON from `as_json`.

    `later`: scripts by id that do not run by themselves: one of `scripts` runs them when it wants to.

    The policy runs only these scripts, by their hashes, not one that a headline would bring. It allows no connection
    and no address outside the page. `unsafe-eval`: Plotly's WebGL layer (regl) makes its draw functions from text.
    """
    scripts = [_inline(script) for script in scripts]
    later = {name: _inline(script) for name, script in (later or {}).items()}
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in [*scripts, *later.values()])
    policy = (
        f"default-src 'none'; script-src {hashes} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
        "connect-src 'none'; form-action 'none'; base-uri 'none'"
    )
    return _DOCUMENT.format(
        policy=policy,
        title=html.escape(title),
        style=style,
        body=body,
        data="\n".join(
            f'<script type="text/plain" id="{name}">{text}</script>' for name, text in (data | later).items()
        ),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def as_json(value: Any) -> str:
    """JSON that is safe inside a `script` element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")


def _inline(script: str) -> str:
    return script.replace("\r\n", "\n").replace("</script", "<\\/script")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
