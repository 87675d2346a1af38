from job.backends.milvus.index_kinds import EXACT, SearchEffort
from job.stages.neighbors_search import advised_index


def test_hnsw_is_advised_where_an_ivf_index_reads_many_rows() -> None:
    advice = advised_index("IVF_FLAT", SearchEffort("nprobe", 256, 2_048), 1_000_000)
    assert advice is not None
    assert advice.startswith("each query reads some 125,000 of 1,000,000 rows (nprobe 256 of 2048)")
    assert "store.index=HNSW" in advice


def test_no_other_index_is_advised_where_few_rows_are_read_or_it_is_none_of_those_measured() -> None:
    assert advised_index("IVF_FLAT", SearchEffort("nprobe", 32, 2_048), 1_000_000) is None
    assert advised_index("GPU_IVF_FLAT", SearchEffort("nprobe", 256, 2_048), 1_000_000) is None
    assert advised_index("HNSW", SearchEffort("ef", 128, 32_768), 10**8) is None
    assert advised_index("FLAT", EXACT, 10**6) is None
