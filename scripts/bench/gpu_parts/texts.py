"""Synthetic headlines with the lengths of real ones, and clustered vectors: no real text is copied to the GPU machine.

A headline repeats words of its story and has words of the story's topic and words of its own; half of the headlines are
the only one of their story. Topics make headlines of different stories alike, as in real news: among headlines whose
neighbors are all equally far, merging into stories takes several times as long.
"""

import numpy as np
import numpy.typing as npt

# tokens per text, with special tokens, at these percentiles: WordPiece on 20,000 titles of UCI's news (mean 14.9) and
# on 20,000 titles with descriptions of AllSides (mean 52.2); exact counts for XLM-R would need its tokenizer
PERCENTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)
TITLES = (4, 6, 8, 10, 12, 14, 18, 21, 23, 26, 38)
WITH_DESCRIPTION = (6, 12, 18, 23, 34, 54, 69, 78, 83, 92, 125)
# this share of texts with a description makes the mean 40
DESCRIBED_SHARE = 0.67
PIECES_PER_WORD = 1.3
HEADLINES_PER_STORY = 16
HEADLINES_PER_TOPIC = 200
# of a headline's words: its own, and its topic's; the others are its story's
_OWN_SHARE, _TOPIC_SHARE = 0.15, 0.45
_WORDS_PER_TOPIC = 30
_TITLE_WORDS = 10
_CHUNK = 100_000
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_SYLLABLES = [c + v for c in "bcdfghjklmnpqrstvwxz" for v in "aeiou"]
Integers = npt.NDArray[np.int64]


def lengths(count: int, rng: np.random.Generator) -> Integers:
    """Number of tokens of each text, int64 [count]."""
    percentile = 100 * rng.random(count)
    described = rng.random(count) < DESCRIBED_SHARE
    with_description = np.interp(percentile, PERCENTILES, WITH_DESCRIPTION)
    title_only = np.interp(percentile, PERCENTILES, TITLES)
    return np.rint(np.where(described, with_description, title_only)).astype(np.int64)


def pieces(size: int) -> list[str]:
    """A tokenizer's `size` pieces, in order: special tokens, letters, pairs of syllables, words of three syllables."""
    letters = sorted({letter for syllable in _SYLLABLES for letter in syllable} | {"▁"})
    tails = [a + b for a in _SYLLABLES for b in _SYLLABLES][: max(16, size // 25)]
    word_count = size - len(_SPECIAL) - len(letters) - len(tails)
    # 7,919 and a million have no common factor, so no word appears twice
    numbers = (np.arange(word_count) * 7919 % 1_000_000).tolist()
    words = [f"▁{_SYLLABLES[i // 10_000]}{_SYLLABLES[i // 100 % 100]}{_SYLLABLES[i % 100]}" for i in numbers]
    return [*_SPECIAL, *letters, *tails, *words]


def headlines(count: int, size: int, seed: int = 0) -> tuple[list[str], list[str | None]]:
    """Titles and descriptions (None for a text without one), from the words of `pieces(size)`."""
    rng = np.random.default_rng(seed)
    vocabulary = pieces(size)
    starts = [piece[1:] for piece in vocabulary if len(piece) == 7]
    tails = [piece for piece in vocabulary if len(piece) == 4 and piece not in _SPECIAL]
    words = starts + [start + tails[i % len(tails)] for i, start in enumerate(starts)]
    word_counts = np.maximum(1, np.rint((lengths(count, rng) - 2) / PIECES_PER_WORD)).astype(np.int64)
    only_one = rng.random(count) < 0.5
    story = np.where(only_one, count + np.arange(count), rng.integers(0, max(1, count // HEADLINES_PER_STORY), count))
    topics = max(1, count // HEADLINES_PER_TOPIC)
    titles: list[str] = []
    descriptions: list[str | None] = []
    for start in range(0, count, _CHUNK):
        chunk = word_counts[start : start + _CHUNK]
        ends = np.cumsum(chunk)
        position = np.arange(ends[-1]) - np.repeat(ends - chunk, chunk)
        stories = np.repeat(story[start : start + _CHUNK], chunk)
        own = rng.integers(0, 1 << 62, len(stories)).astype(np.uint64)
        # numbers of topics lie above those of stories
        of_topic = _hashed(2 * count + stories % topics, rng.integers(0, _WORDS_PER_TOPIC, len(stories)))
        kind = rng.random(len(stories))
        numbers = np.where(kind < _OWN_SHARE + _TOPIC_SHARE, of_topic, _hashed(stories, position))
        numbers = np.where(kind < _OWN_SHARE, own, numbers)
        # cubing a uniform number makes few words common; three words in ten consist of two pieces
        uniform = (numbers >> np.uint64(20)).astype(np.float64) / float(1 << 44)
        which = (uniform**3 * len(starts)).astype(np.int64) % len(starts)
        which += np.where(numbers % np.uint64(10) < 3, len(starts), 0)
        chosen = [words[i] for i in which.tolist()]
        for first, last in zip((ends - chunk).tolist(), ends.tolist(), strict=True):
            cut = min(last, first + _TITLE_WORDS)
            titles.append(" ".join(chosen[first:cut]))
            descriptions.append(" ".join(chosen[cut:last]) if cut < last else None)
    return titles, descriptions


def _hashed(story: Integers, position: Integers) -> npt.NDArray[np.uint64]:
    """A pseudo-random number for each word position of each story, by the mixing function of splitmix64."""
    x = story.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + position.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return x ^ (x >> np.uint64(31))


def clustered(rows: int, dim: int, device: str, seed: int = 0) -> npt.NDArray[np.float32]:
    """Unit vectors float32 [rows, dim] in clusters of about 60; a tenth of the vectors is in no cluster."""
    import torch

    generator = torch.Generator(device=device).manual_seed(seed)

    def normal(count: int) -> torch.Tensor:
        return torch.randn(count, dim, device=device, generator=generator) / dim**0.5

    centers = torch.nn.functional.normalize(normal(max(rows // 60, 4)), dim=1)
    result = np.empty((rows, dim), np.float32)
    for start in range(0, rows, _CHUNK):
        count = min(_CHUNK, rows - start)
        which = torch.randint(len(centers), (count,), device=device, generator=generator)
        noise = torch.rand(count, 1, device=device, generator=generator) < 0.1
        mean = torch.where(noise, torch.zeros((), device=device), centers[which])
        result[start : start + count] = torch.nn.functional.normalize(mean + 0.8 * normal(count), dim=1).cpu().numpy()
    return result
