"""Secrets: where they come from, and keeping passwords out of logs and files."""

import os
import re
from pathlib import Path

from dotenv import dotenv_values


def without_password(uri: str) -> str:
    """The uri as it may be shown: without a user name and password, with or without a scheme before them."""
    return re.sub(r"^(\w+://)?[^/@]*@", r"\1", uri)


def from_environment(*names: str) -> dict[str, str]:
    """Those of these variables that are set and not empty, in the environment or in `.env` in the working directory."""
    file = dotenv_values(".env") if Path(".env").is_file() else {}
    found = {name: os.environ.get(name) or file.get(name) for name in names}
    return {name: value for name, value in found.items() if value}
