"""Tests that every dataset passes, in a class of three lines: a small sample is prepared and looked at."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ailab_dataproc import schema as contract
from ailab_dataproc.backends import BACKENDS, on_gpu
from ailab_dataproc.backends import backend as find_backend
from ailab_dataproc.columns import is_pii, meaning
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.errors import AilabError, BackendRefused, InvalidRequest, MissingLibrary
from ailab_dataproc.preparation.options import FORMATS
from ailab_dataproc.splitting import Pooled, strings
from ailab_dataproc.statistics import read_statistics
from ailab_dataproc.testing.sample import Sample, Sampling, find_dataset, located, prepare_sample
from ailab_dataproc.testing.tables import same
from ailab_dataproc.verify import verify_version

T = TypeVar("T")


@dataclass(slots=True)
class _Found(Generic[T]):
    """What several tests want, or why it isn't there; the first of them says so, and the others are skipped."""

    value: T | None = None
    why: str = ""
    told: bool = False

    def get(self) -> T:
        if self.value is None:
            if self.told:
                pytest.skip("there is no definition or no sample of it; the first test that wanted it says why")
            self.told = True
            pytest.fail(self.why, pytrace=False)
        return self.value


class DatasetTests:
    """Subclass it as ``class TestClicks``, with ``dataset = "products/product_a/clicks"``, and run pytest.

    The first rows of each source are prepared once for the class, in a folder of their own.
    """

    dataset: ClassVar[str | Dataset]  # a name in the catalog, or the definition itself
    sources: ClassVar[Mapping[str, str | Sequence[str]]] = {}  # by split, small files in place of the definition's;
    # relative paths are looked for beside the test file, in pytest's root folder, and where pytest was started
    limit: ClassVar[int] = 1_000  # rows of each source
    formats: ClassVar[Sequence[str]] = FORMATS
    backends: ClassVar[Sequence[str] | None] = None  # None: those of the CPU; one that isn't installed is skipped
    allow_undocumented: ClassVar[bool | Sequence[str]] = False  # True, or columns that need not say what they mean

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test a backend."""
        if "backend" in metafunc.fixturenames:
            known = [name for name in BACKENDS if name != "arrow" and not on_gpu(find_backend(name))]
            metafunc.parametrize("backend", known if self.backends is None else self.backends)

    @pytest.fixture(scope="class")
    @classmethod
    def definition(cls) -> _Found[Dataset]:
        """What the class names."""
        if not hasattr(cls, "dataset"):
            return _Found(why=f'{cls.__name__}: names no dataset. Write: dataset = "products/product_a/clicks"')
        try:
            return _Found(find_dataset(cls.dataset))
        except AilabError as error:
            return _Found(why=str(error))

    @pytest.fixture(scope="class")
    @classmethod
    def preparation(
        cls,
        definition: _Found[Dataset],
        tmp_path_factory: pytest.TempPathFactory,
        pytestconfig: pytest.Config,
    ) -> _Found[Sample]:
        """The sample, prepared in this process."""
        if definition.value is None:
            return _Found(why=definition.why)
        try:
            sampling = cls._sampling(pytestconfig.rootpath)
            return _Found(prepare_sample(definition.value, tmp_path_factory.mktemp("data"), sampling, "inline"))
        except AilabError as error:
            return _Found(why=str(error))

    @pytest.fixture
    def defined(self, definition: _Found[Dataset]) -> Dataset:
        """The definition."""
        return definition.get()

    @pytest.fixture
    def sample(self, defined: Dataset, preparation: _Found[Sample]) -> Sample:
        """What was prepared."""
        return preparation.get()

    def test_every_type_is_in_the_contract(self, defined: Dataset) -> None:
        """So that each backend returns the same values."""
        with _told():
            contract.check_types(defined.schema, defined.name)

    def test_every_column_says_what_it_means(self, defined: Dataset) -> None:
        """`allow_undocumented` names those that need not."""
        given = self.allow_undocumented
        allowed = defined.schema.names if given is True else strings(given or ())
        silent = [repr(one.name) for one in defined.schema if not meaning(one).strip() and one.name not in allowed]
        has = f"column{'s' * (len(silent) > 1)} {', '.join(silent)} {'have' if len(silent) > 1 else 'has'}"
        told = f"{defined.name}: {has} no meaning. Write it: column(name, type, 'what a value says')."
        _demand(not silent, told)

    def test_somebody_can_be_asked(self, defined: Dataset) -> None:
        """The owner."""
        _demand(defined.owner.strip(), f"{defined.name}: has no owner. Write owner='a person or a team'.")

    def test_it_says_what_one_row_is(self, defined: Dataset) -> None:
        """The description."""
        told = f"{defined.name}: has no description. Say what one row is, and where it comes from."
        _demand(defined.description, told)

    def test_its_version_has_a_release_note(self, defined: Dataset) -> None:
        """What changed."""
        version = defined.version
        told = f"{defined.name}: version {version} has no release note. Write release_notes={{'{version}': '…'}}."
        _demand(defined.release_notes.get(version, "").strip(), told)

    def test_every_split_has_rows(self, defined: Dataset, sample: Sample) -> None:
        """Unless the definition allows empty sources."""
        rows = sample.prepared.manifest.rows
        empty = [repr(split) for split in defined.splits if not rows.get(split)]
        told = f"{defined.name}: no row in split {', '.join(empty)}, of the first {self.limit:,} of each source. "
        _demand(not empty or defined.allow_empty, told + "Raise `limit`, or name other `sources`.")

    def test_a_key_names_one_row(self, defined: Dataset, sample: Sample) -> None:
        """In all splits together."""
        if not defined.key:
            pytest.skip("the definition names no key")
        counts = _by_key(sample, defined.key)["split_count"]
        again = sum(count - 1 for count in counts.to_pylist())
        _demand(not again, f"{defined.name}: {again:,} rows repeat a key ({', '.join(defined.key)}).")

    def test_splits_share_no_key(self, defined: Dataset, sample: Sample) -> None:
        """Neither the key's values, nor those that share out the rows."""
        key = defined.splits.columns if isinstance(defined.splits, Pooled) else defined.key
        if not key or len(defined.splits) < 2:
            pytest.skip("there is one split only" if key else "the definition names no key")
        shared = pc.sum(pc.greater(_by_key(sample, key)["split_count_distinct"], 1)).as_py() or 0
        _demand(not shared, f"{defined.name}: {shared:,} keys ({', '.join(key)}) are in more than one split.")

    def test_the_same_bytes_are_made_again(
        self,
        defined: Dataset,
        sample: Sample,
        tmp_path: Path,
        pytestconfig: pytest.Config,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """In another process, in which sets have another order."""
        monkeypatch.setenv("PYTHONHASHSEED", "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2")
        with _told(f"{defined.name}: was prepared here, but not in another process: "):
            again = prepare_sample(defined, tmp_path, self._sampling(pytestconfig.rootpath), "processes").checksums()
        differing = sorted(path for path, one in sample.checksums().items() if again.get(path) != one)
        _demand(
            not differing,
            f"{defined.name}: preparing twice gave other bytes in {', '.join(differing)}. read() must give the same "
            "rows each time: look for random numbers, the time, sets, and folders that are listed unsorted.",
        )

    def test_the_files_hold_what_the_index_says(self, sample: Sample) -> None:
        """Each row is decoded, in each format."""
        with _told():
            faults = [f"{one.path} {one.what}" for one in verify_version(sample.prepared, check="values")]
        _demand(not faults, f"{sample.prepared.name}: {'; '.join(faults)}")

    def test_its_values_are_the_same_on(self, sample: Sample, backend: str) -> None:
        """A backend may refuse a column: the others are compared, and the test is skipped with the reason."""
        names = sample.prepared.schema.names
        try:
            _compare(sample, backend, names)
        except MissingLibrary as error:
            pytest.skip(str(error))
        except BackendRefused as error:
            kept = [name for name in names if _takes(sample, backend, name)]
            if kept:
                _compare(sample, backend, kept)
            pytest.skip(f"{error} Compared: {', '.join(kept) or 'no column'}.")

    def test_its_statistics_can_be_read(self, sample: Sample) -> None:
        """Of each column in each split."""
        with _told():
            found = read_statistics(sample.prepared)["splits"]
        rows = {split: one["rows"] for split, one in found.items()}
        wanted = sample.prepared.manifest.rows
        _demand(rows == wanted, f"{sample.prepared.name}: the statistics count {rows}, the shards hold {wanted}.")
        for split, one in found.items():
            missing = set(sample.prepared.schema.names) - set(one["columns"])
            _demand(not missing, f"{sample.prepared.name}: no statistics of {sorted(missing)} in split {split!r}.")

    def test_tfds_reads_it(self, sample: Sample) -> None:
        """Without this package: all rows, with the same columns."""
        if "tfrecord" not in self.formats:
            pytest.skip("tfrecord is not among the formats")
        for library in ("tensorflow", "tensorflow_datasets"):
            if importlib.util.find_spec(library) is None:
                pytest.skip(f"{library} is not installed: pip install 'ailab_dataproc[tensorflow]'")
        import tensorflow_datasets as tfds

        name, schema = sample.prepared.name, sample.prepared.schema
        builder = tfds.builder_from_directory(sample.prepared.folder.url)
        features = sorted(builder.info.features)
        _demand(features == sorted(schema.names), f"{name}: TFDS has the columns {features}, not those of the schema.")
        for split, rows in sample.prepared.manifest.rows.items():
            found = sum(1 for _ in builder.as_dataset(split=split)) if rows else 0
            _demand(found == rows, f"{name}: TFDS reads {found:,} rows of split {split!r}, wanted {rows:,}.")

    @classmethod
    def _sampling(cls, root: Path) -> Sampling:
        if not isinstance(cls.limit, int) or cls.limit < 1:
            raise InvalidRequest(f"{cls.__name__}: limit is {cls.limit!r}, wanted a number of rows from 1 on.")
        folders = (Path(inspect.getfile(cls)).parent, root, Path.cwd())
        return Sampling(limit=cls.limit, sources=located(cls.sources, folders), formats=tuple(cls.formats))


def _demand(holds: object, told: str) -> None:
    """Fail with a sentence, without the text of this file around it."""
    if not holds:
        pytest.fail(told, pytrace=False)


@contextlib.contextmanager
def _told(before: str = "") -> Iterator[None]:
    """An error of ours is a sentence for the author."""
    try:
        yield
    except AilabError as error:
        pytest.fail(f"{before}{error}", pytrace=False)


def _by_key(sample: Sample, key: Sequence[str]) -> pa.Table:
    """A row a key: how many rows have it, and in how many splits."""
    names = [str(number) for number in range(len(key))]
    tables = []
    for split in sample.prepared.manifest.splits:
        table = sample.load(split=split, columns=list(key))
        columns = [*map(_plain, table.columns), pa.array([split] * len(table), pa.string())]
        tables.append(pa.table(columns, names=[*names, "split"]))
    return pa.concat_tables(tables).group_by(names).aggregate([("split", "count"), ("split", "count_distinct")])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _takes(sample: Sample, backend: str, name: str) -> bool:
    try:
        sample.table(backend, [name])
    except BackendRefused:
        return False
    return True


def _compare(sample: Sample, backend: str, names: Sequence[str]) -> None:
    found, wanted = sample.table(backend, names), sample.load(columns=list(names))
    for field in wanted.schema:
        if not same(found[field.name], wanted[field.name]):
            pytest.fail(_other(found, wanted, field, backend), pytrace=False)


def _other(found: pa.Table, wanted: pa.Table, field: pa.Field, backend: str) -> str:
    told = f"column {field.name!r} has other values on {backend!r}"
    if is_pii(field):
        return f"{told} (not shown: PII)"
    pairs = zip(found[field.name].to_pylist(), wanted[field.name].to_pylist(), strict=False)
    row, pair = next(((row, pair) for row, pair in enumerate(pairs) if repr(pair[0]) != repr(pair[1])), (0, ("", "")))
    return f"{told}: row {row + 1} is {pair[0]!r}, wanted {pair[1]!r}"
