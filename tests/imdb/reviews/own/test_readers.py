"""Readers of own data: what they yield, and one clear message for each thing that can be wrong."""

import json
import os
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.imdb.reviews.own.class_folders import read_class_folders
from experiments.imdb.reviews.own.csv_file import read_csv
from experiments.imdb.reviews.own.json_lines import read_json_lines
from experiments.imdb.reviews.own.lines import read_lines
from experiments.imdb.reviews.own.parquet import read_parquet
from experiments.imdb.reviews.own.row import LABEL_MAX_CHARACTERS, LINE_MAX_BYTES, TEXT_MAX_BYTES

ROWS = [("a film", "good"), ('"so" to say,\nin two lines', "bad"), ("", "good"), ("é 日本 \U0001f600", "bad")]


def pairs(rows):
    return [(row.text, row.label) for row in rows]


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_csv_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"\xef\xbb\xbf"  # a byte order mark, as spreadsheets write it
        + b'id,label , text\r\n1,good,a film\r\n\r\n2,bad,"""so"" to say,\nin two lines"\r\n'
        + "3, good ,\r\n4,bad,é 日本 \U0001f600".encode()
    )
    rows = list(read_csv(path))
    assert pairs(rows) == ROWS
    assert [row.place for row in rows] == [f"{path}, line {line}" for line in (2, 4, 6, 7)]


def test_json_lines_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"label": label, "id": 3, "text": text}) for text, label in ROWS]
    path.write_text("\n\n".join(lines))
    rows = list(read_json_lines(path))
    assert pairs(rows) == ROWS
    assert [row.place for row in rows] == [f"{path}, line {line}" for line in (1, 3, 5, 7)]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_parquet_is_read_as_it_was_written(tmp_path, kind):
    texts, labels = zip(*ROWS * 400, strict=True)  # several batches
    path = parquet(tmp_path / "a.parquet", label=pa.array(labels, kind), text=pa.array(texts, kind), more=[[1]] * 1600)
    rows = list(read_parquet(path))
    assert pairs(rows) == ROWS * 400
    assert rows[1500].place == f"{path}, row 1500"


def test_class_folders_are_read_in_order(tmp_path):
    for name, text in (
        ("b/2.txt", "2"),
        ("b/10.txt", "10"),
        ("a/x.txt", "x"),
        ("unsup/0.txt", "0"),
        (".git/a.txt", ""),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "b" / "notes.md").write_text("other files are left out")
    (tmp_path / "notes.txt").write_text("and so are files beside the classes")
    assert pairs(read_class_folders(tmp_path)) == [("x", "a"), ("10", "b"), ("2", "b")]


@pytest.mark.parametrize(
    "labels, expected",
    [
        ([0, 1, 10], ["0", "1", "10"]),
        ([0.0, 1.0, 2.5], ["0", "1", "2.5"]),
        ([True, False, True], ["true", "false", "true"]),
        ([" a ", "b", "c\n"], ["a", "b", "c"]),
    ],
)
def test_labels_become_names_of_classes(tmp_path, labels, expected):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": "t", "label": label}) for label in labels))
    assert [row.label for row in read_json_lines(path)] == expected
    table = parquet(tmp_path / "a.parquet", text=["t"] * 3, label=labels)
    assert [row.label for row in read_parquet(table)] == expected


