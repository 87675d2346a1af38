"""Real headlines for the benchmarks: where the files are by default, what they must hold, where to get such data."""

import random
import re
from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "shared" / "data"
UCI = FOLDER / "uci_dev.parquet"
TUTORIAL = FOLDER / "tutorial_news_2024.csv"

UCI_SOURCE = "the UCI News Aggregator data set (https://archive.ics.uci.edu/dataset/359/news+aggregator)"
ALLSIDES_SOURCE = "the AllSides articles of Baly et al. 2020 (https://github.com/ramybaly/Article-Bias-Prediction)"
NBA_SOURCE = "nba2020, Event Registry's events about basketball with silver labels"
TUTORIAL_SOURCE = (
    "the tutorial's news_data_dedup.csv (https://www.kaggle.com/datasets/dylanjcastillo/news-headlines-2024)"
)
TITLES = f"a Parquet file with a column `title`, such as the titles of {UCI_SOURCE}"


def require(path: Path, content: str) -> None:
    """End the program with a message if there is no such file; `content`: what the file must hold."""
    if not path.is_file():
        raise SystemExit(f"--data: there is no file {path}: give {content}")


def distinct_titles(path: Path, count: int | None = None) -> list[str]:
    """The first `count` distinct titles of a Parquet file, by default all."""
    import pyarrow.parquet as pq

    return list(dict.fromkeys(pq.read_table(path, columns=["title"])["title"].to_pylist()))[:count]


def spread_titles(path: Path, count: int) -> list[str]:
    """`count` titles drawn from the file's and from three copies with other names: a hard case for an approximate
    search, since most have few others near them."""
    titles = distinct_titles(path)
    copies = [exchanged_names(titles, seed) for seed in (1, 2, 3)]
    pool = sorted({*titles}.union(*copies))
    return random.Random(0).sample(pool, count)


def exchanged_names(titles: list[str], seed: int) -> list[str]:
    """The titles with each name (a capitalized word of four letters or more) exchanged for another as frequent.

    A word is exchanged for the same one everywhere, so what was one story still is one, but not the same.
    """
    name = re.compile(r"\b[A-Z][A-Za-z]{3,}\b")
    counts = Counter(word for title in titles for word in name.findall(title))
    ranked, rng = [word for word, _ in counts.most_common()], random.Random(seed)
    others: dict[str, str] = {}
    start, size = 0, 40
    while start < len(ranked):
        # the rarer the words, the more of them are as frequent
        words = ranked[start : start + size]
        others.update(zip(words, rng.sample(words, len(words)), strict=True))
        start, size = start + size, min(2_000, int(1.3 * size))
    return [name.sub(lambda match: others[match[0]], title) for title in titles]
