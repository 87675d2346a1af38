"""Synthetic headlines of real lengths, and vectors in clusters: nobody's text is carried to the machine.

A headline repeats the words of its story, some of them changed; half of the headlines have a story of their own.
"""

import numpy as np
import numpy.typing as npt

# tokens a text, special ones counted, at these percentiles: WordPiece on 20,000 titles of UCI's news (mean 14.9) and on
# 20,000 titles with descriptions of AllSides (mean 52.2); XLM-R's own counts need its tokenizer
PERCENTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)
TITLES = (4, 6, 8, 10, 12, 14, 18, 21, 23, 26, 38)
WITH_DESCRIPTION = (6, 12, 18, 23, 34, 54, 69, 78, 83, 92, 125)
# so that the mean is 40
DESCRIBED = 0.67
PIECES_A_WORD = 1.3
STORY = 16
_CHANGED = 0.3
_TITLE_WORDS = 10
_CHUNK = 100_000
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_SYLLABLES = [c + v for c in "bcdfghjklmnpqrstvwxz" for v in "aeiou"]
Integers = npt.NDArray[np.int64]


def lengths(count: int, chance: np.random.Generator) -> Integers:
    """Tokens of each text, int64 [count]."""
    at = 100 * chance.random(count)
    described = chance.random(count) < DESCRIBED
    drawn = np.where(described, np.interp(at, PERCENTILES, WITH_DESCRIPTION), np.interp(at, PERCENTILES, TITLES))
    return np.rint(drawn).astype(np.int64)


def pieces(size: int) -> list[str]:
    """A tokenizer's `size` pieces, the special ones first: letters, syllables in twos, words of three syllables."""
    letters = sorted({letter for syllable in _SYLLABLES for letter in syllable} | {"▁"})
    tails = [a + b for a in _SYLLABLES for b in _SYLLABLES][: max(16, size // 25)]
    room = size - len(_SPECIAL) - len(letters) - len(tails)
    # 7,919 and a million have no common factor, so no word comes twice
    numbers = (np.arange(room) * 7919 % 1_000_000).tolist()
    words = [f"▁{_SYLLABLES[i // 10_000]}{_SYLLABLES[i // 100 % 100]}{_SYLLABLES[i % 100]}" for i in numbers]
    return [*_SPECIAL, *letters, *tails, *words]


def headlines(count: int, size: int, seed: int = 0) -> tuple[list[str], list[str | None]]:
    """Titles and descriptions (None where there is none), of the words of `pieces(size)`."""
    chance = np.random.default_rng(seed)
    known = pieces(size)
    starts = [piece[1:] for piece in known if len(piece) == 7]
    tails = [piece for piece in known if len(piece) == 4 and piece not in _SPECIAL]
    words = starts + [start + tails[i % len(tails)] for i, start in enumerate(starts)]
    number = np.maximum(1, np.rint((lengths(count, chance) - 2) / PIECES_A_WORD)).astype(np.int64)
    own = chance.random(count) < 0.5
    story = np.where(own, count + np.arange(count), chance.integers(0, max(1, count // STORY), count))
    titles: list[str] = []
    descriptions: list[str | None] = []
    for start in range(0, count, _CHUNK):
        part = number[start : start + _CHUNK]
        ends = np.cumsum(part)
        place = np.arange(ends[-1]) - np.repeat(ends - part, part)
        told = _mixed(np.repeat(story[start : start + _CHUNK], part), place)
        new = chance.integers(0, 1 << 62, len(told)).astype(np.uint64)
        drawn = np.where(chance.random(len(told)) < _CHANGED, new, told)
        # few words are common: the cube of an even number; three in ten are two pieces
        even = (drawn >> np.uint64(20)).astype(np.float64) / float(1 << 44)
        which = (even**3 * len(starts)).astype(np.int64) % len(starts) + len(starts) * (drawn % np.uint64(10) < 3)
        chosen = [words[i] for i in which.tolist()]
        for first, last in zip((ends - part).tolist(), ends.tolist(), strict=True):
            cut = min(last, first + _TITLE_WORDS)
            titles.append(" ".join(chosen[first:cut]))
            descriptions.append(" ".join(chosen[cut:last]) if cut < last else None)
    return titles, descriptions


def _mixed(story: Integers, place: Integers) -> npt.NDArray[np.uint64]:
    """A number drawn for each place of each story: splitmix64's mixing."""
    x = story.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + place.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return x ^ (x >> np.uint64(31))


def clustered(rows: int, dim: int, device: str, seed: int = 0) -> npt.NDArray[np.float32]:
    """Unit vectors float32 [rows, dim] in clusters of some 60, a tenth of them in none."""
    import torch

    chance = torch.Generator(device=device).manual_seed(seed)

    def drawn(count: int) -> torch.Tensor:
        return torch.randn(count, dim, device=device, generator=chance) / dim**0.5

    centers = torch.nn.functional.normalize(drawn(max(rows // 60, 4)), dim=1)
    result = np.empty((rows, dim), np.float32)
    for start in range(0, rows, _CHUNK):
        count = min(_CHUNK, rows - start)
        which = torch.randint(len(centers), (count,), device=device, generator=chance)
        noise = torch.rand(count, 1, device=device, generator=chance) < 0.1
        mean = torch.where(noise, torch.zeros((), device=device), centers[which])
        result[start : start + count] = torch.nn.functional.normalize(mean + 0.8 * drawn(count), dim=1).cpu().numpy()
    return result
