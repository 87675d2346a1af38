"""More odd files for the corpus of `nasty_files.py`: quotes that chain, other kinds of file under a known suffix, texts
that mean something elsewhere, and Parquet that unpacks to far more than it is."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq

Made = tuple[str, bytes, int | None, dict[str, Any]]

# as lines of a CSV of two columns
QUOTES = {
    "both-ways": 'x","y',
    "both-ways-empty": 'a","',
    "opens": '"a',
    "opens-second": 'x,"y',
    "doubled": '""",""',
    "only-quotes": '"',
    "three": '"""',
    "escaped": '"a \\"b\\" c",1',
    "continues": '"a"b,1',
    "space-before": ' "a",1',
    "space-after": '"a" ,1',
    "single": "'a, b',1",
    "curly": "“a, b”,1",
    "even-then-open": '"",a""","',
}
MEANINGFUL = {
    "sql": "'; DROP TABLE headlines; --",
    "path": "../../../../etc/passwd",
    "percent": "%s%s%s%n %(title)s",
    "braces": "{0.__class__.__mro__} {title} {{x}}",
    "jndi": "${jndi:ldap://localhost/a}",
    "shell": "$(reboot) `reboot` ; reboot | reboot",
    "yaml": "!!python/object/apply:os.system ['true']",
    "html": "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "comment": "--></style><!--",
    "markdown": "[a](javascript:alert(1)) ![b](http://localhost/c)",
    "ansi": "\x1b]0;title\x07\x1b[31mred",
    "backspaces": "good\x08\x08\x08\x08evil",
    "zalgo": "Z" + "\u0300\u0301\u0302" * 30_000,
    "hangul": "\u1160\u3164\uffa0 b",
    "tags": "a\U000e0041\U000e007f",
    "family": "👨\u200d👩\u200d👧\u200d👦" * 500,
    "nonchar": "\ufffe\uffff\U0010ffff",
    "private": "\ue000\U000f0000",
    "isolates": "\u2066a\u2069\u2067b\u202a",
    "composed": "\ufb2c\u0958\u2126\uf900",
    "line-ends": "a\x0bb\x0cc\x1cd\x1de\x85f\u2029g",
    "long-word": "ä" * 200_000,
    "template": "{{ 7*7 }} <%= 7 %> #{7}",
    "entity": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
}
JSON = {
    "no-newline": '{"title": "a"}{"title": "b"}',
    "pretty": '{\n  "title": "a"\n}\n',
    "array-lines": '[\n{"title": "a"},\n{"title": "b"}\n]\n',
    "comma": '{"title": "a",}\n{"title": "b"},\n',
    "separator": '\x1e{"title": "a"}\n\x1e{"title": "b"}\n',
    "proto": '{"title": "a", "__proto__": {"x": 1}, "constructor": 1}\n',
    "zero": '{"title": "a", "x": -0, "y": -0.0, "z": 1e-400}\n',
    "exponent": '{"title": "a", "x": 1e1000000000}\n',
    "escape": '{"title": "\\x41"}\n{"title": "\\u12"}\n{"title": "\\u0000"}\n',
    "control": '{"title": "a\tb"}\n{"title": "a\x01b"}\n',
    "same-key": "{" + ", ".join(['"title": "a"'] * 50_000) + "}\n",
    "long-key": json.dumps({"title": "a", "k" * 1_000_000: 1}) + "\n",
    "key-newlines": json.dumps({"title": "a", "a\nb": 1, "a\rb": 2, 'a"b': 3, "a,b": 4}) + "\n",
    "nulls": json.dumps({"title": "a", **{f"k{number}": None for number in range(5_000)}}) + "\n",
    "brace": "{\n{\n}\n",
    "names": '{"Title": "a"}\n{"TITLE": "b"}\n{" title": "c"}\n',
    "python": "{'title': None, 'x': True}\n",
    "bom": '\ufeff{"title": "a"}\n\ufeff{"title": "b"}\n',
    "sources": '{"title": "a", "source": {"name": {"name": 1}}}\n{"title": "b", "source": "{\\"name\\": 5}"}\n',
}


