"""Milvus, by `MilvusClient`: a file for Milvus Lite, a server, or Zilliz Cloud, told apart by the uri.

connection   reaching it, errors in words, patience with one that goes away
schema       the fields of a collection, ours or another program's
indexes      which index, with which parameters, within which limits
probe        whether a server builds GPU indexes, found out on a scratch collection
bulk         files that a server imports itself, and what is known of an import that was cut short
bulk_files   those files, and the folder or bucket that they lie in
arrays       requests and answers as NumPy arrays instead of a Python object a row or a hit
collection   what the stages use: write, index, search and read one collection
"""

from job.backends.milvus.collection import Milvus
from job.backends.milvus.connection import Connection, is_lite
from job.backends.milvus.schema import TEXT_BYTES, Fields, fit_text

__all__ = ["TEXT_BYTES", "Connection", "Fields", "Milvus", "fit_text", "is_lite"]
