"""The files of a bulk import: where they go, and Parquet from columns, without a Python object a row.

pymilvus's own writers take a dict a row; ours is measured against them in scripts/bench/bulk.py.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pyarrow.parquet as pq

from job.backends.milvus.schema import TEXT_BYTES, Fields, fit_text
from job.data import Floats, Ids
from job.runtime.errors import BadInput
from job.runtime.secrets import from_environment

_KEYS = {
    "AWS_ACCESS_KEY_ID": "access_key",
    "AWS_SECRET_ACCESS_KEY": "secret_key",
    "AWS_SESSION_TOKEN": "session_token",
}
_CONNECT_SECONDS, _REQUEST_SECONDS = 5, 60


@dataclass(frozen=True)
class Columns:
    """All rows of a run: ids int64 [n], vectors float16 or float32 [n, d], texts string [n], and a dict of extra
    values each."""

    ids: Ids
    vectors: Any
    texts: pa.ChunkedArray
    extra: Sequence[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Place:
    """A folder, or a prefix in a bucket, that the server reads too. `bucket`: empty for a folder."""

    filesystem: pyarrow.fs.FileSystem
    root: str
    bucket: str = ""

    def path(self, name: str) -> str:
        """The file for us."""
        return f"{self.root}/{name}"

    def seen(self, name: str) -> str:
        """The file for the server: by its whole path, or within its bucket."""
        return self.path(name).removeprefix(f"{self.bucket}/") if self.bucket else self.path(name)

    def remove(self, names: Iterable[str]) -> None:
        """Delete files, as far as they are there."""
        for name in names:
            if self.filesystem.get_file_info(self.path(name)).type == pyarrow.fs.FileType.File:
                self.filesystem.delete_file(self.path(name))

    def remove_all(self, prefix: str) -> None:
        """Delete the files whose names begin so."""
        there = self.filesystem.get_file_info(pyarrow.fs.FileSelector(self.root, allow_not_found=True))
        self.remove(one.base_name for one in there if one.base_name.startswith(prefix))


def open_place(uri: str, endpoint: str | None) -> Place:
    """The place that `store.bulk_uri` names, after writing a byte there and deleting it again.

    Keys of a bucket come from the environment or `.env`, else from where the AWS libraries look.

    Raises:
        BadInput: it is not there, or cannot be written.
    """
    try:
        place = _bucket(uri, endpoint) if uri.startswith("s3://") else _folder(uri)
        with place.filesystem.open_output_stream(place.path(".writable")) as file:
            file.write(b"1")
        place.remove([".writable"])
    except OSError as error:
        at = f" at store.bulk_endpoint = '{endpoint}'" if endpoint else ""
        raise BadInput(
            f"store.bulk_uri = '{uri}'{at}: cannot write there ({' '.join(str(error).split())[:300]}): name a folder "
            "or bucket that is there (keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), or set store.write=upsert"
        ) from None
    return place


def _folder(uri: str) -> Place:
    # not resolved: the server may know it by the name of a link
    return Place(pyarrow.fs.LocalFileSystem(), str(Path(uri).expanduser().absolute()))


def _bucket(uri: str, endpoint: str | None) -> Place:
    root = uri.removeprefix("s3://").rstrip("/")
    options: dict[str, Any] = {_KEYS[name]: value for name, value in from_environment(*_KEYS).items()}
    if endpoint is not None:
        scheme, _, address = endpoint.rstrip("/").partition("://")
        options |= {"scheme": scheme, "endpoint_override": address}
    filesystem = pyarrow.fs.S3FileSystem(
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_REQUEST_SECONDS,
        retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=3),
        # a small file is then one request
        allow_delayed_open=True,
        **options,
    )
    return Place(filesystem, root, root.partition("/")[0])


def write(place: Place, name: str, columns: Columns, ranges: Iterable[tuple[int, int]], fields: Fields) -> None:
    """Rows of these ranges as one file, a row group a range.

    Neither compressed nor with dictionaries: vectors do not shrink, and the server reads it once.
    """
    schema = pa.schema(
        [(fields.id, pa.int64()), (fields.vector, pa.list_(pa.float32())), (fields.text, pa.string())]
        + [("$meta", pa.string())] * bool(fields.extra)
    )
    with (
        place.filesystem.open_output_stream(place.path(name)) as file,
        pq.ParquetWriter(file, schema, compression="none", use_dictionary=False, write_statistics=False) as writer,
    ):
        for start, stop in ranges:
            part = [
                pa.array(columns.ids[start:stop]),
                _lists(columns.vectors[start:stop].astype(np.float32)),
                _fitting(columns.texts.slice(start, stop - start)),
            ]
            if fields.extra:
                more = columns.extra[start:stop] if columns.extra else [{}] * (stop - start)
                part.append(pa.array([json.dumps(one, ensure_ascii=False) for one in more], pa.string()))
            writer.write_table(pa.table(part, schema=schema))


def _lists(vectors: Floats) -> pa.Array:
    rows, dim = vectors.shape
    return pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * np.int32(dim), vectors.reshape(-1))


def _fitting(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """`fit_text` of each; most need none."""
    if pc.max(pc.binary_length(texts)).as_py() <= TEXT_BYTES:
        return texts
    return pa.chunked_array([[fit_text(text) for text in texts.to_pylist()]], pa.string())
