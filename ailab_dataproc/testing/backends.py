"""Tests that every backend passes, also of other repositories: the same values, whichever backend loads them."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ailab_dataproc.backends import backend as find_backend
from ailab_dataproc.columns import column
from ailab_dataproc.edge_cases import COLUMNS, FILTERS, array_of, edge_cases
from ailab_dataproc.errors import BackendRefused
from ailab_dataproc.loading import load
from ailab_dataproc.testing.tables import assert_same, prepare_tables

_CASES_KIND = pa.dictionary(pa.int32(), pa.string())


def prepare_edge_cases(folder: str) -> None:
    """Prepare what `BackendTests` load."""
    rows = edge_cases()
    prepare_tables(folder, {"train": [rows.slice(0, 3), rows.slice(0, 0), rows.slice(3)], "test": [rows.slice(1, 2)]})
    one = pa.schema([column("x", pa.int64(), nullable=True), column("kind", _CASES_KIND, nullable=True)])
    null = pa.table([pa.nulls(3, pa.int64()), pa.nulls(3, _CASES_KIND)], schema=one)
    full = pa.table([[1, 2, 2**60 + 1], pa.array(["a", "b", "a"]).dictionary_encode()], schema=one)
    prepare_tables(folder, {"train": [null, full], "test": [full, full], "bare": [null]}, name="testing/nulls")
    prepare_tables(folder, {"train": [rows.slice(0, 1)]}, name="testing/one")
    none = rows.slice(0, 0)
    prepare_tables(folder, {"train": [none]}, name="testing/none")
    shards = {"first": [none, rows], "last": [rows, none], "twice": [none, none, rows, none, none]}
    prepare_tables(folder, shards, name="testing/empty")
    texts = repeated()
    prepare_tables(folder, {"train": [texts, texts.slice(3, 20), texts.slice(0, 0)]}, name="testing/repeated")
    many = pa.schema([column("x", pa.int64())])
    tens = [pa.table([range(i * 10, i * 10 + 10)], schema=many) for i in range(12)]
    prepare_tables(folder, {"train": tens}, name="testing/many")


def repeated() -> pa.Table:
    """Forty rows of few texts."""
    schema = pa.schema([column("word", pa.string(), nullable=True), column("always", pa.string())])
    words = ["a", None, "é", "", "longer than what a view holds itself"]
    return pa.table([words * 8, ["x", "", "日本", "x"] * 10], schema=schema)


class BackendTests:
    """Subclass it with ``backend = "mine"``, register the backend, and run pytest.

    A column that the backend refuses stands in `refused`; one that it should hold and doesn't, in `gaps`. The others
    must keep their values.
    """

    backend: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}  # what `load` needs besides, such as {"nulls": "mask"}
    refused: ClassVar[dict[str, str]] = {}  # by column: words of the sentence, as a regular expression
    gaps: ClassVar[dict[str, tuple[type[Exception], str]]] = {}  # by column: how it fails, and why; a strict xfail

    @pytest.fixture(scope="class")
    @classmethod
    def place(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        """A data directory with the edge cases; ``AILAB_TEST_DATA`` names one from elsewhere, for want of Beam here."""
        prepared = os.environ.get("AILAB_TEST_DATA")
        if prepared:
            return prepared
        folder = str(tmp_path_factory.mktemp("edge"))
        prepare_edge_cases(folder)
        return folder

    def load(self, place: str, name: str = "testing/tables", **given: Any) -> Any:
        """What the backend returns."""
        return load(name, data_dir=place, backend=self.backend, **self.options, **given)

    def as_arrow(self, frame: Any, schema: pa.Schema) -> pa.Table:
        """What the backend returned, as Arrow."""
        return find_backend(self.backend).to_arrow(frame, schema)

    def check(self, place: str, wanted: pa.Table, name: str = "testing/tables", **given: Any) -> None:
        """Load, and compare by value."""
        frame = self.load(place, name, columns=wanted.column_names, **given)
        assert_same(self.as_arrow(frame, wanted.schema), wanted)

    def exact(self) -> pa.Table:
        """The edge cases that the backend can hold."""
        return edge_cases().select([name for name in COLUMNS if name not in {**self.gaps, **self.refused}])

    def dtypes(self, frame: Any) -> dict[str, str]:
        """The dtype of each column, as text."""
        if isinstance(frame, pa.Table):
            return {one.name: str(one.type) for one in frame.schema}
        dtypes = frame if isinstance(frame, dict) else frame.dtypes
        columns = dtypes.items() if hasattr(dtypes, "items") else frame.schema.items()
        return {str(name): str(getattr(one, "dtype", one)) for name, one in columns}

    @pytest.mark.parametrize("name", COLUMNS)
    def test_a_column_alone_keeps_its_values(self, place: str, name: str, request: pytest.FixtureRequest) -> None:
        """Also with a null, an extreme or an empty value; or it is refused by name."""
        if name in self.refused:
            with pytest.raises(BackendRefused, match=self.refused[name]) as error:
                self.load(place, split="train", columns=[name])
            assert repr(name) in str(error.value)
            return
        if name in self.gaps:
            raises, reason = self.gaps[name]
            request.applymarker(pytest.mark.xfail(raises=raises, reason=reason, strict=True))
        self.check(place, edge_cases().select([name]), split="train")

    def test_the_whole_table_keeps_its_values(self, place: str) -> None:
        """Over three shards, one of them empty."""
        self.check(place, self.exact(), split="train")

    def test_columns_come_in_the_order_asked_for(self, place: str) -> None:
        """Whatever the order in the files."""
        wanted = self.exact().select(self.exact().column_names[::-3])
        assert list(self.dtypes(self.load(place, split="train", columns=wanted.column_names))) == wanted.column_names
        self.check(place, wanted, split="train")

    @pytest.mark.parametrize(("start", "stop"), [(0, 1), (1, 3), (2, 4), (3, 4), (0, 0), (2, 2)])
    def test_a_slice_keeps_its_values(self, place: str, start: int, stop: int) -> None:
        """Within a shard, across shards, and of no rows."""
        self.check(place, self.exact().slice(start, stop - start), split=f"train[{start}:{stop}]")

    def test_splits_follow_each_other(self, place: str) -> None:
        """In the order asked for."""
        rows = self.exact()
        self.check(place, pa.concat_tables([rows.slice(1, 2), rows.slice(3)]), split="test+train[3:]")

    def test_dtypes_are_the_same_on_any_slice(self, place: str) -> None:
        """They come from the declared schema, never from the data."""
        columns = self.exact().column_names
        specs = ["train", "train[:0]", "train[:1]", "train[1:2]", "train[2:]", "test"]
        found = [self.dtypes(self.load(place, split=spec, columns=columns)) for spec in specs]
        assert all(one == found[0] for one in found)

    def test_a_shard_of_nulls_has_the_dtypes_of_its_neighbours(self, place: str) -> None:
        """And its nulls stay nulls."""
        specs = ["train", "test", "bare"]
        found = [self.dtypes(self.load(place, "testing/nulls", split=spec)) for spec in specs]
        assert found[0] == found[1] == found[2]
        wanted: dict[str, list[Any]] = {"x": [None] * 3 + [1, 2, 2**60 + 1], "kind": [None] * 3 + ["a", "b", "a"]}
        schema = pa.schema([column("x", pa.int64(), nullable=True), column("kind", _CASES_KIND, nullable=True)])
        table = pa.table([array_of(wanted[one.name], one.type) for one in schema], schema=schema)
        self.check(place, table, "testing/nulls", split="train")

    def test_texts_that_repeat_keep_their_values(self, place: str) -> None:
        """The shards hold them as dictionaries, which a backend may use."""
        texts = repeated()
        rows = pa.concat_tables([texts, texts.slice(3, 20)])
        self.check(place, rows, "testing/repeated", split="train")
        self.check(place, rows.slice(38, 10), "testing/repeated", split="train[38:48]")
        kept = rows.filter(pc.field("word") != "é")
        self.check(place, kept, "testing/repeated", split="train", filters=[("word", "!=", "é")])
        self.check(place, kept.select(["always"]), "testing/repeated", split="train", filters=pc.field("word") != "é")

    def test_one_row_keeps_its_values(self, place: str) -> None:
        """A dataset of one row."""
        self.check(place, self.exact().slice(0, 1), "testing/one")

    def test_no_rows_keep_their_columns(self, place: str) -> None:
        """A dataset of no rows."""
        self.check(place, self.exact().slice(0, 0), "testing/none")

    def test_rows_stand_in_the_order_of_the_shards(self, place: str) -> None:
        """Although many threads read them."""
        schema = pa.schema([column("x", pa.int64())])
        self.check(place, pa.table([range(120)], schema=schema), "testing/many", split="train")

    def test_an_empty_shard_beside_a_full_one_changes_nothing(self, place: str) -> None:
        """Wherever it stands: first, between, or last."""
        rows = self.exact()
        for spec in ("first", "last", "twice"):
            self.check(place, rows, "testing/empty", split=spec)

    @pytest.mark.parametrize("name", sorted(FILTERS))
    def test_a_filter_keeps_its_rows(self, place: str, name: str) -> None:
        """Those that pyarrow keeps of the whole table; also where the filter's columns aren't asked for."""
        rows = edge_cases()
        asked, expression = FILTERS[name]
        wanted = rows.filter(expression)
        assert 0 < len(wanted) < len(rows)
        self.check(place, wanted.select(self.exact().column_names), split="train", filters=asked)
        self.check(place, wanted.select(["int8"]), split="train", filters=expression)

    def test_a_filter_may_keep_no_row(self, place: str) -> None:
        """Neither where the index tells so, nor where only the rows do."""
        rows = self.exact().slice(0, 0)
        self.check(place, rows, split="train", filters=[("int64", ">", 0), ("int64", "<", 0)])
        self.check(place, rows, split="train", filters=[("text", "==", "nothing like it")])

    def test_a_slice_is_taken_before_its_filter(self, place: str) -> None:
        """As if the slice were the whole."""
        wanted = self.exact().slice(1, 2)
        self.check(place, wanted.filter(pc.field("int8") > 0), split="train[1:3]", filters=[("int8", ">", 0)])

    def test_shards_that_a_filter_rules_out_leave_the_others(self, place: str) -> None:
        """Two of twelve."""
        wanted = pa.table([range(45, 55)], schema=pa.schema([column("x", pa.int64())]))
        asked = [("x", ">=", 45), ("x", "<", 55)]
        self.check(place, wanted, "testing/many", split="train", filters=asked)

    @pytest.mark.parametrize("filters", [None, [("x", ">=", 45)]])
    def test_a_limit_gives_the_first_rows(self, place: str, filters: Any) -> None:
        """Of those that the filters keep, over the shards that hold them."""
        first = 45 if filters else 0
        wanted = pa.table([range(first, first + 17)], schema=pa.schema([column("x", pa.int64())]))
        self.check(place, wanted, "testing/many", split="train", filters=filters, limit=17)

    @pytest.mark.parametrize("filters", [None, [("x", ">=", 45)]])
    def test_a_sample_gives_the_rows_that_every_backend_gives(self, place: str, filters: Any) -> None:
        """In their order."""
        asked = {"split": "train", "filters": filters, "sample": 30, "seed": 5}
        wanted = load("testing/many", data_dir=place, backend="arrow", **asked)
        assert len(wanted) == 30
        self.check(place, wanted, "testing/many", **asked)
