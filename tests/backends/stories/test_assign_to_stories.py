"""New headlines to stories, without the command around it."""

import numpy as np

from job.backends.stories.assign import StoryCorpus, Texts, assign_to_stories
from job.backends.stories.vectors import Shares
from job.data import Ints


def texts(count: int) -> Texts:
    return Texts(np.full((count, 4), 0.5, np.float32), ["ferry strike"] * count, np.full(count, np.nan))


def none(*shape: int) -> Ints:
    return np.full(shape, -1, np.int32)


def test_an_empty_corpus_takes_no_headline() -> None:
    found = assign_to_stories(texts(2), none(2, 3), StoryCorpus(texts(0), Shares()), none(0), none(0), 0.3)
    assert found.labels.tolist() == found.nearest.tolist() == [-1, -1]
    assert np.isnan(found.similarity).all() and found.probability.tolist() == [0.0, 0.0]


def test_no_headline_is_assigned_where_there_is_none() -> None:
    found = assign_to_stories(texts(0), none(0, 3), StoryCorpus(texts(2), Shares()), none(2) + 1, none(2) + 1, 0.3)
    assert len(found.labels) == len(found.nearest) == len(found.similarity) == len(found.probability) == 0
