"""`ailab-dataproc check`: what a strict colleague says, with where and what to do, and never a value."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from ailab_dataproc.cli import cli

GOOD = {
    "head": '"""One row is an order."""\nimport pyarrow as pa\nfrom ailab_dataproc import Dataset, column\n',
    "read": "def read(source):\n    yield {'order': 1, 'mail': 'ada@lab.test', 'amount': 2.5}\n"
    "    yield {'order': 2, 'mail': 'eve@lab.test', 'amount': 2.5}\n",
    "order": "column('order', pa.int64(), 'number of the order')",
    "mail": "column('mail', pa.string(), 'where the bill went', pii=True)",
    "amount": "column('amount', pa.float64(), 'sum of the order', unit='JPY')",
    "owner": "owner='shop-team'",
    "key": "key='order'",
    "license": "license='private'",
    "citation": "citation='none'",
    "release_notes": "release_notes={'1.0.0': 'First version.'}",
    "splits": "splits={'train': __file__}",
}


@pytest.fixture
def review(tmp_path, monkeypatch):
    """Check a definition in which some parts are written in another way; returns exit code and JSON."""
    monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "defs"))
    monkeypatch.setenv("AILAB_DATA_DIR", str(tmp_path / "data"))

    def reviewed(*options, test=True, **parts):
        told = GOOD | parts
        columns = ", ".join(told[name] for name in ("order", "mail", "amount"))
        words = ", ".join(
            told[key] for key in ("owner", "key", "license", "citation", "release_notes", "splits") if told[key]
        )
        text = (
            f"{told['head']}{told['read']}dataset = Dataset(name='lab/orders', version='1.0.0', description=__doc__, "
        )
        file = tmp_path / "defs/lab/orders.py"
        file.parent.mkdir(parents=True)
        file.write_text(f"{text}schema=pa.schema([{columns}]), read=read, {words})\n")
        if test:
            (tmp_path / "defs/_tests").mkdir()
            (tmp_path / "defs/_tests/test_orders.py").write_text("dataset = 'lab/orders'")
        done = CliRunner().invoke(cli, ["check", "lab/orders", "--json", *options], catch_exceptions=False)
        assert "lab.test" not in done.output
        return done.exit_code, json.loads(done.stdout)

    return reviewed


def test_a_good_definition_gets_no_finding(review):
    assert review() == (0, {"dataset": "lab/orders:1.0.0", "errors": 0, "warnings": 0, "findings": []})


SET = (
    "def read(source):\n    for word in {'a@lab.test', 'b@lab.test', 'c@lab.test', 'd@lab.test', 'e@lab.test'}:\n"
    "        yield {'order': 1, 'mail': word, 'amount': 1.0}\n"
)


@pytest.mark.parametrize(
    ("part", "text", "where", "what"),
    [
        ("owner", "", "owner", "nobody is named"),
        ("head", GOOD["head"].split("\n", 1)[1], "description", "doesn't say what one row is"),
        ("release_notes", "", "release_notes", "1.0.0 has no release note"),
        ("order", "column('order', pa.int64())", "column 'order'", "doesn't say what it means"),
        ("amount", "column('amount', pa.float64(), 'sum', unit='TODO')", "orders.py:7", "a TODO is left"),
        ("mail", "column('mail', pa.string(), 'where to')", "column 'mail'", "looks like mail addresses by its values"),
        ("mail", "column('mail', pa.int64(), 'where to')", "split 'train'", "row 1 of orders.py has mail="),
        ("read", SET, "split 'train', column 'mail'", "another value in row"),
        ("read", "def read(source):\n    raise KeyError(1)\n", "split 'train'", "read() raised KeyError"),
    ],
)
def test_what_others_cant_rely_on_is_an_error(review, part, text, where, what):
    if part == "mail" and "int64" in text:  # whose value would be shown
        text = text.replace("'where to')", "'where to', pii=True)")
    code, told = review(**{part: text})
    assert code == 1
    (found,) = [one for one in told["findings"] if one["severity"] == "error"]
    assert found["where"] == where
    assert what in found["what"]
    assert found["advice"]


@pytest.mark.parametrize(
    ("part", "text", "where"),
    [
        ("license", "", "license"),
        ("citation", "", "citation"),
        ("key", "", "key"),
        ("amount", "column('amount', pa.float64(), 'Amount.')", "column 'amount'"),
        ("test", False, "tests"),
    ],
)
def test_what_could_be_better_is_a_warning_and_no_failure(review, part, text, where):
    code, told = review(**{part: text})
    assert (code, [one["where"] for one in told["findings"]]) == (0, [where])


def test_a_column_that_was_looked_at_and_is_not_personal_gets_no_finding(review):
    assert review(mail="column('mail', pa.string(), 'of the shop itself', pii=False)")[1]["findings"] == []


def test_sources_that_arent_here_are_no_fault_of_the_definition(review, tmp_path):
    code, told = review(splits=f"splits={{'train': '{tmp_path}/nowhere.csv'}}")
    assert code == 0
    assert "no row was looked at" in told["findings"][0]["what"]


def test_other_sources_may_be_given(review, tmp_path):
    (tmp_path / "o.csv").write_text("x")
    splits = f"splits={{'train': '{tmp_path}/nowhere.csv'}}"
    assert review("--source", f"train={tmp_path}/o.csv", splits=splits)[1]["findings"] == []


def test_a_path_that_depends_on_where_a_command_starts_is_told(review, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "o.csv").write_text("x")
    told = review(splits="splits={'train': 'o.csv'}")[1]
    assert [(one["severity"], one["where"]) for one in told["findings"]] == [("warning", "split 'train'")]


def test_pii_false_is_no_other_version(make, tmp_path):
    """The fingerprint stays: the version is found, and not refused."""
    import pyarrow as pa

    from ailab_dataproc.columns import column

    first, then = (pa.schema([column("user", pa.int64(), pii=said)]) for said in (None, False))
    assert not make({"a.csv": "user\n1\n"}, schema=first).reused
    assert make({"a.csv": "user\n1\n"}, schema=then).reused


def test_the_table_is_for_people(tmp_path, monkeypatch):
    monkeypatch.setenv("AILAB_DATA_DIR", str(tmp_path))
    done = CliRunner().invoke(cli, ["check", "image_classification/digits"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "image_classification/digits:1.0.0: 1 warning"
