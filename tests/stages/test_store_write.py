"""How the rows of the store stage are cut into messages."""

from dataclasses import replace

import numpy as np
from jobs import headlines_of
from scipy.sparse import csr_array

from job.data import Embeddings
from job.stages.store_write import _batches, _Rows


def test_messages_count_extra_columns_and_lexical_weights() -> None:
    rows = headlines_of(np.arange(40), [f"headline {row}" for row in range(40)])
    vectors = Embeddings(rows.ids, np.ones((40, 16), np.float32))
    dense = csr_array(np.ones((40, 1_000), np.float32))
    long, plain = [{"body": "é" * 500_000}] * 40, _Rows(rows.ids, rows.column("text"), vectors, [], None)
    assert len(_batches(plain)) == 1
    assert max(stop - start for start, stop in _batches(replace(plain, extra=long))) == 8
    assert _batches(replace(plain, lexical=dense)) == [(0, 40)]
    heavy = csr_array(np.ones((40, 200_000), np.float32))
    assert max(stop - start for start, stop in _batches(replace(plain, lexical=heavy))) == 5
