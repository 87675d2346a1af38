"""The table of index kinds, the choice of an index, and the effort of a search."""

from typing import Any, get_args

import pytest

from job.backends.milvus.index_choice import IndexRequest, choose
from job.backends.milvus.index_kinds import (
    KINDS,
    build_params,
    default_nlist,
    first_effort,
    why_unavailable,
)
from job.config import Store
from job.runtime.errors import BadInput


def test_the_configuration_allows_exactly_the_kinds_of_the_table() -> None:
    allowed = get_args(Store.model_fields["index"].annotation)
    assert len(allowed) == len(set(allowed))
    assert set(allowed) == {"auto", *KINDS}


def test_every_kind_has_build_parameters_and_a_first_effort_within_its_limits() -> None:
    for name, kind in KINDS.items():
        assert name == kind.name
        assert not (kind.gpu and kind.lite)
        build = build_params(name, 1_000_000, None, True)
        effort = first_effort(name, build, kind.max_top_k, None)
        assert (effort.name is None) == (kind.search is None)
        assert effort.value <= effort.largest


def test_gpu_and_lite_kinds_and_build_parameters_are_those_of_the_table() -> None:
    assert [name for name, kind in KINDS.items() if kind.gpu] == ["GPU_IVF_FLAT", "GPU_CAGRA", "GPU_BRUTE_FORCE"]
    assert [name for name, kind in KINDS.items() if kind.lite] == ["FLAT", "IVF_FLAT", "HNSW"]
    cached = {"cache_dataset_on_device": "false"}
    assert {name: build_params(name, 20_000, None, False) for name in KINDS} == {
        "FLAT": {},
        "IVF_FLAT": {"nlist": 512},
        "HNSW": {"M": 32, "efConstruction": 200},
        "GPU_IVF_FLAT": {"nlist": 512, **cached},
        "GPU_CAGRA": {"intermediate_graph_degree": 128, "graph_degree": 64, **cached},
        "GPU_BRUTE_FORCE": {},
        "AUTOINDEX": {},
    }
    assert build_params("GPU_IVF_FLAT", 20_000, 7, True) == {"nlist": 7, "cache_dataset_on_device": "true"}


@pytest.mark.parametrize(
    ("kind", "metric", "top_k", "lite", "message"),
    [
        ("GPU_IVF_FLAT", "IP", 59, True, "Milvus Lite builds only FLAT, IVF_FLAT, HNSW"),
        ("GPU_IVF_FLAT", "COSINE", 59, False, "store.metric=IP"),
        ("GPU_CAGRA", "IP", 1033, False, "at most 1,024 rows per query"),
        ("FLAT", "IP", 16_385, False, "at most 16,384 rows per query"),
        ("GPU_IVF_FLAT", "L2", 1033, False, None),
    ],
)
def test_limits_are_known_without_asking_a_server(
    kind: str, metric: str, top_k: int, lite: bool, message: str | None
) -> None:
    why = why_unavailable(kind, metric, top_k, lite, False)
    assert why is None if message is None else message in str(why)


def test_no_gpu_index_is_tried_on_zilliz_cloud_or_lite() -> None:
    class NeverTried:
        lite, zilliz = False, True

        def gpu(self, kind: str, trial: Any) -> Any:
            raise AssertionError("tried")

    def chosen(asked: str) -> str:
        return choose(NeverTried(), IndexRequest(asked, "IP", 10**6, 59)).kind  # type: ignore[arg-type]

    assert chosen("auto") == "AUTOINDEX"
    with pytest.raises(BadInput, match="only AUTOINDEX"):
        chosen("GPU_IVF_FLAT")
    NeverTried.lite, NeverTried.zilliz = True, False
    assert chosen("auto") == "FLAT"


def test_effort_doubles_up_to_all_lists() -> None:
    effort = first_effort("IVF_FLAT", {"nlist": "100"}, 59, 30)
    tried = [effort.value]
    while (harder := effort.harder()) is not None:
        effort = harder
        tried.append(effort.value)
    assert tried == [30, 60, 100]
    assert first_effort("FLAT", {}, 59, None).harder() is None
    assert first_effort("GPU_CAGRA", {}, 59, None).params == {"itopk_size": 128}
    assert first_effort("HNSW", {}, 59, None).params == {"ef": 64}
    assert first_effort("HNSW", {}, 200, None).params == {"ef": 256}
    assert first_effort("AUTOINDEX", {}, 59, None).params == {"level": 2}
    assert str(first_effort("IVF_SQ8", {"nlist": 128}, 59, None)) == "exact", "a kind of another program"


def test_a_beam_is_at_least_as_wide_as_the_hits_that_are_asked_for() -> None:
    beam, lists = first_effort("HNSW", {}, 59, None), first_effort("IVF_FLAT", {"nlist": 100}, 59, 30)
    assert [beam.for_hits(hits).value for hits in (59, 64, 236)] == [64, 64, 236]
    assert lists.for_hits(236) == lists


def test_nlist_follows_the_number_of_rows() -> None:
    assert [default_nlist(rows) for rows in (1, 20_000, 250_000, 1_000_000, 10**9)] == [128, 512, 2048, 2048, 2048]