LONG = b"x" * (TEXT_MAX_BYTES + 1)
CSV = {
    "empty": (b"", r"a\.csv is empty\. Its first line must name the columns text and label"),
    "no header": (b"fine film,pos\n", r"has no column 'text'; it has 'fine film', 'pos'\. The columns must be called"),
    "another name": (b"review,label\na,b\n", "has no column 'text'; it has 'review', 'label'"),
    "semicolons": (b"text;label\na;b\n", "has no column 'text'; it has 'text;label'.*separated by commas"),
    "a name twice": (b"text,text,label\n", "has several columns 'text'"),
    "many columns": (b",".join(b"c%d" % i for i in range(50)), r"'c19', …\."),
    "too few fields": (b"text,label\na,b\nonly\n", r"line 3: 1 fields instead of 2\. Put texts that contain commas"),
    "too many fields": (b"text,label\nwell, well,b\n", "line 2: 3 fields instead of 2"),
    "no label": (b"text,label\na,b\na, \n", r"line 3: there is no label\. Add one, or remove the text"),
    "not UTF-8": (
        b'text,label\n"one\ntwo",b\ncaf\xe9 au lait,b\n',
        r"line 4, byte 26: b'\\xe9 au' is not UTF-8 .*Save the file as UTF-8",
    ),
    "UTF-16": ("text,label\n".encode("utf-16-le"), "line 1, byte 1: a NUL byte. Save the file as UTF-8, not UTF-16"),
    "a mark of UTF-16": ("text,label\n".encode("utf-16"), "line 1, byte 3: a NUL byte"),
    "a NUL": (b"text,label\na,b\nna\0me,b\n", "line 3, byte 17: a NUL byte"),
    "a long text": (b"text,label\n" + LONG + b",b\n", "line 2: a field has more than 1,048,576 characters"),
    "an open quote": (b'text,label\na,b\n"a film,b\nanother,b\n', "line 3: unexpected end of data. Check the quotes"),
    "a quote open for long": (b'text,label\n"' + b"a,b\n" * 300_000, "line 2: a field has more than 1,048,576"),
    "a quote within": (b'text,label\n"a "fine" film",b\n', "line 2: .*a quote within quotes is written \"\""),
    "text and label exchanged": (
        b"label,text\n" + b"y" * (LABEL_MAX_CHARACTERS + 1) + b",pos\n",
        r"line 2: the label 'yy+… has 201 characters, more than the 200 allowed\. Are text and label exchanged",
    ),
    "old line ends": (b"text,label\ra,b\rc,d\r", "line 1: "),
    "a long line": (b"text,label\n" + b"x" * (LINE_MAX_BYTES + 1), "line 2 has more than 8,388,608 bytes"),
}  # fmt: skip


