"""`ailab-dataproc new`: files that run at once, nothing overwritten, no personal value copied."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from ailab_dataproc.cli import cli

NAME = "products/shop/orders"
ORDERS = "order,mail,amount,coupon\n" + "".join(
    f"{row},ada{row}@lab.test,{row / 4},{'' if row == 14 else 'AUTUMN'}\n" for row in range(1, 41)
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a sample, in which commands are run; the settings name a folder of definitions."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "defs"))
    monkeypatch.setenv("AILAB_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "orders.csv").write_text(ORDERS)
    return tmp_path


def ask(*words):
    return CliRunner().invoke(cli, words, catch_exceptions=False)


def test_a_new_dataset_is_listed_and_prepared_at_once(place):
    assert ask("new", NAME, "--from", "orders.csv", "--owner", "shop-team").exit_code == 0
    listed = json.loads(ask("list", "--json").stdout)
    assert next(row for row in listed if row["name"] == NAME)["owner"] == "shop-team"
    done = ask("prepare", NAME, "--limit", "10", "--runner", "inline")
    assert f"{NAME}:1.0.0: 10 rows" in done.stdout


def test_the_last_lines_are_the_next_commands(place):
    lines = ask("new", NAME, "--from", "orders.csv").stdout.splitlines()
    assert lines[lines.index("next") + 1 :] == [
        f"  ailab-dataproc check {NAME}    # what is left to fill in",
        "  pytest defs/_tests/test_products_shop_orders.py",
        f"  ailab-dataproc prepare {NAME} --limit 100",
    ]


def test_a_folder_that_the_settings_dont_name_is_told_first(place, monkeypatch):
    monkeypatch.delenv("AILAB_DATASETS")
    found = ask("new", NAME, "--from", "orders.csv", "--folder", "mine").stdout
    assert "next\n  export AILAB_DATASETS=mine\n" in found


def test_the_dummy_rows_are_real_but_for_what_looks_personal(place):
    assert "made-up values in mail" in ask("new", NAME, "--from", "orders.csv").stdout
    dummy = (place / "defs/_tests/dummy" / NAME / "train.csv").read_text().splitlines()
    assert dummy[:3] == [
        "order,mail,amount,coupon",
        "1,person1@example.org,0.25,AUTUMN",
        "2,person2@example.org,0.5,AUTUMN",
    ]
    assert dummy[-1] == "14,person11@example.org,3.5,"  # the first row without a coupon
    assert not [path for path in place.rglob("defs/**/*") if path.is_file() and "lab.test" in path.read_text()]


def test_the_test_names_the_dataset_and_its_dummy_source(place):
    ask("new", NAME, "--from", "orders.csv")
    text = (place / "defs/_tests/test_products_shop_orders.py").read_text()
    assert text.endswith(
        "class TestOrders(DatasetTests):\n"
        f'    dataset = "{NAME}"\n'
        f'    sources = {{"train": "dummy/{NAME}/train.csv"}}\n'
    )


def test_in_a_repository_tests_and_changelog_stand_beside_the_package(place):
    (place / "pyproject.toml").write_text("")
    (place / "CHANGELOG.md").write_text("# Changes\n\nThe newest first.\n\n## 0.1.0\n\n- old\n")
    ask("new", NAME, "--from", "orders.csv")
    assert (place / "tests/test_products_shop_orders.py").exists()
    changes = (place / "CHANGELOG.md").read_text()
    assert changes.index("first.") < changes.index(f"`{NAME}` 1.0.0: First version.") < changes.index("## 0.1.0")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("o.jsonl", '{"user_id": 5, "tags": ["x"], "a.b": 1}\n{"user_id": 6, "tags": [], "a.b": null}\n'),
        ("o.txt", "a|b\n1|x\n"),
        ("o.csv", "5.1;3,5;Müller\n4.9;3,0;Ä\n".encode("latin-1")),
        ("o.csv", "a,a\n00123,x\n"),
        ("o.tsv", "a\tb\n1\t2024-01-02 03:04:05.5\n"),
    ],
)
def test_samples_of_all_kinds_run_at_once(place, name, text):
    (place / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    done = ask("new", "lab/odd", "--from", name)
    assert done.exit_code == 0, done.output
    done = ask("prepare", "lab/odd", "--limit", "5", "--runner", "inline")
    assert done.exit_code == 0, done.output


def test_without_a_sample_there_are_made_up_rows_to_start_from(place):
    assert "20 made-up rows" in ask("new", "lab/notes").stdout
    assert "name the real sources" in (place / "defs/lab/notes.py").read_text()
    assert "20 rows" in ask("prepare", "lab/notes", "--limit", "100", "--runner", "inline").stdout


def files(place):
    return {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "there", [f"{NAME}.py", "_tests/test_products_shop_orders.py", f"_tests/dummy/{NAME}/train.csv"]
)
def test_nothing_is_overwritten_and_nothing_written_where_a_file_is_there(place, there):
    (place / "defs" / there).parent.mkdir(parents=True)
    (place / "defs" / there).write_text("mine")
    before = files(place)
    done = ask("new", NAME, "--from", "orders.csv")
    assert done.exit_code == 2
    assert len(done.output.splitlines()) == 1
    assert files(place) == before


def test_a_name_that_exists_elsewhere_is_refused_with_its_place(place):
    (place / "defs").mkdir()
    done = ask("new", "image_classification/digits", "--from", "orders.csv")
    assert done.exit_code == 2
    assert "is defined already in" in done.output


def test_a_sample_that_cant_be_parsed_leaves_nothing(place):
    (place / "orders.csv").write_text("a,b\n1,2\n3\n")
    before = files(place)
    done = ask("new", NAME, "--from", "orders.csv")
    assert done.output.startswith("error: orders.csv: line 3 has 1 field, wanted 2")
    assert len(done.output.splitlines()) == 1
    assert files(place) == before
    assert not (place / "defs").exists()


def test_without_a_folder_the_way_out_is_told(place, monkeypatch):
    monkeypatch.delenv("AILAB_DATASETS")
    done = ask("new", NAME, "--from", "orders.csv")
    assert done.exit_code == 2
    assert "--folder my_datasets" in done.output


def test_rows_that_tfrecord_cant_hold_are_told_and_tested_as_parquet(place):
    (place / "o.jsonl").write_text('{"tags": ["x"]}\n{"tags": null}\n')
    told = ask("new", "lab/tags", "--from", "o.jsonl").stdout
    assert "! without TFRecord: " in told
    assert told.endswith("prepare lab/tags --limit 100 --formats parquet\n")
    assert 'formats = ("parquet",)' in (place / "defs/_tests/test_lab_tags.py").read_text()


def test_a_folder_given_as_the_sample_is_answered_with_a_pattern(place):
    assert "such as" in ask("new", NAME, "--from", str(place)).output


def test_what_an_object_holds_is_made_up_as_a_whole_where_it_looks_personal(place):
    (place / "o.jsonl").write_text('{"buyer": {"email": "ada@lab.test", "since": "2024-01-02", "n": 1}, "x": 1}\n')
    assert "made-up values in buyer" in ask("new", "lab/buyers", "--from", "o.jsonl").stdout
    dummy = (place / "defs/_tests/dummy/lab/buyers/train.jsonl").read_text()
    assert json.loads(dummy) == {"buyer": {"email": "made up 1", "since": "2000-01-01 01:00:00", "n": 1}, "x": 1}
