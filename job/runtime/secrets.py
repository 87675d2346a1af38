"""Keeping passwords out of logs and files."""

from urllib.parse import urlsplit


def without_password(uri: str) -> str:
    """The uri as it may be shown: without a user name and password."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    if "@" not in parts.netloc:
        return uri
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
