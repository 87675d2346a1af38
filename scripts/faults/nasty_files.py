"""Odd, broken and hostile input files, made from a seed: what `nasty_inputs.py` and the tests read."""

import csv
import gzip
import io
import json
import random
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from faults.nasty_more import more

TITLES = [
    "Ferry strike ends after pay deal",
    "",
    " ",
    "\u200b",
    "=cmd|' /C calc'!A0",
    "＋1+1",
    "line one\nline two",
    'he said "no"',
    "semi;colon, comma\ttab|bar",
    "\u202eevil\u202c",
    "naïve CAFÉ 日本 😀",
    "e\u0301" * 40,
    "<script>alert(1)</script>",
    "{'a': 1}",
    "x" * 70_000,
    "a\x00b",
    "\x1b[2J",
    "null",
    "NaN",
    "0x1F",
    "'",
    "\\",
    "\u2028",
    "-1",
    "\ufeffBOM",
]
NAMES = ["time", "source", "id", "cluster", "x", "a b", "title ", "ünï", "=1+1", "", "\u202e", "\n", "2024"]
TIMES = [
    "2024-04-01",
    "2024-04-01T10:00:00Z",
    "99999-01-01",
    "0000-00-00",
    "1711972800",
    "1e400",
    "Mon, 1 Apr",
    "-5",
    "",
]
Row = dict[str, Any]


@dataclass(frozen=True)
class Nasty:
    """A file: `name` with its suffix, its bytes, and how many records it has; None where nobody can say."""

    name: str
    content: bytes
    records: int | None = None
    settings: tuple[tuple[str, Any], ...] = ()


def corpus(seed: int = 1) -> list[Nasty]:
    """The fixed corpus: at least 550 files, all names different."""
    draw = random.Random(seed)
    files = [*_broken(), *_dialects(draw), *_encodings(), *_json_lines(), *_parquet(), *_large()]
    added = [Nasty(name, content, records, tuple(settings.items())) for name, content, records, settings in more()]
    plain = [item for item in files if len(item.content) < 100_000 and not item.name.endswith(".gz")]
    files += _packed(plain[:12])
    files = list({item.name: item for item in files}.values())
    files += [mutated(draw, item, number) for number, item in enumerate(draw.choices(plain, k=60))]
    # last, so that the files before are those that they were
    return files + added


def generated(draw: random.Random, number: int) -> Nasty:
    """One random file; three in ten have some of their bytes changed."""
    rows = [
        {"title": draw.choice(TITLES), "description": draw.choice([*TITLES, None]), "time": draw.choice(TIMES)}
        | {name: draw.choice(TITLES) for name in draw.sample(NAMES, draw.randrange(3))}
        for _ in range(draw.choice([1, 2, 5, 30]))
    ]
    if draw.random() < 0.9:
        rows[0]["title"] = f"Usable {number}"
    kind = draw.choice(["csv", "json", "jsonl", "parquet"])
    if kind == "csv":
        names = list(dict.fromkeys(name for row in rows for name in row))
        item = _csv(
            f"g{number}.csv", rows, names, draw.choice(",;\t|"), draw.choice(["\n", "\r\n"]), draw.choice([0, 1])
        )
    elif kind == "jsonl":
        lines = (json.dumps(row, ensure_ascii=draw.random() < 0.5) for row in rows)
        item = Nasty(f"g{number}.jsonl", "\n".join(lines).encode(), len(rows))
    elif kind == "json":
        value = draw.choice([rows, {"status": "ok", "rows": rows}, {"n": 1, "response": {"rows": rows}, "end": [2]}])
        text = json.dumps(value, ensure_ascii=draw.random() < 0.5, indent=draw.choice([None, 0, 2]))
        item = Nasty(f"g{number}.json", text.encode(), len(rows))
    else:
        table = pa.table({name: [row.get(name) for row in rows] for name in dict.fromkeys(n for r in rows for n in r)})
        item = Nasty(f"g{number}.parquet", _parquet_bytes(table), len(rows))
    return mutated(draw, item, number) if draw.random() < 0.3 else item


