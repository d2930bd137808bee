"""From a sample to a definition's text: what is inferred, what is told, what is refused; whatever the texts hold."""

from __future__ import annotations

import gzip
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailab_dataproc import column, read_csv
from ailab_dataproc.adding.draft import Draft, definition_text
from ailab_dataproc.adding.naming import column_names
from ailab_dataproc.adding.personal import hint
from ailab_dataproc.adding.sampling import infer
from ailab_dataproc.columns import is_pii, stated_pii
from ailab_dataproc.dataset import Source
from ailab_dataproc.errors import AilabError, InvalidData

TYPES = [
    pa.int8(),
    pa.bool_(),
    pa.float16(),
    pa.float64(),
    pa.large_string(),
    pa.binary(),
    pa.date32(),
    pa.timestamp("us", "UTC"),
    pa.timestamp("s"),
    pa.duration("ms"),
    pa.decimal128(10, 2),
    pa.dictionary(pa.int32(), pa.string()),
    pa.list_(pa.float32(), 3),
    pa.list_(pa.field("item", pa.int64(), nullable=False)),
    pa.large_list(pa.string()),
    pa.struct([("a", pa.int64()), pa.field("b", pa.list_(pa.string()), nullable=False)]),
]
LONG = "a meaning that says so much that no line of the module holds it, " * 4


def made(draft):
    """The dataset that a draft's text makes."""
    names = {}
    exec(definition_text(draft), names)  # noqa: S102 - the text is what is tested
    return names["dataset"]


def draft_of(*fields, **given):
    fields = fields or (column("x", pa.int64(), "a number"),)
    return Draft(**{"name": "lab/things", "schema": pa.schema(fields), "splits": {"train": "a.csv"}} | given)


@pytest.fixture
def sample(tmp_path):
    """Write a file, and look at it."""

    def look(content, name="sample.csv", **told):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return infer(str(path), **told)

    return look


def types(found):
    return {one.name: f"{one.type}{'?' * one.nullable}" for one in found.schema}


@pytest.mark.parametrize("type_", TYPES, ids=str)
def test_a_definition_text_makes_the_column_again(type_):
    one = column("x", type_, "what it says", nullable=True, unit="JPY", pii=False)
    assert made(draft_of(one)).schema.equals(pa.schema([one]), check_metadata=True)


@given(
    text=st.text(),
    name=st.text(min_size=1, alphabet=st.characters(codec="utf-8", exclude_characters="/.", min_codepoint=32)),
)
def test_any_text_stands_in_a_definition_as_it_is(text, name):
    name = name.replace("\x7f", "_")
    dataset = made(draft_of(column(name, pa.int64(), text), owner=text, splits={"train": text or "x"}))
    assert dataset.schema.names == [name]
    assert dataset.owner == text
    assert dataset.splits["train"] == (text or "x",)
    assert (dataset.schema.field(0).metadata or {}).get(b"description", b"").decode() == text


@given(text=st.text(alphabet="ab\"\\\n '"))
def test_any_description_keeps_its_words(text):
    assert made(draft_of(description=f"x {text}")).description.split() == f"x {text}".split()


def test_a_definition_text_is_formatted_as_ruff_would(tmp_path):
    pytest.importorskip("ruff")
    fields = [column(f"c{number}", type_, LONG * (number % 2), pii=True) for number, type_ in enumerate(TYPES)]
    code = "def read(source):\n    return io.BytesIO()"
    told = {"remarks": {"c1": LONG}, "description": LONG, "code": code, "read": "read", "imports": ["import io"]}
    file = tmp_path / "things.py"
    file.write_text(definition_text(draft_of(*fields, **told, splits={"train": ["a" * 80, "b" * 80], "test": "c"})))
    for command in ("format --diff", "check --select E,F,I"):
        asked = f"-m ruff {command} --isolated --line-length 120 {file}"
        done = subprocess.run(
            [sys.executable, *asked.split()], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_pii_false_is_a_statement_and_no_marks_say_nothing():
    assert stated_pii(column("x", pa.int64(), pii=False)) is False
    assert stated_pii(column("x", pa.int64())) is None
    assert not is_pii(column("x", pa.int64(), pii=False))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a,b\n1,x\n2,\n", {"a": "int64", "b": "string?"}),
        ("a,b\n1,true\n2.5,False\n", {"a": "double", "b": "bool"}),
        ("a;b\n3,14;x\n2,5;y\n", {"a": "double", "b": "string"}),
        ("zip,big\n00123,12345678901234567890123\n", {"zip": "string", "big": "string"}),
        ("d,t,z\n2024-01-02,2024-01-02 03:04:05.125,2024-01-02T03:04:05Z\n", None),
        ("a,b\n1,\n2,\n", {"a": "int64", "b": "string?"}),
        ("a,b\n1,NA\nNA,2.5\n", {"a": "int64?", "b": "double?"}),
        ("a,b\n1,NA\n2,Windhoek\n", {"a": "int64", "b": "string"}),
        ('a,b\n1,"x, ""y""\nz"\n2,y\n', {"a": "int64", "b": "string"}),
        ("\ufeffa,b\r\n1,ä\r\n", {"a": "int64", "b": "string"}),
        ("a,b\n1,ä\n".encode("utf-16"), {"a": "int64", "b": "string"}),
        ("a\tb\n1\t2\n", {"a": "int64", "b": "int64"}),
    ],
)
def test_a_csv_file_tells_its_types_and_where_values_are_missing(sample, text, wanted):
    wanted = wanted or {"d": "date32[day]", "t": "timestamp[us]", "z": "timestamp[s, tz=UTC]"}
    assert types(sample(text)) == wanted


