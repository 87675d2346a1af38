"""Secrets: read them from the environment, and keep passwords out of logs and files."""

import os
import re
from pathlib import Path

from dotenv import dotenv_values

from job.runtime.errors import BadInput


def without_secrets(uri: str) -> str:
    """The URI's scheme, host and port, without user, password, path and query; the path of a file as it is."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    # a password may hold any character, also those that end a host's name
    host = re.split(r"[/?#\\]", rest.rpartition("@")[2], maxsplit=1)[0]
    return f"{scheme}://{host}"


def from_environment(*names: str) -> dict[str, str]:
    """The variables among `names` that are set and not empty, in the environment or else in `.env` of the working
    directory.

    Raises:
        BadInput: `.env` is not UTF-8 text.
    """
    try:
        file = dotenv_values(".env") if Path(".env").is_file() else {}
    except UnicodeDecodeError:
        raise BadInput("'.env' in the working directory is not UTF-8 text: save it as UTF-8") from None
    found = {name: os.environ.get(name) or file.get(name) for name in names}
    return {name: value for name, value in found.items() if value}