def more() -> Iterator[Made]:
    """Name, bytes, number of records or None, and settings of each file."""
    yield from _quotes()
    yield from _meaningful()
    for name, text in JSON.items():
        yield f"json-{name}.jsonl", text.encode(), None, {}
        good = '{"title": "usable"}\n'
        records = sum(bool(line.strip()) for line in text.split("\n")) + 1
        yield f"json-{name}-and-good.jsonl", (good + text).encode(), records, {}
    yield from _arrays()
    yield from _other_kinds()
    yield from _lines_and_encodings()
    yield from _stored()
    yield from _unpacking()


def _quotes() -> Iterator[Made]:
    for name, line in QUOTES.items():
        yield f"quotes-{name}.csv", f"title,n\ngood,1\n{line}\nlast,1\n".encode(), None, {}
        yield f"quotes-{name}-many.csv", f"title,n\ngood,1\n{(line + chr(10)) * 20_000}".encode(), None, {}
    yield "quotes-2mb.csv", b"title,n\ngood,1\n" + b'x","y\n' * 330_000, 330_001, {}
    yield "quotes-in-one-line.csv", b"title,n\ngood,1\n" + b'"' * 2_000_001 + b"\n", 2, {}
    yield "quotes-wide.csv", b"title,n\ngood,1\n" + b'a","' * 500_000 + b"\nlast,1\n", None, {}
    yield "quotes-long-lines.csv", b"title,n\n" + (b'x","' + b"y" * 100_000 + b"\n") * 200, 200, {}
    yield "rejects.csv", b"title,n\ngood,1\n" + b"bad\n" * 500_000, 500_001, {}


def _meaningful() -> Iterator[Made]:
    for name, text in MEANINGFUL.items():
        line = json.dumps({"title": text, "source": text, "time": text, text[:50]: text}) + "\n"
        yield f"means-{name}.jsonl", line.encode(), 1, {"time": "auto"}
        cell = '"' + text.replace('"', '""') + '"'
        yield f"means-{name}.csv", f"title,source,{cell}\nusable,b,c\n{cell},{cell},{cell}\n".encode(), None, {}