def mutated(draw: random.Random, item: Nasty, number: int) -> Nasty:
    """The file with some bytes changed, inserted or lost, or cut off."""
    content = bytearray(item.content or b"x")
    for _ in range(draw.choice([1, 3, 20])):
        place, kind = draw.randrange(len(content)), draw.randrange(4)
        if kind == 0:
            content[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            content[place:place] = bytes([draw.choice([0, 10, 13, 34, 44, 255, 123, 92])])
        elif kind == 2 and len(content) > 1:
            del content[place]
        elif draw.random() < 0.1:
            del content[place + 1 :]
    return Nasty(f"m{number}-{item.name}", bytes(content), None, item.settings)


def _csv(name: str, rows: list[Row], names: list[str], delimiter: str, end: str, quoting: int) -> Nasty:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(names)
    writer.writerows([row.get(name) for name in names] for row in rows)
    return Nasty(name, text.getvalue().encode("utf-8", "surrogatepass"), len(rows))


def _broken() -> Iterator[Nasty]:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        file.writestr("xl/workbook.xml", "<x/>")
    contents = {
        "empty": b"",
        "spaces": b" \n \n",
        "header": b"title,description\n",
        "no-end": b"title\nabc",
        "bom-only": b"\xef\xbb\xbf",
        "nul": b"title\na\x00b\n\x00\n",
        "all-nul": b"\x00" * 1000,
        "bytes": bytes(range(256)) * 4,
        "open-quote": b'title\n"abc\ndef\nghi\n',
        "quote-in-middle": b'title\nab"c"d\n"x"y\n""\n""""\n',
        "ragged": b"title,a\n1\n1,2,3\n,\nx,y\n",
        "other-end": b"title\ra\rb\r",
        "mixed-ends": b"title\r\na\nb\rc\r\n\n\r\n",
        "no-title": b"headline\nabc\n",
        "twice": b"title,title,title\na,b,c\n",
        "html": b"<!DOCTYPE html><html><body>404</body></html>",
        "xlsx": zipped.getvalue(),
        "not-utf8": b"title,side\ncaf\xe9,x\nok,\xff\nfine,y\n",
        "million-empty-lines": b"title\n" + b"\n" * 1_000_000 + b"a\n",
        "only-delimiters": b",,,\n,,,\n",
        "sep": b"sep=;\ntitle;x\na;b\n",
        "comment": b"# made by\ntitle\na\n",
    }
    for name, content in contents.items():
        for suffix in ("csv", "tsv", "jsonl", "parquet"):
            yield Nasty(f"{name}.{suffix}", content)
    yield Nasty("not-gzip.csv.gz", b"\x1f\x8bnothing")
    yield Nasty("cut.csv.gz", gzip.compress(b"title\n" + b"abc\n" * 1000)[:-20])
    yield Nasty("trailing.csv.gz", gzip.compress(b"title\nabc\n") + b"\x00\x01rest")
    yield Nasty("members.csv.gz", gzip.compress(b"title\nabc\n") + gzip.compress(b"def\n"), 2)


def _dialects(draw: random.Random) -> Iterator[Nasty]:
    for number in range(40):
        rows = [{"title": draw.choice(TITLES), "side": draw.choice(TITLES)} for _ in range(9)] + [{"title": "usable"}]
        delimiter, end = draw.choice(",;\t|"), draw.choice(["\n", "\r\n"])
        yield _csv(f"dialect{number}.csv", rows, ["title", "side"], delimiter, end, draw.choice([0, 1, 2]))


def _encodings() -> Iterator[Nasty]:
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7", "shift_jis"):
        content = "title,x\ncafe,1\nnaive,2\n".encode(encoding)
        yield Nasty(f"{encoding}-untold.csv", content)
        yield Nasty(f"{encoding}.csv", content, 2, (("encoding", encoding),))


def _json_lines() -> Iterator[Nasty]:
    good = '{"title": "usable"}\n'
    lines = {
        "array": "[1, 2]\n",
        "deep": '{"title": "a", "x": ' + "[" * 100_000 + "\n",
        "deep-closed": '{"title": "a", "x": ' + "[" * 500 + "]" * 500 + "}\n",
        "surrogate": '{"title": "\\ud800"}\n{"\\udfff": 1}\n',
        "nan": '{"title": "a", "x": NaN}\n{"title": "b", "x": -Infinity}\n',
        "huge": '{"title": "a", "x": ' + "9" * 400 + "}\n",
        "huge-digits": '{"title": "a", "x": ' + "9" * 5000 + "}\n",
        "float": '{"title": "a", "x": 1e999}\n',
        "twice": '{"title": "a", "title": "b"}\n',
        "types": '{"title": 1}\n{"title": null}\n{"title": ["a"]}\n{"title": {"a": 1}}\n{"title": true}\n',
        "mixed": "".join(
            f'{{"title": "a", "x": {value}}}\n' for value in ("1", "1.5", '"a"', "[1]", "{}", "null", "true")
        ),
        "names": '{"title": "a", "": 1, " ": 2, "\\n": 3, "a.b": 4, "id": 5, "cluster": 6}\n',
        "many-keys": "".join(
            json.dumps({"title": "a", **{f"k{r}_{k}": k for k in range(100)}}) + "\n" for r in range(100)
        ),
        "comments": "// a\n{'title': 'a'}\n",
        "scalars": '1\n"a"\nnull\n',
        "crlf": '{"title": "a"}\r\n\r\n{"title": "b"}\r\n',
        "next-line": '{"title": "a\u2028b\u0085c"}\n',
    }
    for name, text in lines.items():
        records = sum(bool(line.strip()) for line in text.split("\n"))
        yield Nasty(f"{name}.jsonl", text.encode())
        yield Nasty(f"{name}-and-good.jsonl", (good + text).encode(), records + 1)


def _parquet_bytes(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def _parquet() -> Iterator[Nasty]:
    offsets = pa.array([0, 1, 2, 3], pa.int32()).buffers()[1]
    broken = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"a\xffc")])
    columns: dict[str, Any] = {
        "zone": pa.array([1, 2, None], pa.timestamp("us", "Mars/Phobos")),
        "far": pa.array([2**62, 2, None], pa.timestamp("us")),
        "nanoseconds": pa.array([1, 2, None], pa.timestamp("ns")),
        "date": pa.array([2**30, 2, None], pa.date32()),
        "duration": pa.array([2**62, 2, None], pa.duration("s")),
        "half": pa.array([1.5, float("nan"), None], pa.float16()),
        "unsigned": pa.array([2**64 - 1, 2, None], pa.uint64()),
        "null": pa.nulls(3),
        "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        "struct": pa.array([{"a": b"\xff"}, None, {"a": b""}]),
        "binary": pa.array([b"\xff", b"", None], pa.binary_view()),
        "dictionary": pa.array(["a", None, "b"]).dictionary_encode(),
        "broken": broken,
    }
    for name, column in columns.items():
        for role in ("side", "time", "source"):
            table = pa.table({"title": ["usable", "b", "c"], role: column})
            yield Nasty(f"{name}-{role}.parquet", _parquet_bytes(table), 3, (("time", "auto"),))
    yield Nasty("broken-title.parquet", _parquet_bytes(pa.table({"title": broken})), 3)
    yield Nasty("one-row-groups.parquet", _parquet_bytes(pa.table({"title": ["a"] * 300}), row_group_size=1), 300)
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["title", "title"])
    yield Nasty("twice.parquet", _parquet_bytes(twice), 1)
    whole = _parquet_bytes(pa.table({"title": ["a"] * 50}))
    yield Nasty("cut.parquet", whole[:-10])
    yield Nasty("long-footer.parquet", whole[:-8] + b"\xff\xff\xff\x7f" + whole[-4:])
    yield Nasty("no-rows.parquet", _parquet_bytes(pa.table({"title": pa.array([], pa.string())})), 0)


def _large() -> Iterator[Nasty]:
    names = ",".join(["title", *(f"c{number}" for number in range(20_000))])
    yield Nasty("columns.csv", f"{names}\n{'a,' * 20_000}b\n".encode(), 1)
    yield Nasty("equal-names.csv", (",".join(["title"] * 1000) + "\n" + ",".join(["a"] * 1000) + "\n").encode(), 1)
    yield Nasty("long-line.csv", b"title\n" + b"x" * 20_000_000 + b"\nb\n", 2)
    yield Nasty("long-title.jsonl", b'{"title": "' + b"x" * 1_000_000 + b'"}\n', 1)
    bomb = io.BytesIO()
    with gzip.open(bomb, "wb", compresslevel=6) as file:
        file.write(b"title\nfirst\n")
        for _ in range(1_000):
            file.write(b" " * 1_000_000)
        file.write(b"\nlast\n")
    yield Nasty("bomb.csv.gz", bomb.getvalue(), 3)
    quoted = b'title\n"' + b"open\n" * 200_000
    yield Nasty("open-for-long.csv", quoted)


def _packed(items: list[Nasty]) -> list[Nasty]:
    return [Nasty(f"{item.name}.gz", gzip.compress(item.content), item.records, item.settings) for item in items]