@pytest.mark.fault(24)
@pytest.mark.parametrize("content, message", CSV.values(), ids=CSV.keys())
def test_csv_that_is_wrong_is_one_message(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        list(read_csv(tmp_path / "a.csv"))
    assert str(tmp_path / "a.csv") in str(raised.value)
    assert len(str(raised.value)) < 500 + len(str(tmp_path))


JSON = {
    "empty": (b"\n  \n", r"is empty\. Write one object with text and label on each line"),
    "one array": (b'[{"text": "a", "label": "b"}]', r"line 1: '\[\{.* is not an object\. Write one object on"),
    "an object over lines": (b'{\n"text": "a"\n}', r"line 1: '\{\\n' is not JSON .*Write one object on each line"),
    "no JSON": (b'{"text": "a", "label": "b"}\nfine film\n', "line 2: 'fine film"),
    "too deep": (b"[" * 100_000, "line 1: .* is not JSON"),
    "a huge number": (b'{"text": "a", "label": ' + b"9" * 5000 + b"}", "line 1: .* is not JSON"),
    "no label": (b'{"text": "a"}', "line 1: the object has no 'label'; it has 'text'"),
    "no text": (b'{"review": "a", "label": 1}', "has no 'text'; it has 'review', 'label'"),
    "null": (b'{"text": "a", "label": null}', "line 1: there is no label"),
    "NaN": (b'{"text": "a", "label": NaN}', "line 1: there is no label"),
    "an empty label": (b'{"text": "a", "label": "  "}', "line 1: there is no label"),
    "a list": (b'{"text": "a", "label": [1]}', r"line 1: the label is \[1\], neither a string nor a number"),
    "a text that is none": (b'{"text": 3, "label": 1}', "line 1: the text is 3, not a string"),
    "a missing text": (b'{"text": null, "label": 1}', "line 1: the text is None, not a string"),
    "a NUL": (b'{"text": "a\\u0000b", "label": 1}', r"the text 'a\\x00b' contains a NUL character"),
    "a NUL in the label": (b'{"text": "a", "label": "\\u0000"}', "the label .* contains a NUL character"),
    "half a pair": (b'{"text": "ab\\ud83d", "label": 1}', r"character 2 of the text, '\\ud83d', is half of a"),
    "half a pair in the label": (b'{"text": "a", "label": "\\ud83d"}', "of the label, .* is half of a surrogate"),
    "a long text": (b'{"text": "' + LONG + b'", "label": 1}', "line 1: the text has more than 1,048,576 bytes"),
    "a text long in bytes": (
        b'{"text": "' + b"\\u00e9" * (TEXT_MAX_BYTES // 2 + 1) + b'", "label": 1}',
        "line 1: the text has more than 1,048,576 bytes. Shorten it, or split it",
    ),
    "not UTF-8": (b'{"text": "caf\xe9", "label": 1}', "line 1, byte 13: "),
}  # fmt: skip


@pytest.mark.fault(24)
@pytest.mark.parametrize("content, message", JSON.values(), ids=JSON.keys())
def test_json_that_is_wrong_is_one_message(tmp_path, content, message):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        list(read_json_lines(tmp_path / "a.jsonl"))
    assert str(tmp_path / "a.jsonl") in str(raised.value)
    assert len(str(raised.value)) < 500 + len(str(tmp_path))


def not_utf8():
    return pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\4\0\0\0"), pa.py_buffer(b"caf\xe9")]
    )  # fmt: skip


@pytest.mark.parametrize(
    "columns, message",
    [
        (
            {"text": ["a"], "class": ["b"]},
            r"has no column 'label'; it has 'text', 'class'\. The columns must be called",
        ),
        ({"text": [["a", "b"]], "label": ["c"]}, r"the column 'text' has the type list<.*>\. Write it as strings"),
        ({"text": [{"en": "a"}], "label": ["c"]}, r"the column 'text' has the type struct<en: string>"),
        (
            {"text": ["a"], "label": [[1, 2]]},
            r"the column 'label' has the type list<.*>\. Write it as strings or numbers",
        ),
        ({"text": [b"a"], "label": [1]}, "the column 'text' has the type binary"),
        ({"text": [1], "label": [1]}, "the column 'text' has the type int64"),
        ({"text": ["a", None], "label": [1, 2]}, "row 1: the text is None, not a string"),
        ({"text": ["a", "b"], "label": [1, None]}, "row 1: there is no label"),
        ({"text": ["a", "b"], "label": [1.0, float("nan")]}, "row 1: there is no label"),
        ({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}, "has no rows"),
    ],
)
def test_parquet_that_is_wrong_is_one_message(tmp_path, columns, message):
    path = parquet(tmp_path / "a.parquet", **columns)
    with pytest.raises(ValueError, match=message) as raised:
        list(read_parquet(path))
    assert str(path) in str(raised.value)


def test_parquet_that_is_not_utf8_or_damaged_is_one_message(tmp_path):
    path = parquet(tmp_path / "a.parquet", text=not_utf8(), label=["x"])
    with pytest.raises(ValueError, match=r"a\.parquet can't be read as Parquet .*Write it again, with texts in UTF-8"):
        list(read_parquet(path))
    content = parquet(path, text=["a film"] * 100, label=["x", "y"] * 50).read_bytes()
    for damaged in (b"", b"PAR1", content[:-20], content[20:], b"text,label\na,b\n"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.parquet can't be read as Parquet"):
            list(read_parquet(path))


def test_folders_that_are_wrong_are_one_message(tmp_path):
    with pytest.raises(ValueError, match=r"has no sub-folders\. Put the texts of each class into a sub-folder"):
        list(read_class_folders(tmp_path))
    (tmp_path / "good").mkdir()
    with pytest.raises(ValueError, match=r"good has no \.txt files\. Put the texts of class 'good' there"):
        list(read_class_folders(tmp_path))
    path = tmp_path / "good" / "1.txt"
    for content, message in (
        (b"caf\xe9", r"1\.txt, byte 3: b'\\xe9' is not UTF-8"),
        (b"a\0b", r"1\.txt, byte 1: a NUL byte"),
        (LONG, r"1\.txt has more than 1,048,576 bytes"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            list(read_class_folders(tmp_path))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match=r"1\.txt is not a file\. Remove it"):
        list(read_class_folders(tmp_path))


def test_rows_are_read_one_at_a_time(tmp_path):
    """What is wrong at the end is not found at the beginning."""
    (tmp_path / "a.csv").write_bytes(b"text,label\na,b\n\xff")
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a", "label": "b"}\n\xff')
    for rows in (read_csv(tmp_path / "a.csv"), read_json_lines(tmp_path / "a.jsonl")):
        assert pairs([next(rows)]) == [("a", "b")]
        with pytest.raises(ValueError, match=r"line [23], byte"):
            next(rows)


def test_only_newlines_end_lines(tmp_path):
    (tmp_path / "a").write_bytes("a\u2028b\rc\r\nd".encode())
    assert list(read_lines(tmp_path / "a")) == ["a\u2028b\rc\r\n", "d"]
    assert re.fullmatch(r".", "\u2028")
