"""Describe's optional step: names from a language model (`describe.llm`), in place of titles where they pass the check.

Batches hold stories of one theme, so that the model tells siblings apart. Answers are kept on disk as they come
(`names_llm.jsonl`), so a stopped run and a run with another cut ask only for what is new. Whatever goes wrong, a story
keeps the name that it has from its titles, and the record says how many did and why.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from job.backends.llm import prompt
from job.backends.llm.cache import NameCache
from job.backends.llm.check import tidied, why_not
from job.backends.llm.client import Client, LlmError
from job.backends.text.ends import clip
from job.backends.text.names import SHORT_CHARS, Name
from job.backends.text.tails import folded
from job.config.describe import Llm
from job.context import Job
from job.data import Ids, Ints
from job.runtime import signals
from job.runtime.log import logger
from job.runtime.progress import Progress
from job.runtime.secrets import from_environment

CACHE_FILE = "names_llm.jsonl"
# batches in a row without an answer, after which nothing more is asked
_GIVE_UP_AFTER = 3
_NONSENSE = "an answer that is not what was asked for"
# an answer that is not what was asked for is asked for once more
_QUESTIONS = 2
_POLL_SECONDS = 0.2

# names, or None where the answer is not what was asked for; tokens
_Reply = tuple[list[str] | None, int]


@dataclass
class LlmNames:
    """`names`: of all clusters. `stats`: for the record. `again`: whether a later run may get answers that this did
    not."""

    names: list[Name]
    stats: dict[str, Any] = field(default_factory=dict)
    fallbacks: list[str] = field(default_factory=list)
    again: bool = False


@dataclass
class _Asked:
    """`raw`: the model's names by cluster. `kept`: why clusters have none, and how many."""

    raw: dict[int, str] = field(default_factory=dict)
    kept: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    tokens: int = 0
    failed: bool = False


def llm_names(
    job: Job, titles: Sequence[str], members: Sequence[Ids], names: Sequence[Name], pause: float = 2.0
) -> LlmNames:
    """Ask for the names of the largest clusters; `names`: those that they have. `pause`: as `Client` has it."""
    settings = job.config.describe.llm
    assert settings.endpoint is not None and settings.model is not None
    count = min(settings.largest, len(names))
    cache = NameCache(job.run.file(CACHE_FILE), settings.model)
    shown = [prompt.shown([titles[row] for row in name.exemplars]) for name in names[:count]]
    asked = _Asked({cluster: name for cluster in range(count) if (name := cache.get(shown[cluster])) is not None})
    cached = len(asked.raw)
    todo = [cluster for cluster in range(count) if cluster not in asked.raw]
    if todo:
        themes = job.themes.cluster_themes if job.themes else None
        client = _client(settings, pause)
        try:
            with Progress("describe", len(todo), "stories asked for") as progress:
                _Questions(client, settings, shown, cache, asked).ask(_batches(todo, themes, settings.batch), progress)
        finally:
            client.close()
    result = _checked(asked, titles, members, names)
    named = sum(a.name != b.name for a, b in zip(result, names, strict=True))
    about = {"model": settings.model, "stories": count, "named": named, "cached": cached}
    stats = {**about, "requests": asked.requests, "tokens": asked.tokens, "kept_titles": dict(asked.kept)}
    logger.info("describe: %s named %d of %d stories, %d tokens", settings.model, named, count, asked.tokens)
    return LlmNames(result, stats, _fallbacks(asked, count), asked.failed)


def _client(settings: Llm, pause: float) -> Client:
    assert settings.endpoint is not None and settings.model is not None
    names = ["LLM_API_KEY"]
    if urlsplit(settings.endpoint).hostname == "api.openai.com":
        names.append("OPENAI_API_KEY")
    keys = from_environment(*names)
    key = next((keys[name] for name in names if name in keys), None)
    return Client(settings.endpoint, settings.model, key, settings.timeout, pause)


def _batches(clusters: Sequence[int], themes: Ints | None, size: int) -> Iterator[tuple[int, ...]]:
    """Clusters of one theme at a time, in order of the themes' first clusters."""
    groups: dict[int, list[int]] = {}
    for cluster in clusters:
        groups.setdefault(int(themes[cluster]) if themes is not None else 0, []).append(cluster)
    for group in groups.values():
        yield from (tuple(group[start : start + size]) for start in range(0, len(group), size))


@dataclass(frozen=True)
class _Question:
    """`tries`: how often the batch is asked for with this one. `cost`: tokens, estimated."""

    batch: tuple[int, ...]
    tries: int
    cost: int


