"""What a run will need, and whether this machine has it. The estimates themselves are the stages' (`Stage.need`)."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from job.backends.embedding.shape import ModelShape, shape_of
from job.backends.milvus.lite_files import place
from job.context import Job, Stage
from job.runtime.errors import BadInput
from job.runtime.needs import GIB, Need, Size
from job.runtime.room import Room, disk_room, memory_room

MEGABYTE = 1_000_000


def size_of(job: Job, folder: Path, model: ModelShape) -> Size:
    """The size of a run whose `headlines.parquet` and `rows.parquet` lie in `folder`."""
    about = pq.read_metadata(folder / "headlines.parquet")
    text = about.schema.names.index("text")
    groups = [about.row_group(number).column(text).total_uncompressed_size for number in range(about.num_row_groups)]
    rows = pq.read_metadata(folder / "rows.parquet").num_rows
    return size_for(job, model, rows, about.num_rows, sum(groups))


def size_for(job: Job, model: ModelShape, rows: int, headlines: int, text: float) -> Size:
    """The size of a run of so many rows and distinct headlines, of `text` bytes, with this run's settings."""
    itemsize = 4 if job.precision.value == "fp32" else 2
    k = min(job.config.graph_k, max(headlines - 1, 0))
    return Size(rows, headlines, text, model.dim, itemsize, k, model.parameters, job.uses_lite)


def needs(job: Job, stages: Sequence[Stage], size: Size) -> dict[str, Need]:
    """What each of the stages that apply needs."""
    return {stage.name: stage.need(job, size) for stage in stages if stage.applies(job.config)}


def shortages(job: Job, found: dict[str, Need], size: Size, replaced: float = 0.0) -> list[str]:
    """What the stages with these needs lack here: one line each, with the figures and what to change. `replaced`: the
    bytes of the files in the run folder that make room for theirs."""
    memory, gpu = memory_room(), gpu_room(job)
    about = f"{size.headlines:,} headlines x {size.dim:,} dimensions, {size.k} neighbors"

    def lines(what: str, room: Room | None, bytes: Callable[[Need], float], have: str) -> Iterator[str]:
        name = max(found, key=lambda stage: bytes(found[stage]), default="")
        if room is not None and name and bytes(found[name]) > room.bytes:
            yield (
                f"{what}: stage {name} needs about {bytes(found[name]) / GIB:.1f} GiB ({about}), and "
                f"{have.format(f'{room.bytes / GIB:.1f} GiB')} {room.where}: {found[name].remedy}"
            )

    return [
        *lines("memory", memory, lambda need: need.memory, "this process can have {}"),
        *(_disk_line(bytes, room, replaced) for bytes, room in _disks(job, found, replaced) if bytes > room.bytes),
        *lines("GPU memory", gpu, lambda need: need.gpu, "{} are free"),
    ]


def check_room(job: Job, stages: Sequence[Stage], folder: Path) -> None:
    """Refuse what cannot fit, of the stages that are still to be done. `folder`: where their headlines lie.

    Raises:
        BadInput: memory, GPU memory or disk is short; the message says of what, how much, and what to change.
    """
    to_do = _to_do(job, stages)
    if not to_do:
        return
    # of a whole collection, whose vectors are read back, no model is needed any more
    read_back = folder / "vectors.npy"
    there = read_back.exists()
    model = ModelShape(np.load(read_back, mmap_mode="r").shape[1], 0) if there else shape_of(job.model.folder)
    size = size_of(job, folder, model)
    short = shortages(job, needs(job, to_do, size), size, replaced_by(job, to_do))
    if short:
        raise BadInput("\n".join(short) + "\nor give `--force` to run anyway")


def replaced_by(job: Job, stages: Sequence[Stage]) -> float:
    """The bytes of the files that these stages have left in the run folder and will write anew.

    Without the largest, which lies beside its new one for a moment, the vectors, which may be kept until all new ones
    are there, and Milvus Lite's files, which grow.
    """
    markers = [job.run.marker(stage.name) for stage in stages if stage.name != "embed"]
    files = [name for marker in markers if marker for name, content in marker.files.items() if content is not None]
    sizes = [path.stat().st_size for path in map(job.run.file, files) if path.is_file()]
    return float(sum(sizes) - max(sizes, default=0))


def gpu_room(job: Job) -> Room | None:
    """The free memory of the GPU that this process uses; None without one."""
    if job.device.value != "cuda":
        return None
    import torch

    from job.backends.gpu import select_gpu

    select_gpu(job.ranks.local)
    return Room(int(torch.cuda.mem_get_info()[0]), f"on GPU {torch.cuda.current_device()}")


def _disks(job: Job, found: dict[str, Need], replaced: float) -> list[tuple[float, Room]]:
    """The bytes that will be added to each place, with what is free there."""
    run_dir, database = job.run.path, place(job.config.store_uri) if job.uses_lite else None
    apart = found["store"].disk if database and "store" in found else 0.0
    if database is not None and database.is_relative_to(run_dir.resolve()):
        database, apart = None, 0.0
    in_run = sum(need.disk for need in found.values()) - apart - replaced
    in_run += max((need.scratch for need in found.values()), default=0)
    return [(in_run, disk_room(run_dir)), *([(apart, disk_room(database))] if database else [])]


def _disk_line(bytes: float, room: Room, replaced: float) -> str:
    more = " more than the files that it replaces" if replaced else ""
    return (
        f"disk: this run writes about {bytes / MEGABYTE:,.0f} MB{more}, and {room.bytes / MEGABYTE:,.0f} MB are free "
        f"{room.where}: make room, or set run_dir or store.uri to a place on another disk"
    )


def _to_do(job: Job, stages: Sequence[Stage]) -> list[Stage]:
    """The stages from the first one on that is not up to date."""
    for number, stage in enumerate(stages):
        if stage.applies(job.config) and not stage.is_volatile(job) and stage.up_to_date(job) is None:
            return list(stages[number:])
    return []
