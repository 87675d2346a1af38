"""Real headlines for the benchmarks: where the files are by default, what they must hold, where to get such data."""

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


def distinct_titles(path: Path, count: int) -> list[str]:
    """The first `count` distinct titles of a Parquet file."""
    import pyarrow.parquet as pq

    return list(dict.fromkeys(pq.read_table(path, columns=["title"])["title"].to_pylist()))[:count]