class _Questions:
    """Asks for batches of clusters, several at once, within the budget; what comes goes to `asked` and to the cache."""

    def __init__(
        self, client: Client, settings: Llm, shown: Sequence[Sequence[str]], cache: NameCache, asked: _Asked
    ) -> None:
        self._client, self._settings, self._shown, self._cache = client, settings, shown, cache
        self._asked = asked
        self._pending: dict[Future[_Reply], _Question] = {}
        # batches whose first answer was not what was asked for
        self._again: list[tuple[int, ...]] = []
        self._failures = 0
        self._why_stopped = ""

    def ask(self, batches: Iterator[tuple[int, ...]], progress: Progress) -> None:
        pool = ThreadPoolExecutor(self._settings.parallel)
        try:
            while True:
                self._send(batches, pool)
                if not self._pending:
                    break
                done, _ = wait(self._pending, _POLL_SECONDS, FIRST_COMPLETED)
                for future in done:
                    progress.update(self._take(future))
                signals.check()
        finally:
            self._client.stop()
            pool.shutdown(wait=False, cancel_futures=True)
        for batch in (*self._again, *batches):
            self._asked.kept[self._why_stopped] += len(batch)

    def _send(self, batches: Iterator[tuple[int, ...]], pool: ThreadPoolExecutor) -> None:
        """Send as many batches as may be asked for now."""
        budget = self._settings.budget_tokens
        while not self._why_stopped and len(self._pending) < self._settings.parallel:
            tries = _QUESTIONS if self._again else 1
            batch = self._again.pop(0) if self._again else next(batches, None)
            if batch is None:
                return
            shown = [self._shown[cluster] for cluster in batch]
            content = prompt.messages(shown)
            question = _Question(batch, tries, prompt.estimate(content, shown))
            reserved = sum(sent.cost for sent in self._pending.values())
            if self._asked.tokens + reserved + question.cost > budget:
                self._why_stopped = f"describe.llm.budget_tokens = {budget:,} is spent"
                self._asked.kept[self._why_stopped] += len(batch)
                return
            self._pending[pool.submit(_ask, self._client, content, shown, question.cost)] = question

    def _take(self, future: Future[_Reply]) -> int:
        """Keep what came of a batch; returns its size, 0 where it is to be asked for once more."""
        asked, question = self._asked, self._pending.pop(future)
        batch = question.batch
        try:
            names, tokens = future.result()
        except LlmError as error:
            asked.kept[str(error)] += len(batch)
            asked.failed = True
            self._failures += 1
            if error.final or self._failures >= _GIVE_UP_AFTER:
                self._why_stopped = self._why_stopped or f"not asked, after: {error}"
            return len(batch)
        asked.tokens += tokens
        asked.requests += 1
        if names is None and question.tries < _QUESTIONS:
            self._again.append(batch)
            return 0
        if names is None:
            asked.kept[_NONSENSE] += len(batch)
            asked.failed = True
            self._failures += 1
            if self._failures >= _GIVE_UP_AFTER:
                self._why_stopped = self._why_stopped or f"not asked, after: {_NONSENSE}"
        else:
            self._failures = 0
            asked.raw.update(zip(batch, names, strict=True))
            self._cache.put([self._shown[cluster] for cluster in batch], names)
        return len(batch)


def _ask(client: Client, content: list[dict[str, str]], shown: Sequence[Sequence[str]], cost: int) -> _Reply:
    """The names, or None where the answer is not what was asked for; the tokens that it took."""
    answer = client.ask(content, prompt.SCHEMA, prompt.max_tokens(shown))
    return prompt.read(answer.text, len(shown)), cost if answer.tokens is None else answer.tokens


def _checked(asked: _Asked, titles: Sequence[str], members: Sequence[Ids], names: Sequence[Name]) -> list[Name]:
    """The names with those of the model that may stand; what keeps others from it is counted."""
    result = list(names)
    taken = {folded(name.name) for name in names}
    taken_short = {folded(name.short_name) for name in names}
    for cluster in sorted(asked.raw):
        name, before = tidied(asked.raw[cluster]), result[cluster]
        if name == before.name:
            continue
        reason = why_not(name, [titles[row] for row in members[cluster]])
        own, own_short = folded(before.name), folded(before.short_name)
        if reason is None and folded(name) != own and folded(name) in taken:
            reason = "the name of another story"
        if reason is not None:
            asked.kept[reason] += 1
            continue
        taken.discard(own)
        taken.add(folded(name))
        short = clip(name, SHORT_CHARS)
        if folded(short) != own_short and folded(short) in taken_short:
            short = before.short_name
        taken_short.discard(own_short)
        taken_short.add(folded(short))
        result[cluster] = replace(before, name=name, short_name=short)
    return result


def _fallbacks(asked: _Asked, count: int) -> list[str]:
    if not asked.kept:
        return []
    reasons = "; ".join(f"{number} {reason}" for reason, number in asked.kept.most_common())
    said = f"describe.llm: {asked.kept.total()} of {count} stories keep their titles as names: {reasons}"
    logger.warning("describe: %s", said)
    return [said]
