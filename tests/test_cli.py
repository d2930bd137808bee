"""The command line: what people type first, what scripts read, what goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ailab_dataproc.cli import cli

NAME = "products/shop/clicks"
DEFINITION = """
import pyarrow as pa
from ailab_dataproc import Dataset, column

dataset = Dataset(
    name="products/shop/clicks", version="1.0.0", owner="shop-team", description="One row is a click.\\nMore.",
    schema=pa.schema([
        column("user", pa.string(), "mail address", pii=True),
        column("price", pa.float64(), "as shown", unit="JPY", nullable=True),
        column("payload", pa.binary(), "raw"),
    ]),
    splits={"train": "somewhere", "test": "elsewhere"},
    sources=lambda split, text: [__import__("ailab_dataproc").Source(url=text, split=split, identity="1")],
    read=lambda source: [{"user": "a@example.org", "price": None if i else float("nan"), "payload": b"x"}
                         for i in range(3 if source.split == "train" else 2)],
)
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with one definition, and an empty data directory."""
    place = tmp_path / "definitions" / f"{NAME}.py"
    place.parent.mkdir(parents=True)
    place.write_text(DEFINITION)
    monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / "definitions"))
    monkeypatch.setenv("AILAB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.fixture
def prepared(shop):
    assert ask("prepare", NAME, "--runner", "inline").exit_code == 0
    return shop / "data" / NAME / "1.0.0"


def ask(*words):
    return CliRunner().invoke(cli, words, catch_exceptions=False)


def ask_json(*words):
    return json.loads(ask(*words, "--json").stdout)


def test_help_imports_nothing_heavy():
    heavy = ("pyarrow", "pandas", "numpy", "dask", "apache_beam", "tensorflow", "rich", "pydantic")
    code = (
        "import sys; from ailab_dataproc.cli import cli; cli(['--help'], standalone_mode=False);"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_teaches_with_an_example():
    for name, command in cli.commands.items():
        text = ask(name, "--help").stdout
        assert f"ailab-dataproc {command.name}" in text


def test_a_defined_dataset_is_listed_before_it_is_prepared(shop):
    row = next(row for row in ask_json("list") if row["name"] == NAME)
    assert (row["version"], row["rows"], row["owner"], row["description"]) == (
        None,
        None,
        "shop-team",
        "One row is a click.",
    )


def test_a_prepared_dataset_is_listed_with_its_version_and_rows(prepared):
    row = next(row for row in ask_json("list") if row["name"] == NAME)
    assert (row["version"], row["rows"]) == ("1.0.0", 5)


def test_a_broken_definition_hides_no_other(shop):
    (shop / "definitions" / "products" / "shop" / "broken.py").write_text("1 / 0")
    found = ask("list").stdout
    assert NAME in found
    assert "! products/shop/broken: " in found
    assert "ZeroDivisionError" in found


def test_describe_tells_of_a_dataset_that_is_only_defined(shop):
    found = ask("describe", NAME).stdout
    assert "mail address" in found
    assert f"Not prepared yet. Run: ailab-dataproc prepare {NAME}" in found


def test_describe_tells_of_a_dataset_that_is_only_prepared(prepared, monkeypatch):
    monkeypatch.delenv("AILAB_DATASETS")
    told = ask_json("describe", NAME)
    assert told["defined"] is None
    assert told["splits"] == {"train": 3, "test": 2}


def test_the_lines_that_describe_gives_do_load(prepared):
    import ailab_dataproc as adp

    lines = ask_json("describe", f"{NAME}:1.0.0")["load"]
    assert set(lines) == {"pandas", "dask", "numpy", "tfds"}
    for way in ("pandas", "dask", "numpy"):
        frame = eval(lines[way], {"adp": adp})  # noqa: S307 - this is what a reader would do
        assert list(frame) == ["price", "payload"]


def test_plan_explains_its_choice(prepared):
    assert "-> pandas" in ask("plan", NAME, "--columns", "price").stdout
    assert ask_json("plan", NAME, "--columns", "price", "--backend", "arrow")["backend"] == "arrow"


def test_plan_names_the_option_that_allows_personal_data(prepared):
    found = ask("plan", NAME)
    assert found.exit_code == 2
    assert "--allow-pii" in found.stderr


def test_head_masks_personal_data(prepared):
    found = ask("head", NAME, "--split", "train").stdout
    assert found.count("•••") == 3
    assert "example.org" not in found


def test_head_shows_personal_data_where_it_is_allowed(prepared):
    assert ask("head", NAME, "-n", "2", "--allow-pii").stdout.count("a@example.org") == 2


def test_head_gives_as_many_rows_as_there_are(prepared):
    found = ask_json("head", NAME, "--split", "train[1:]+test", "-n", "99")
    assert len(found["rows"]) == 4
    assert found["hidden"] == ["user"]


def test_json_holds_what_json_has_no_word_for(prepared):
    found = ask_json("head", NAME, "--columns", "price,payload", "-n", "2")
    assert found["rows"] == [{"price": "nan", "payload": "eA=="}, {"price": None, "payload": "eA=="}]


def test_verify_says_that_all_is_well(prepared):
    assert (ask("verify", NAME).exit_code, ask_json("verify", NAME, "--quick")["faults"]) == (0, [])


def test_verify_names_a_damaged_shard_and_fails(prepared):
    shard = next((prepared / "parquet").glob("train*"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    found = ask("verify", NAME)
    assert found.exit_code == 1
    assert f"parquet/{shard.name} has other bytes" in found.stdout


def test_verify_names_a_missing_index(prepared):
    (prepared / "index.parquet").unlink()
    found = ask("verify", NAME)
    assert (found.exit_code, found.stdout.splitlines()[0]) == (1, "index.parquet is missing")


def test_verify_names_an_index_that_is_not_the_manifests(prepared):
    (prepared / "index.parquet").write_bytes(b"x")
    faults = ask_json("verify", NAME)["faults"]
    assert faults == [{"path": "index.parquet", "what": "is not the index that the manifest was written with"}]


def test_verify_names_missing_and_foreign_files(prepared):
    shard = next((prepared / "parquet").glob("train*"))
    other = next((prepared / "tfrecord").glob("clicks-test*"))
    shard.rename(shard.with_name("stranger.parquet"))
    other.write_bytes(other.read_bytes()[:-1])
    assert [fault["path"] for fault in ask_json("verify", NAME, "--quick")["faults"]] == [
        f"parquet/{shard.name}",
        f"tfrecord/{other.name}",
        "parquet/stranger.parquet",
    ]


@pytest.mark.parametrize("command", ["prepare", "describe", "plan", "head", "verify"])
def test_a_wrong_name_gets_one_line_with_the_nearest(shop, command):
    found = ask(command, "products/shop/click")
    assert found.exit_code == 2
    assert found.stderr.startswith("error: ")
    assert found.stderr.count("\n") == 1
    assert f"Did you mean '{NAME}'" in found.stderr


def test_a_wrong_command_gets_the_nearest():
    found = ask("prepar")
    assert found.exit_code == 2
    assert "prepare" in found.stderr


def test_a_source_is_split_and_path(shop):
    found = ask("prepare", NAME, "--source", "raw.csv")
    assert found.exit_code == 2
    assert "SPLIT=PATH" in found.stderr


def test_verbose_shows_the_traceback_wherever_it_stands(shop):
    assert "Traceback" in ask("describe", "no/such", "--verbose").stderr
    assert "Traceback" not in ask("describe", "no/such").stderr


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (RuntimeError("boom"), 70)])
def test_what_stops_a_command_has_its_exit_code(shop, monkeypatch, raised, code):
    def stop(*_args):
        raise raised

    monkeypatch.setattr("ailab_dataproc.describing.list_datasets", stop)
    found = ask("list")
    assert found.exit_code == code
    assert "Traceback" not in found.stderr


def test_completion_knows_the_catalog(shop):
    words = {"COMP_WORDS": "ailab-dataproc describe products/sh", "COMP_CWORD": "2"}
    found = CliRunner().invoke(
        cli, [], env={**words, "_AILAB_DATAPROC_COMPLETE": "bash_complete"}, prog_name="ailab-dataproc"
    )
    assert NAME in found.stdout


def test_the_completion_script_is_printed():
    assert "_AILAB_DATAPROC_COMPLETE=zsh_complete" in ask("completion", "zsh").stdout


def test_the_demo_loads_with_every_backend(tmp_path):
    command = [sys.executable, "-m", "ailab_dataproc", "demo", "--rows", "1000", "--data-dir", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "failed" not in found
    for line in ("arrow", "numpy", "pandas"):
        assert f"\n{line} " in found


def test_head_shows_the_first_rows_that_a_filter_keeps(prepared):
    found = ask_json("head", NAME, "--filter", "price is null", "--filter", "payload == x", "-n", "2")
    assert [row["price"] for row in found["rows"]] == [None, None]
    assert ask_json("head", NAME, "--columns", "user", "--filter", "price > 1e9")["rows"] == []
    assert ask_json("head", NAME, "--columns", "user", "--filter", "price is null", "-n", "1")["rows"] == [{}]


def test_plan_says_what_a_filter_leaves(prepared):
    found = ask_json("plan", NAME, "--columns", "price", "--filter", "price > 3.5")
    assert (found["filters"], found["pruned"], found["rows"]) == ("price > 3.5", 2, 0)  # NaN and null are no price
    assert "0 of 2 shards, 2 pruned by price > 3.5" in ask(
        "plan", NAME, "--columns", "price", "--filter", "price > 3.5"
    ).stdout.replace("\n   ", " ")


def test_a_bad_filter_is_an_error_of_the_command(prepared):
    found = ask("plan", NAME, "--filter", "prize > 3.5")
    assert found.exit_code == 2
    assert "no column 'prize'. Did you mean 'price'" in found.stderr


def test_a_filter_on_personal_data_needs_permission(prepared):
    found = ask("head", NAME, "--filter", "user == a@example.org")
    assert (found.exit_code, "'user' holds personal data" in found.stderr) == (2, True)
    assert len(ask_json("head", NAME, "--filter", "user == a@example.org", "--allow-pii")["rows"]) == 5


def test_head_shows_random_rows_where_a_seed_is_given(prepared):
    found = ask_json("head", NAME, "--columns", "price,payload", "-n", "2", "--seed", "1")["rows"]
    assert len(found) == 2
    assert found == ask_json("head", NAME, "--columns", "price,payload", "-n", "2", "--seed", "1")["rows"]


def test_plan_takes_a_limit_or_a_sample(prepared):
    given = ("plan", NAME, "--columns", "price")
    assert ask_json(*given, "--limit", "2")["rows"] == 2
    assert ask_json(*given, "--sample", "3", "--seed", "1")["rows"] == 3
    assert ask_json(*given, "--sample", "0.2")["draw"] == "sample 20 %, seed 0"
    assert "'few' is no number of rows, and no part such as 0.01" in ask(*given, "--sample", "few").output
