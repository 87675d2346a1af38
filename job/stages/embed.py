"""Embed: every distinct headline's text to a unit vector, in shards on disk."""

from typing import Any

import numpy as np
import pyarrow.parquet as pq

from job.config import Config
from job.context import Job, Stage, StageResult
from job.runtime.device import Choice, resolve_device, resolve_precision
from job.runtime.errors import BadInput
from job.runtime.files import atomic, digest, digest_file, write_array
from job.runtime.kept_vectors import HEADLINES, IDS, SETTINGS, remove_kept
from job.runtime.log import logger
from job.runtime.markers import Marker
from job.runtime.needs import GIB, Need, Size
from job.runtime.ownership import is_run_folder
from job.runtime.progress import Progress
from job.runtime.shards import Shards

# a kill costs one shard: seconds on a GPU, where few rows per length would also make small batches; minutes on a CPU
SHARD_ROWS = {"cuda": 100_000, "cpu": 10_000}
# of titles, to find their languages
_SAMPLE = 10_000


class EmbedStage(Stage):
    """Write `embeddings/*.npy`, and with `embed.sparse` BGE-M3's lexical weights as `sparse/*.npy`.

    Ranks share the shards. Half-precision models give float16 shards, float32 models float32 (both normalized in
    float32). A shard that is there with its checksum is kept, and headlines that this run or the one that
    `embed.reuse` names had before keep their vectors.
    """

    name = "embed"
    version = 2

    def key(self, job: Job) -> list[Any]:
        # precision and device as configured, not as resolved: a run that embedded on a GPU node may end on a CPU node
        model = [job.model.identity, job.model.pooling] if job.has_input else []
        if job.has_input and job.config.embed.sparse and job.model.m3:
            model.append(digest_file(job.model.folder / "sparse_linear.pt"))
        return [job.output("ingest"), *model, job.config.embed.key()]

    def files(self, job: Job) -> list[str]:
        if not job.has_input:
            return []
        return [*(name for shards in self._all_shards(job) for name in shards.names()), IDS]

    def check_offline(self, config: Config) -> str:
        from job.backends.embedding.models import check_sparse, look_for_model
        from job.backends.embedding.precision import check_precision

        if not config.input.paths:
            return ""
        # whether torch can use the device is not asked: that takes seconds
        try:
            device = resolve_device(config.device)
        except BadInput as error:
            # a batch job may be checked on a machine without its GPU
            device = Choice("cuda", str(error))
        precision = resolve_precision(config.embed.precision, device)
        if config.embed.precision != "auto":
            check_precision(precision.value, device.value)
        model = look_for_model(config.embed.model, config.embed.pooling)
        if model is not None and config.embed.sparse:
            check_sparse(model)
        where = "is not on this machine: a run downloads it" if model is None else f"is in '{model.folder}'"
        reuse = config.embed.reuse
        kept = f"; embed.reuse = '{reuse}' is no run folder" if reuse and not is_run_folder(reuse) else ""
        return f"'{config.embed.model}' {where}; {precision.value} on {device.value} ({device.reason}){kept}"

    def check(self, job: Job) -> None:
        from job.backends.embedding.models import check_sparse
        from job.backends.embedding.precision import check_precision

        if not job.has_input:
            return
        if job.config.embed.sparse:
            check_sparse(job.model)
        if job.run.stats("embed").get("precision") != job.precision.value:
            check_precision(job.precision.value, job.device.value)

    def is_shared(self, job: Job) -> bool:
        return True

    def up_to_date(self, job: Job) -> Marker | None:
        marker = super().up_to_date(job)
        # older versions listed the shards that were there, and none of another rank that was gone
        listed = [] if marker is None else [name for name in marker.files if name.startswith("embeddings/")]
        if marker is None or len(listed) < marker.stats.get("shards", 0):
            return None
        # older versions kept no ids: only these are written then
        return marker if not job.has_input or IDS in marker.files else None

    def missing(self, job: Job) -> list[str]:
        if not job.has_input:
            return []
        missing = {shard for shards in self._all_shards(job) for shard in shards.missing()}
        return self._shards(job, "embeddings").describe(missing, job.ranks)

    def need(self, job: Job, size: Size) -> Need:
        # texts and tokens of a few shards, however many headlines there are; weights are read as float32
        shard = min(size.headlines, shard_rows(job))
        budget = job.config.embed.token_budget or 16_384
        return Need(
            memory=0.5 * GIB + 6 * size.parameters + shard * (12_000 + 55 * size.text / max(size.headlines, 1)),
            gpu=2 * size.parameters + 112.0 * size.dim * budget,
            disk=size.vectors,
            remedy="set embed.model to a smaller model, or lower embed.shard_rows and embed.token_budget",
        )

    def run(self, job: Job) -> StageResult | None:
        if not job.has_input:
            return StageResult(0, "no input")
        made, stats, fallbacks = self._embed_share(job)
        missing = self.missing(job)
        if missing:
            logger.info("embed: %s: its share is done; still missing: %s", job.ranks, "; ".join(missing))
            return None
        first = np.load(job.run.file("embeddings") / "00000.npy", mmap_mode="r")
        dim, dtype = int(first.shape[1]), first.dtype.name
        precision, device = job.precision, job.device
        logger.info(
            "embed: %s headlines, %d dimensions, %s on %s", f"{_rows(job):,}", dim, precision.value, device.value
        )
        with atomic(job.run.file(IDS)) as temporary:
            write_array(temporary, pq.read_table(job.run.file("headlines.parquet"), columns=["id"])["id"].to_numpy())
        vectors, sparse = self._shards(job, "embeddings"), self._sparse_shards(job)
        reused = vectors.sum("reused")
        return StageResult(
            made,
            digest(dim, dtype, vectors.checksums(), sparse.checksums() if sparse else []),
            fallbacks,
            language_warnings(job),
            stats={
                "model": job.model.name,
                "model_digest": job.model.identity,
                "pooling": job.model.pooling,
                "device": device.value,
                "device_reason": device.reason,
                "precision": precision.value,
                "precision_reason": precision.reason,
                "dimensions": dim,
                "dtype": dtype,
                "shards": len(vectors.all),
                "ranks": job.ranks.world,
                "sparse": job.config.embed.sparse,
                HEADLINES: job.output("ingest"),
                SETTINGS: self._vector_settings(job),
                **({"reused": reused} if reused else {}),
                **stats,
            },
        )

    def clean_up(self, job: Job) -> None:
        remove_kept(job.run)

    def _embed_share(self, job: Job) -> tuple[int, dict[str, Any], list[str]]:
        """Make the shards of this rank's share that are missing: the rows computed, figures, and fallbacks."""
        from job.stages.embed_fingerprint import check_fingerprint, read_fingerprint
        from job.stages.embed_known import known_vectors
        from job.stages.embed_loop import Target, embed_shards

        vectors = self._shards(job, "embeddings")
        before = read_fingerprint(vectors, job.run)
        to_make = {shard for shards in self._all_shards(job) for shard in shards.to_make(job.ranks)}
        if not job.config.embed.sparse:
            self._shards(job, "sparse").remove()
        if not to_make:
            return 0, {}, []
        encoder = open_encoder(job)
        asked = encoder.budget
        check_fingerprint(before, encoder, job.model, vectors, job.run)
        known, fallbacks = known_vectors(job, encoder, self._vector_settings(job))
        rows = sum(map(len, to_make))
        with Progress("embed", rows, "headlines") as progress:
            target = Target(vectors, job.precision.value != "fp32", self._sparse_shards(job))
            in_order = sorted(to_make, key=lambda shard: shard.number)
            embed_shards(encoder, job.run.file("headlines.parquet"), in_order, target, progress, known)
        reused = vectors.sum("reused", in_order)
        if reused:
            logger.info("embed: %s of %s headlines keep the vectors that they had", f"{reused:,}", f"{rows:,}")
        peak = encoder.release()
        if encoder.budget < asked:
            fallbacks += [f"embed.token_budget {asked} -> {encoder.budget}: out of GPU memory"]
        return rows - reused, {} if peak is None else {"device_peak_mb": peak}, fallbacks

    def _vector_settings(self, job: Job) -> str:
        """The digest of everything that a headline's vector depends on, but its text."""
        length = job.config.embed.max_length
        return digest(self.version, job.model.identity, job.model.pooling, length, job.precision.value)

    def _shards(self, job: Job, folder: str) -> Shards:
        """The shards of all ranks in one of the two folders; those of lexical weights are arrays of
        `lexical_weights.ENTRY`, rows counted from the shard's first."""
        key = digest(self.digest(job), job.precision.value)
        return Shards(job.run.file(folder), key, _rows(job), shard_rows(job))

    def _sparse_shards(self, job: Job) -> Shards | None:
        return self._shards(job, "sparse") if job.config.embed.sparse else None

    def _all_shards(self, job: Job) -> list[Shards]:
        sparse = self._sparse_shards(job)
        return [self._shards(job, "embeddings"), *([sparse] if sparse else [])]


