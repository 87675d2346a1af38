"""Keeping passwords out of logs and files."""

import re


def without_password(uri: str) -> str:
    """The uri as it may be shown: without a user name and password, with or without a scheme before them."""
    return re.sub(r"^(\w+://)?[^/@]*@", r"\1", uri)
