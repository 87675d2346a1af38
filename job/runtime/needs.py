"""How large a run is, and what a stage needs for it."""

from dataclasses import dataclass

GIB = 2**30
# what needs less memory than to merge clusters into stories
NO_STORIES = "set cluster.recipe=null and cluster.merge_above=null, so that clusters are not merged into stories"


@dataclass(frozen=True)
class Size:
    """The size of a run.

    `rows`: of the input, copies too; `headlines`: distinct ones; `text`: bytes of their texts; `dim`: of the vectors,
    which have `itemsize` bytes per component on disk; `k`: neighbors per headline in the graph; `parameters`: of the
    model; `lite`: whether Milvus Lite holds the vectors, within this process.
    """

    rows: int
    headlines: int
    text: float
    dim: int
    itemsize: int
    k: int
    parameters: float
    lite: bool

    @property
    def held(self) -> float:
        """Bytes that the process holds in any stage after `neighbors`, when Milvus is closed: mostly libraries."""
        return 0.78 * GIB + min(5 * self.floats, 0.1 * GIB + self.floats)

    @property
    def held_with_milvus(self) -> float:
        """Bytes that the process holds while Milvus is open: Milvus Lite keeps the vectors in this process."""
        return 0.76 * GIB + (min(10.5 * self.floats, 0.72 * GIB + 0.9 * self.floats) if self.lite else 0)

    @property
    def vectors(self) -> int:
        """Bytes of the vectors on disk."""
        return self.itemsize * self.dim * self.headlines

    @property
    def floats(self) -> int:
        """Bytes of the vectors in float32."""
        return 4 * self.dim * self.headlines

    @property
    def graph(self) -> int:
        """Bytes of the neighbor graph: int32 row numbers and float32 distances."""
        return 8 * self.k * self.headlines


@dataclass(frozen=True)
class Need:
    """What a stage needs in a run that begins with the first stage.

    `memory`: bytes that the process holds at the stage's peak, the libraries and what earlier stages keep included.
    `gpu`: bytes of GPU memory. `disk`: bytes that are written and kept; `scratch`: bytes that are removed when the
    stage is done. `loops` and `products`: seconds in code that computes row by row, and in matrix products, on the
    machine that the estimates were fitted on (`job.runtime.speed`).
    `remedy`: the setting that makes `memory` or `gpu` smaller.
    """

    memory: float = 0
    gpu: float = 0
    disk: float = 0
    scratch: float = 0
    loops: float = 0
    products: float = 0
    remedy: str = ""


def umap_need(rows: int, neighbors: int) -> Need:
    """What UMAP needs for its graph and its layout, which two stages make.

    umap-learn goes 500 times over all edges up to 10,000 rows, above 200 times; up to there its first layout is made
    of eigenvectors. The places of very many rows are not in the processor's caches.
    """
    edges, far = float(neighbors) * rows, 1 + 0.8 * min(1.0, rows / 5e5)
    rounds, start = (500, 1.27e-6 * rows**1.5) if rows <= 10_000 else (200, 4e-6 * rows)
    return Need(memory=234 * edges, gpu=32 * edges, loops=7e-8 * far * rounds * edges + start)