def test_a_packed_tsv_file_is_looked_at(sample):
    assert types(sample(gzip.compress(b"a\tb\n1\tx\n", mtime=0), "sample.tsv.gz")) == {"a": "int64", "b": "string"}


def test_json_lines_tell_lists_and_objects(sample):
    found = sample('{"a": [1], "b": {"c": null, "d": 1.5}}\n{"a": [], "e": 1}\n', "sample.jsonl")
    wanted = {"a": "list<item: int64>", "b": "struct<c: string, d: double>?", "e": "int64?"}
    assert types(found) == wanted
    assert "without any value" in found.remarks["b"]


def test_parquet_keeps_its_types_and_is_nullable_where_a_null_was_seen(tmp_path):
    pq.write_table(pa.table({"a": pa.array([1, None], pa.int8()), "b": ["x", "y"]}), tmp_path / "s.parquet")
    assert types(infer(str(tmp_path / "s.parquet"))) == {"a": "int8?", "b": "string"}


def test_names_that_cant_be_ours_are_changed_and_told(sample):
    found = sample(",a,a,b/c,d.e\n0,1,2,3,4\n")
    assert found.schema.names == ["row", "a", "a_2", "b_c", "d_e"]
    assert found.renamed["b/c"] == "b_c"


def test_no_two_columns_get_one_name():
    assert column_names(["a", "a_2", "a", "", " a "]) == ["a", "a_2", "a_3", "column_4", "a_4"]


def test_a_file_without_a_header_gets_numbered_names_and_says_so(sample):
    found = sample("5.1,x\n4.9,y\n")
    assert found.schema.names == ["column_1", "column_2"]
    assert found.rows == 2
    assert "--header" in found.found.notes[0]


def test_somebody_may_say_that_a_line_of_numbers_is_the_header(sample):
    assert sample("country,2019\nJP,1\n", header=True).schema.names == ["country", "2019"]


def test_a_word_among_thousands_of_numbers_is_told_by_its_row(sample):
    found = sample("v\n" + "".join(f"{'secret' if row == 5_000 else row}\n" for row in range(6_000)))
    assert types(found) == {"v": "string"}
    assert "5,999 of 6,000 values are integers, the first other one is in row 5,001" in found.remarks["v"]
    assert "secret" not in found.remarks["v"]


def test_text_that_isnt_utf8_is_read_and_told(sample):
    found = sample("a,b\n1,Müller\n".encode("latin-1"))
    assert found.found.values["b"].to_pylist() == ["Müller"]
    assert "--encoding" in found.found.notes[0]


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("contact", "a@example.org", "mail addresses by its values"),
        ("host", "192.0.2.7", "IP addresses by its values"),
        ("host", "2001:db8::1", "IP addresses by its values"),
        ("call", "+49 30 1234567", "telephone numbers by its values"),
        ("call", "090-1234-5678", "telephone numbers by its values"),
        ("host", "00:1b:44:11:3a:b7", "identifiers of devices by its values"),
        ("time", "09:30:00", ""),
        ("day", "01-02-2024", ""),
        ("userId", "17", "identifiers of people by its name"),
        ("device_id", "x", "identifiers of devices by its name"),
        ("date_of_birth", "x", "days of birth by its name"),
        ("user_feature_0", "ab12", ""),
        ("product_name", "jam", ""),
        ("price", "12.50", ""),
        ("placed", "2026-10-01 09:30:00", ""),
        ("version", "1.2.3", ""),
    ],
)
def test_a_column_that_looks_personal_is_named_with_the_reason(name, value, wanted):
    assert hint(name, pa.chunked_array([[value, None]])) == wanted


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([{"email": "x", "n": 1}], "mail addresses by its name, in its 'email'"),
        ([{"to": ["a@example.org"]}, None], "mail addresses by its values, in its 'to'"),
        ([["a@example.org"], []], "mail addresses by its values"),
        ([{"n": 1}], ""),
    ],
)
def test_what_objects_and_lists_hold_is_looked_at_too(values, wanted):
    assert hint("payload", pa.chunked_array([values])) == wanted


