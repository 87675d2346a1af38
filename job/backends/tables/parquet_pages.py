"""How many rows of a Parquet file fit in memory at once: from the sizes that its row groups and pages declare.

pyarrow unpacks a page in whole and a dictionary's text once for each row that names it, so a file of kilobytes can hold
gigabytes. Pages' headers say how large each is unpacked, before that is done; pyarrow does not give them, so they are
read here (Thrift, compact protocol). What cannot be read counts as one page: pyarrow says later what is wrong with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MOST_ROWS = 4_096
MOST_BYTES = 128_000_000
# a dictionary of fewer bytes is not looked at
_LITTLE = 1_024
_OF_ANY_LENGTH, _MOST_OF_A_NUMBER = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"), 16
_HEADER_BYTES = 65_536
_MAX_DEPTH = 16
_DICTIONARY_PAGE = 2
_INTEGERS, _BINARY, _LISTS, _STRUCT = (4, 5, 6), 8, (9, 10), 12


def portions(file: IO[bytes], metadata: pq.FileMetaData) -> Iterator[tuple[list[int], int]]:
    """Row groups to read together, in order, and how many of their rows at once."""
    together: list[int] = []
    total = 0
    for group in range(metadata.num_row_groups):
        most = _most(metadata.row_group(group))
        if together and total + most > MOST_BYTES:
            yield together, MOST_ROWS
            together, total = [], 0
        if most > MOST_BYTES:
            yield [group], _rows_at_once(file, metadata, group)
            continue
        together.append(group)
        total += most
    if together:
        yield together, MOST_ROWS


def _most(group: pq.RowGroupMetaData) -> int:
    """The most bytes that `MOST_ROWS` rows of a row group can have unpacked, by what the file's footer says."""
    chunks = [group.column(number) for number in range(group.num_columns)]
    rows = min(MOST_ROWS, group.num_rows)
    return sum(chunk.total_uncompressed_size * (rows if _has_dictionary(chunk) else 1) for chunk in chunks)


def _has_dictionary(chunk: pq.ColumnChunkMetaData) -> bool:
    """Whether a text may be stored once for many rows."""
    names = ("PLAIN_DICTIONARY", "RLE_DICTIONARY")
    return chunk.physical_type in _OF_ANY_LENGTH and (
        bool(chunk.has_dictionary_page) or any(name in chunk.encodings for name in names)
    )


def _rows_at_once(file: IO[bytes], metadata: pq.FileMetaData, number: int) -> int:
    group, a_row = metadata.row_group(number), 0.0
    for place in range(group.num_columns):
        chunk = group.column(place)
        size, texts = 0.0, 0
        # of lists; a page does not say how many rows its values belong to
        values_a_row = max(1.0, chunk.num_values / max(1, group.num_rows))
        for page in _pages(file, chunk):
            if page.is_dictionary:
                texts = _longest_text(file, metadata, number, chunk, page.size)
                continue
            size = max(size, (page.size / max(1, page.values) + texts) * values_a_row)
        a_row += size
    return int(max(1, min(MOST_ROWS, MOST_BYTES / max(a_row, 1))))


def _longest_text(
    file: IO[bytes], metadata: pq.FileMetaData, number: int, chunk: pq.ColumnChunkMetaData, size: int
) -> int:
    """The bytes of a dictionary's longest value; those of all where that is little, or too much to look at."""
    if chunk.physical_type not in _OF_ANY_LENGTH:
        return min(size, _MOST_OF_A_NUMBER)
    if not _LITTLE < size < MOST_BYTES // 4:
        return size
    name = chunk.path_in_schema
    try:
        source = pq.ParquetFile(file, metadata=metadata, read_dictionary=[name])
        batch = next(source.iter_batches(1, row_groups=[number], columns=[name], use_threads=False))
        (column,) = batch.columns
        if not pa.types.is_dictionary(column.type) or column.dictionary.nbytes < size // 2:
            return size
        return int(pc.max(pc.binary_length(column.dictionary)).as_py() or 0)
    except (pa.ArrowException, OSError, ValueError, StopIteration):
        return size


@dataclass(frozen=True)
class _Page:
    """Bytes when unpacked, number of values, and whether it is a dictionary of the pages after it."""

    size: int
    values: int
    is_dictionary: bool


def _pages(file: IO[bytes], chunk: pq.ColumnChunkMetaData) -> Iterator[_Page]:
    """The pages of a column chunk by their headers; the chunk as one page where they cannot be read."""
    starts = [chunk.data_page_offset, chunk.dictionary_page_offset if chunk.has_dictionary_page else None]
    place = min(start for start in starts if start is not None)
    end, values = place + chunk.total_compressed_size, 0
    while place < end and values < chunk.num_values:
        file.seek(place)
        try:
            header = _Header(file.read(_HEADER_BYTES))
            fields = header.struct()
            about = next(fields[key] for key in (5, 7, 8) if key in fields)
            page = _Page(fields[2], about[1], fields[1] == _DICTIONARY_PAGE)
            step = header.place + fields[3]
        except (IndexError, KeyError, TypeError, ValueError, StopIteration):
            yield _Page(chunk.total_uncompressed_size, 1, True)
            yield _Page(chunk.total_uncompressed_size, 1, False)
            return
        yield page
        values += 0 if page.is_dictionary else page.values
        place += max(step, 1)


class _Header:
    """A page's header. Fields are by number; those of a kind that is not needed are passed over."""

    def __init__(self, content: bytes) -> None:
        self._content, self.place = content, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deep")
        found: dict[int, Any] = {}
        number = 0
        while (byte := self._byte()) != 0:
            number = number + (byte >> 4) if byte >> 4 else self._integer()
            found[number] = self._value(byte & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._integer()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind == _BINARY:
            self._pass(self._number())
        elif kind == 3:
            self._pass(1)
        elif kind == 7:
            self._pass(8)
        elif kind in _LISTS:
            byte = self._byte()
            for _ in range(self._number() if byte >> 4 == 15 else byte >> 4):
                self._value(byte & 15, depth + 1)
        elif kind not in (1, 2):
            raise ValueError("no such type")
        return None

    def _byte(self) -> int:
        self.place += 1
        return self._content[self.place - 1]

    def _pass(self, count: int) -> None:
        self.place += count

    def _number(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _integer(self) -> int:
        value = self._number()
        return (value >> 1) ^ -(value & 1)
