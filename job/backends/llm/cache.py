"""The model's answers on disk, one line of JSON each, so that no story is asked for twice."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import xxhash

from job.backends.llm.prompt import VERSION


class NameCache:
    """Names by the digest of the model, the version of the prompt and the titles that were shown.

    They are kept as the model gave them, and written as they come. A line that a kill cut off, or that is damaged, is
    passed over.
    """

    def __init__(self, path: Path, model: str) -> None:
        self._path, self._model = path, model
        self._names: dict[str, str] = {}
        for line in path.read_bytes().splitlines() if path.exists() else []:
            try:
                found = json.loads(line)
                key, name = str(found["key"]), str(found["name"])
                if found["check"] == _check(key, name):
                    self._names[key] = name
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, titles: Sequence[str]) -> str | None:
        return self._names.get(self._key(titles))

    def put(self, stories: Sequence[Sequence[str]], names: Sequence[str]) -> None:
        """Keep the names of stories, each given by the titles that were shown."""
        lines = []
        for titles, name in zip(stories, names, strict=True):
            key = self._key(titles)
            self._names[key] = name
            lines.append(json.dumps({"key": key, "model": self._model, "name": name, "check": _check(key, name)}))
        with self._path.open("a", encoding="utf-8") as file:
            # first a line end: the last line may be one that a kill cut off
            file.write("\n" + "\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _key(self, titles: Sequence[str]) -> str:
        content = json.dumps([self._model, VERSION, list(titles)])
        return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _check(key: str, name: str) -> str:
    return xxhash.xxh3_64(json.dumps([key, name]).encode()).hexdigest()
