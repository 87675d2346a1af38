"""Keywords of clusters by class-based TF-IDF, from scikit-learn's word counts."""

import re
from functools import cache

import numpy as np

_WORD = r"(?u)\b[^\W\d_][\w'’-]*\w\b"
_LANGUAGES = ("en", "de", "es", "fr", "it", "nl", "pt")


def cluster_keywords(documents: list[str], count: int) -> list[list[str]]:
    """The `count` words with the largest weight in each document (all titles of one cluster), largest first.

    Weight of a word in a class: its share of the class's words times log(1 + A / f), where A is the mean number of
    words per class and f the word's frequency over all classes (Grootendorst 2022, "BERTopic", eq. 2).
    """
    from sklearn.feature_extraction.text import CountVectorizer

    if not documents:
        return []
    vectorizer = CountVectorizer(token_pattern=_WORD, stop_words=stop_words())
    try:
        counts = vectorizer.fit_transform(documents).tocsr().astype(np.float64)
    except ValueError:  # all documents are empty or hold only stop words
        return [[] for _ in documents]
    words = vectorizer.get_feature_names_out()
    totals = np.asarray(counts.sum(axis=1)).ravel()
    rarity = np.log1p(totals.mean() / np.asarray(counts.sum(axis=0)).ravel())
    result = []
    for row in range(len(documents)):
        columns = counts.indices[counts.indptr[row] : counts.indptr[row + 1]]
        weights = counts.data[counts.indptr[row] : counts.indptr[row + 1]] * rarity[columns] / max(totals[row], 1.0)
        best = np.lexsort((columns, -weights))[:count]
        result.append([str(words[columns[i]]) for i in best])
    return result


@cache
def stop_words() -> list[str]:
    """Stop words (words that name no subject) of the languages that most of our headlines are in."""
    import stopwordsiso

    return sorted(word for word in stopwordsiso.stopwords(list(_LANGUAGES)) if re.fullmatch(_WORD, word))