def _arrays() -> Iterator[Made]:
    """Arrays of JSON objects, good and bad."""
    for name, text in JSON.items():
        elements = ['{"title": "usable"}', *filter(str.strip, text.split("\n"))]
        yield f"array-{name}.json", f"[{','.join(elements)}]".encode(), None, {}
    good = json.dumps([{"title": f"headline {number}", "n": number} for number in range(20_000)], indent=1)
    yield "array-long.json", good.encode(), 20_000, {}
    yield "array-long.json.gz", gzip.compress(good.encode()), 20_000, {}
    yield "array-utf-16.json", good.encode("utf-16"), 20_000, {"encoding": "utf-16"}
    yield "array-cut.json", good[: len(good) // 2].encode(), None, {}
    yield "array-twice.json", (good + good).encode(), None, {}
    yield "array-scalars.json", json.dumps([{"title": "a"}, *[1, None, "a", [], 0.5] * 10_000]).encode(), 50_001, {}
    yield "array-open.json", b"[" * 1_000_000, None, {}
    yield "array-open-string.json", b'[{"title": "' + b"x" * 50_000_000, None, {}
    yield "array-space.json", b"[" + b" \n" * 10_000_000 + b'{"title": "a"}' + b"\n" * 10_000_000 + b"]", 1, {}
    yield "array-long-element.json", b'[{"title": "' + b"x" * 20_000_000 + b'"}, {"title": "a"}]', 2, {}
    yield from _within()


def _within() -> Iterator[Made]:
    """Arrays within an object, as news services answer; and objects of several lines."""
    for name, text in JSON.items():
        elements = ['{"title": "usable"}', *filter(str.strip, text.split("\n"))]
        yield f"within-{name}.json", f'{{"n": 1, "rows": [{",".join(elements)}]}}'.encode(), None, {}
    rows = [{"title": f"headline {number}", "n": number} for number in range(20_000)]
    good = json.dumps({"status": "ok", "response": {"page": 1, "rows": rows}, "more": [1, 2]}, indent=1)
    yield "within-long.json", good.encode(), 20_000, {}
    yield "within-cut.json", good[: len(good) // 2].encode(), None, {}
    yield "within-twice.json", (good + good).encode(), None, {}
    several = {"world": rows[:5], "local": {"north": rows[5:8], "south": rows[8:9]}, "date": "today"}
    yield "within-several.json", json.dumps(several).encode(), 9, {}
    for count, found in ((5_000, 5_000), (50_000, None)):
        many = {f"k{number}": [{"title": "a"}] for number in range(count)}
        yield f"within-{count}-arrays.json", json.dumps(many).encode(), found, {}
    for count, found in ((5_000, 20_000), (100_000, None)):
        values = {f"k{number}": number for number in range(count)} | {"rows": rows}
        yield f"within-{count}-values.json", json.dumps(values).encode(), found, {}
    yield "within-key-twice.json", b'{"a": [{"title": "a"}], "a": 1, "a": [{"title": "b"}, 3]}', 3, {}
    yield "within-empty.json", b'{"status": "ok", "articles": []}', None, {}
    spread = "\n".join(json.dumps(row | {"related": rows[:2]}, indent=1) for row in rows)
    yield "spread-long.json", spread.encode(), 20_000, {}
    yield "spread-cut.json", spread[: len(spread) // 2].encode(), None, {}
    yield "spread-of-one.json", json.dumps({"title": "a", "rows": rows}, indent=1).encode(), 1, {}
    yield "within-open.json", b'{"a": ' * 300_000, None, {}
    yield "within-open-key.json", b'{"' + b"x" * 50_000_000, None, {}
    yield "within-long-value.json", b'{"x": "' + b"x" * 20_000_000 + b'", "rows": [{"title": "a"}]}', None, {}


def _other_kinds() -> Iterator[Made]:
    """What a newcomer may have under a name that ends in .csv, .jsonl or .parquet."""
    text, table = b"title\nusable\n", pa.table({"title": ["usable"]})
    packed, zipped, arrow, orc = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a.csv", text)
    with tarfile.open(fileobj=packed, mode="w") as file:
        about = tarfile.TarInfo("a.csv")
        about.size = len(text)
        file.addfile(about, io.BytesIO(text))
    pyarrow.feather.write_feather(table, arrow)
    pa.orc.write_table(table, orc)
    kinds = {
        "bz2": bz2.compress(text),
        "xz": lzma.compress(text),
        "zstd": pa.compress(text, codec="zstd", asbytes=True),
        "zip": zipped.getvalue(),
        "zip-cut": zipped.getvalue()[:-9],
        "gzip-twice": gzip.compress(gzip.compress(text)),
        "tar": packed.getvalue(),
        "feather": arrow.getvalue(),
        "orc": orc.getvalue(),
        "pickle": pickle.dumps({"title": ["usable"]}),
        "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n",
        "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        "elf": b"\x7fELF\x02\x01\x01" + bytes(57),
        "sqlite": b"SQLite format 3\x00" + bytes(84),
        "rss": b'<?xml version="1.0"?><rss><channel><item><title>a</title></item></channel></rss>',
        "yaml": b"- title: a\n  source: b\n- title: c\n",
        "mail": b"From a@b Mon Apr 1\nSubject: a\n\ntitle\n",
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
        "encrypted": b"PARE" + bytes(40) + b"PARE",
        "python-list": b"['a', 'b', 'c']\n",
    }
    for name, content in kinds.items():
        for suffix in ("csv", "jsonl", "parquet"):
            yield f"kind-{name}.{suffix}", content, None, {}


def _lines_and_encodings() -> Iterator[Made]:
    ends = {"cr-cr-lf": "\r\r\n", "lf-cr": "\n\r", "nul": "\0", "vt": "\x0b", "nel": "\x85", "record": "\x1e"}
    for name, end in ends.items():
        yield f"ends-{name}.csv", end.join(["title", "usable", "b", ""]).encode(), None, {}
    for delimiter in ("::", "^", "\x01", "~", " ", "，", "\\t"):
        name = "-".join(f"{ord(each):x}" for each in delimiter)
        lines = [delimiter.join(cells) for cells in (("title", "n"), ("usable", "1"), ("b", "2"))]
        yield f"delimiter-{name}.csv", "\n".join(lines).encode(), None, {}
    text = "title,x\nusable,1\nnews,2\n"
    for encoding in ("cp037", "big5", "gb18030", "euc_jp", "koi8_r", "mac_roman", "iso2022_jp", "utf-32-le", "ascii"):
        yield f"coded-{encoding}.csv", text.encode(encoding), 2, {"encoding": encoding}
    for encoding in ("utf-16", "utf-32", "utf-16-be", "utf-7", "idna", "punycode", "unicode_escape"):
        yield f"wrongly-{encoding}.csv", text.encode(), None, {"encoding": encoding}
    yield "cut-utf-16.csv", text.encode("utf-16")[:-1], None, {"encoding": "utf-16"}
    yield "overlong.csv", b"title\nusable\n\xc0\x80\n\xf5\x80\x80\x80\n\xed\xa0\xbd\xed\xb8\x80\n\xf0\x9f\n", 5, {}
    yield "two-marks.csv", b"\xef\xbb\xbf\xef\xbb\xbftitle,x\na,1\n", None, {}


def _bytes(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def _stored() -> Iterator[Made]:
    """Parquet of all codecs, encodings and versions, and of types that few have."""
    table = pa.table({"title": [f"t{number}" for number in range(300)], "side": ["a", "b", None] * 100})
    for codec in ("none", "snappy", "gzip", "brotli", "lz4", "zstd"):
        yield f"codec-{codec}.parquet", _bytes(table, compression=codec), 300, {}
    for encoding in ("PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"):
        content = _bytes(table, use_dictionary=False, column_encoding=encoding, data_page_version="2.0")
        yield f"encoding-{encoding}.parquet", content, 300, {}
    for version in ("1.0", "2.4", "2.6"):
        yield f"version-{version}.parquet", _bytes(table, version=version, write_statistics=False), 300, {}
    whole = _bytes(table)
    yield "twice-over.parquet", whole + whole, None, {}
    yield "tail.parquet", whole + b"\n", None, {}
    for place in range(4, len(whole) - 8, len(whole) // 16):
        yield f"flipped-{place}.parquet", whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :], None, {}
    deep: pa.DataType = pa.string()
    for _ in range(40):
        deep = pa.struct([("a", deep)])
    columns = {
        "deep": pa.nulls(1, deep),
        "decimal": pa.array([None], pa.decimal256(76, 0)),
        "fixed-list": pa.array([[1, 2]], pa.list_(pa.int8(), 2)),
        "time": pa.array([86_399_999_999], pa.time64("us")),
        "lists": pa.array([[[[[]]], [None]]]),
        "uuid": pa.array([bytes(16)], pa.uuid()),
        "bool": pa.array([None], pa.bool_()),
    }
    for name, column in columns.items():
        yield f"type-{name}.parquet", _bytes(pa.table({"title": ["usable"], "side": column})), 1, {}
    yield "no-columns.parquet", _bytes(pa.table({})), None, {}
    wide = pa.table({"title": ["usable"], **{f"c{number}": ["a"] for number in range(5_000)}})
    yield "columns.parquet", _bytes(wide), 1, {}
    names = pa.table({"title": ["usable"], "a.b": ["c"], "": ["d"], "\n": ["e"], "list.element": [["f"]]})
    yield "odd-names.parquet", _bytes(names), 1, {}


def _unpacking() -> Iterator[Made]:
    """Small files of long values: each row is one record, whether it is taken or not."""
    titles = pa.array(["first", "second", "third"])
    for name, dictionary in (("plain", False), ("dictionary", True)):
        table = pa.table({"title": titles, "side": ["a", "x" * 100_000_000, None]})
        yield f"long-cell-{name}.parquet", _bytes(table, use_dictionary=dictionary, compression="zstd"), 3, {}
        table = pa.table({"title": ["first", "x" * 20_000_000, "third"]})
        yield f"long-title-{name}.parquet", _bytes(table, use_dictionary=dictionary, compression="zstd"), 3, {}
    once = pa.DictionaryArray.from_arrays(pa.array([0] * 150 + [1], pa.int32()), ["x" * 17_000_000, "usable"])
    yield "one-text-for-all.parquet", _bytes(pa.table({"title": once}), compression="zstd"), 151, {}
    many = pa.table({"title": [f"t{number}" for number in range(3)], "side": [["x" * 100] * 200_000, [], None]})
    yield "long-list.parquet", _bytes(many, compression="zstd"), 3, {}
    limits = pa.table({"title": ["a" * 1_000_000, "a" * 1_000_001, "é" * 1_000_000]})
    yield "at-the-limit.parquet", _bytes(limits), 3, {"max_line_mb": 1}
    yield "single-row-groups.parquet", _bytes(pa.table({"title": ["a"] * 3_000}), row_group_size=1), 3_000, {}
