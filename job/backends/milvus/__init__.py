"""Milvus through `MilvusClient`: Milvus Lite in a file, a server, or Zilliz Cloud; the uri says which one.

connection    connect, and retry while a server is unavailable
errors        what an error of Milvus means, in one line
lite_files    Milvus Lite's database as files
schema        the fields of a collection, made by this job or by another program
index_kinds   the table of index kinds: limits, search parameter, build parameters
gpu_trial     whether a server builds GPU indexes, tested on a scratch collection
index_choice  which index a run builds, and why
messages      requests and answers as NumPy arrays instead of one Python object per row or hit
reader        reads one collection: its schema, index, rows and vectors, and its answers to searches
collection    `Milvus`: the reader, and what creates, writes, indexes and loads the collection
search        nearest neighbors by the collection's index, as row numbers
"""

from job.backends.milvus.collection import Milvus, OtherRowsError
from job.backends.milvus.connection import Connection, check_place, is_lite
from job.backends.milvus.errors import LiteError
from job.backends.milvus.schema import TEXT_BYTES, Fields, fit_text

__all__ = [
    "TEXT_BYTES",
    "Connection",
    "Fields",
    "LiteError",
    "Milvus",
    "OtherRowsError",
    "check_place",
    "fit_text",
    "is_lite",
]
