"""Secrets: read them from the environment, and keep passwords out of logs and files."""

import os
import re
from pathlib import Path

from dotenv import dotenv_values


def without_password(uri: str) -> str:
    """The URI without its user name and password, whether or not a scheme precedes them."""
    return re.sub(r"^(\w+://)?[^/@]*@", r"\1", uri)


def from_environment(*names: str) -> dict[str, str]:
    """The variables among `names` that are set and not empty, in the environment or else in `.env` of the working
    directory."""
    file = dotenv_values(".env") if Path(".env").is_file() else {}
    found = {name: os.environ.get(name) or file.get(name) for name in names}
    return {name: value for name, value in found.items() if value}