def shard_rows(job: Job) -> int:
    """Headlines per shard."""
    return job.config.embed.shard_rows or SHARD_ROWS[job.device.value]


def _rows(job: Job) -> int:
    return int(pq.read_metadata(job.run.file("headlines.parquet")).num_rows)


def language_warnings(job: Job) -> list[str]:
    """What to say of headlines in languages that the model was not made for."""
    from job.backends.text.languages import share_not_english

    if job.config.embed.model != "minilm":
        return []
    titles = pq.read_table(job.run.file("headlines.parquet"), columns=["title"])["title"]
    share = share_not_english(titles[:: max(1, len(titles) // _SAMPLE)].to_pylist())
    if share < 0.05:
        return []
    return [
        f"embed.model = 'minilm' knows English, and about {100 * share:.0f}% of the titles are in other languages: it "
        "takes different stories in one of them for one; embed.model=BAAI/bge-m3 knows them"
    ]


def open_encoder(job: Job) -> Any:
    """The model, loaded as this run's settings say; see `job.backends.embedding.encoder.FlagEncoder` for its errors."""
    from job.backends.embedding.encoder import FlagEncoder

    settings = job.config.embed
    return FlagEncoder(
        job.model,
        job.device.value,
        job.precision.value,
        settings.max_length,
        settings.token_budget,
        job.ranks.local,
        settings.sparse,
    )