def test_what_looks_personal_is_protected_until_the_author_decides(sample):
    found = sample("mail,x\na@example.org,1\n")
    assert is_pii(found.schema.field("mail"))
    assert "write pii=False" in found.remarks["mail"]


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("s.csv", "", "s.csv: is empty"),
        ("s.csv", "\n \n", "s.csv: is empty"),
        ("s.csv", "a,b\n", "holds no row below its header"),
        ("s.csv", 'a,b\n1,"x\ny"\n2,3,4\n', "line 4 has 3 fields, wanted 2"),
        ("s.csv", 'a,b\n1,"x\n' + "2,y\n" * 50_000, "quote opened and never closed"),
        ("s.csv", b"a,b\n\0\1\n", "bytes that no text has"),
        ("s.xlsx", b"PK\x03\x04rest", "packed by ZIP"),
        ("s.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], "can't be read to its end"),
        ("s.jsonl", '{"a": 1}\n\n{"a":\n', r"line 3 is no JSON \(Expecting value at column 6\)"),
        ("s.jsonl", '{"a": 1}\n[1]\n', "line 2 is no JSON object"),
        ("s.jsonl", '{"a": 1}\n{"a": "x"}\n', "line 2 holds a JSON string in 'a', a number"),
        ("s.json", '[{"a": 1}]', "one JSON array"),
        ("s.parquet", b"PAR1 and no more", "can't be read as Parquet"),
    ],
)
def test_a_sample_that_cant_be_parsed_is_refused_with_line_and_reason(sample, name, content, wanted):
    with pytest.raises(InvalidData, match=wanted) as error:
        sample(content, name)
    assert "\n" not in str(error.value)


def test_a_sample_that_isnt_there_is_named(tmp_path):
    with pytest.raises(AilabError, match="doesn't exist"):
        infer(str(tmp_path / "nothing.csv"))


def test_files_of_one_pattern_are_looked_at_together(sample, tmp_path):
    sample("a,b\n1,2\n", "s1.csv")
    sample("a,b\n1.5,\n", "s2.csv")
    found = infer(str(tmp_path / "s*.csv"))
    assert types(found) == {"a": "double", "b": "int64?"}
    assert len(found.files) == 2


def test_files_with_other_columns_are_refused_by_name(sample, tmp_path):
    sample("a,b\n1,2\n", "s1.csv")
    sample("a,c\n1,2\n", "s2.csv")
    with pytest.raises(InvalidData, match=r"s2\.csv: has other columns than s1\.csv"):
        infer(str(tmp_path / "s*.csv"))


AB = pa.schema([column("a", pa.int64()), column("b", pa.string(), nullable=True)])


@pytest.mark.parametrize(
    ("content", "told", "wanted"),
    [
        ("a,b\n1,NA\n", {"nulls": ["NA"]}, None),
        ("q;b\n1;x\n", {"delimiter": ";", "names": {"q": "a"}}, "x"),
        ("1,x\n", {"header": False, "names": ["a", "b"]}, "x"),
        ("c,c\n1,x\n", {"names": ["a", "b"]}, "x"),
        ("a,b\n1,Ä\n".encode("cp1252"), {"encoding": "cp1252"}, "Ä"),
    ],
)
def test_read_csv_reads_files_that_are_written_in_other_ways(tmp_path, content, told, wanted):
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rows = [row for batch in read_csv(Source(str(path), "train"), AB, **told) for row in batch.to_pylist()]
    assert rows == [{"a": 1, "b": wanted}]


@pytest.mark.parametrize(("header", "text"), [(True, "q,b\n1,x\nbad,y\n"), (False, "1,x\nbad,y\n")])
def test_read_csv_names_row_and_column_also_of_other_headers(tmp_path, header, text):
    (tmp_path / "a.csv").write_text(text)
    told = {"names": {"q": "a"}} if header else {"header": False, "names": ["a", "b"]}
    with pytest.raises(InvalidData, match=r"row 2 of a\.csv has a='bad', want int64"):
        list(read_csv(Source(str(tmp_path / "a.csv"), "train"), AB, **told))


def test_read_csv_never_makes_an_empty_text_of_a_mark_for_no_value(make, tmp_path):
    schema = pa.schema([column("a", pa.string())])
    with pytest.raises(InvalidData, match="isn't nullable"):
        make({"a.csv": "a\nNA\n"}, schema=schema, read=lambda source: read_csv(source, schema, nulls=["NA"]))
