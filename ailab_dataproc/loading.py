"""load, plan and batches: from a name to a backend's own object."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from ailab_dataproc import catalog, splits, storage
from ailab_dataproc.backends import BACKENDS, backend, memory
from ailab_dataproc.backends.shards import threads
from ailab_dataproc.batching import FORMATS, Asked, Batches, at_a_time, check_numbers, make_batches
from ailab_dataproc.calibration import Calibration, load_calibration
from ailab_dataproc.choosing import Choice, check_ladder, choose
from ailab_dataproc.errors import InvalidRequest, NotPrepared, unknown
from ailab_dataproc.loaded import Loaded, remember
from ailab_dataproc.manifest import Prepared, Versions, list_names, not_prepared, open_prepared, read_versions
from ailab_dataproc.notices import warn
from ailab_dataproc.planning import Plan
from ailab_dataproc.references import split as split_reference
from ailab_dataproc.selecting import Request, Selected, select
from ailab_dataproc.settings import Settings, load_settings
from ailab_dataproc.sizing import Machine, Need
from ailab_dataproc.statistics import distinct_values

_log = logging.getLogger("ailab_dataproc")


def load(reference: str, *, split: str = "all", backend: str = "auto", **selecting: Any) -> Any:
    """Load a prepared dataset as a backend's own object.

    Args:
        reference: ``name`` for the newest prepared version that isn't deprecated, ``name:1.2.0``, or a pattern such as
            ``name:1.*`` for the newest that it matches. `last_report` and the plan say which one was taken.
        split: such as ``"train"``, ``"train[:80%]"``, ``"train+test"``; ``"all"`` for all splits in order.
        backend: ``"arrow"``, ``"numpy"``, ``"pandas"``, ``"polars"``, ``"dask"``, ``"cudf"``, ``"dask_cudf"``,
            ``"tf"``, ``"torch"``, or ``"auto"``, which takes the best of the ladder (pandas, then dask) that fits into
            this machine and logs one line that says why; see `choosing.choose`.
        **selecting: what `plan` takes: columns, filters, limit, sample, seed, version, nulls, dtypes, family,
            allow_pii, data_dir.

    Returns:
        The backend's own object: a ``pyarrow.Table``, a dict of ``numpy.ndarray``, a ``pandas.DataFrame``, a
        ``polars.DataFrame``, a ``dask.dataframe.DataFrame``, a ``cudf.DataFrame``, a ``tf.data.Dataset``, a
        ``torch.utils.data.IterableDataset``. `last_report` tells what loading it took.
        Rows stand in the order of the shards. `schema.CONTRACTS` says which dtype a column has.

    Raises:
        NotPrepared, UnknownName, InvalidRequest, BackendRefused, MissingLibrary, DamagedData: each with one sentence.
    """
    made = plan(reference, split=split, backend=backend, **selecting)
    if backend == "auto":
        _log.info("%s %s: backend %s (%s), %s", made.dataset, split, made.backend, made.returns, made.choice.reason)
    return made.load()


def plan(  # noqa: PLR0913 - the one place where all choices of a load stand
    reference: str,
    *,
    split: str = "all",
    columns: Sequence[str] | None = None,
    filters: Any = None,
    limit: int | None = None,
    sample: float | None = None,
    seed: int = 0,
    backend: str = "auto",
    version: str | None = None,
    family: str | None = None,
    nulls: str = "refuse",
    dtypes: str = "arrow",
    allow_pii: bool = False,
    data_dir: str | None = None,
    machine: Machine | None = None,
) -> Plan:
    """Decide what `load` would do, without reading a row; but rows are counted for filters with limit or sample.

    Args:
        reference: ``name``, ``name:1.2.0`` or ``name:1.*``; see `load`.
        split: see `load`.
        columns: the columns wanted, in this order; all by default.
        filters: the rows wanted, as for pyarrow, pandas and Dask: ``[("price", ">", 3), ("word", "in", ["a", "b"])]``
            for and, a list of such lists for or, or a ``pyarrow.compute.Expression``; on any columns. A row slice of
            the split is taken before. Shards and row groups that can't hold such a row aren't read.
        limit: only the first so many rows of those that split and filters leave.
        sample: so many of them at random, each with the same chance (``1000``), or a part (``0.01``), in their order.
            The same rows on every backend and machine.
        seed: of the sample.
        backend: see `load`.
        version: another way to say ``1.2.0`` or ``1.*``.
        family: narrows "auto" to ``"eager"`` or ``"lazy"`` backends.
        nulls: what NumPy does with nullable columns: ``"refuse"`` them, or return masked arrays (``"mask"``).
        dtypes: what pandas and Dask hold columns as: ``"arrow"`` (exact), or ``"numpy"``.
        allow_pii: whether columns with personal data may be loaded.
        data_dir: where to look; by default as the settings say.
        machine: what to decide for; by default what this process may use, and the Dask cluster that it is connected to.
    """
    settings, prepared = _open(reference, version, data_dir)
    considered = {name: _backend(name) for name in (BACKENDS if backend == "auto" else [backend])}
    ladder = check_ladder(settings.auto, family, considered) if backend == "auto" else ()
    request = Request(
        split=split,
        columns=columns,
        filters=filters,
        limit=limit,
        sample=sample,
        seed=seed,
        nulls=nulls,
        dtypes=dtypes,
        allow_pii=allow_pii,
    )
    selected = select(prepared, request)
    if machine is None:
        machine = Machine.here()
        if any(one.family == "lazy" for one in considered.values()):
            machine = machine.with_cluster()
    selected = replace(selected, need=_known(selected, prepared, {backend, *ladder}))
    calibration = load_calibration(settings.calibration, machine) if ladder else Calibration()
    choice = choose(selected.need, machine, considered, asked=backend, ladder=ladder, calibration=calibration)
    told = {"asked": backend, "ladder": ladder, "calibration": calibration}
    return _plan(prepared, split, selected, machine=machine, choice=choice, **told)


def batches(  # noqa: PLR0913 - the one place where all choices of an iteration stand
    reference: str,
    *,
    batch_size: int,
    format: str = "numpy",
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    drop_remainder: bool = False,
    rank: int = 0,
    world_size: int = 1,
    decode: bool = True,
    **selecting: Any,
) -> Batches:
    """Iterate over rows in batches, with the memory of a few shards whatever the size of the dataset.

    Args:
        reference: ``name``, ``name:1.2.0`` or ``name:1.*``; see `load`.
        batch_size: rows of each batch; the last one may be shorter.
        format: ``"numpy"``, ``"torch"`` or ``"tf"`` for dicts of arrays or tensors, ``"arrow"`` for ``pyarrow.Table``,
            ``"pandas"``. With ``"torch"`` it is an ``IterableDataset`` for ``DataLoader(…, batch_size=None)``.
        shuffle: whether to visit shards in a random order and permute rows within windows of four; another order each
            epoch.
        seed: of the shuffle, and of a sample; the same seed and epoch give the same order on every machine.
        epoch: of the first iteration; each further one is the next epoch.
        drop_remainder: whether to leave out a last batch that is shorter; then all ranks give the same number of
            batches, but with filters.
        rank: which share of the rows to give, from 0.
        world_size: how many shares: each row is in exactly one, and they differ by one row at most (before filters).
        decode: whether columns of images become arrays of pixels, but as ``"arrow"`` and ``"pandas"``.
        **selecting: what `plan` takes: split, columns, filters, limit, sample, version, nulls, allow_pii, data_dir.

    Returns:
        An object to iterate over, with ``len()`` (but for filters), ``set_epoch``, ``state_dict`` and
        ``load_state_dict``.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if "drop_last" in selecting:
        raise InvalidRequest("drop_last is torch's word: pass drop_remainder, as for tf.data and TFDS.")
    check_numbers(batch_size=batch_size, seed=seed, epoch=epoch, rank=rank, world_size=world_size)
    prepared = _open(reference, selecting.pop("version", None), selecting.pop("data_dir", None))[1]
    request = Request(seed=seed, **selecting)
    selected = select(prepared, request)
    asked = Asked(
        dataset=prepared.name,
        fingerprint=prepared.manifest.fingerprint,
        split=request.split,
        columns=tuple(selected.selection.schema.names),
        filters=str(selected.filters.rows.expression) if selected.filters else "",
        draw=str(selected.draw or ""),
        batch_size=batch_size,
        drop_remainder=drop_remainder,
        shuffle=shuffle,
        seed=seed,
        rank=rank,
        world_size=world_size,
    )
    machine, need = Machine.here(), _part(selected, at_a_time(shuffle=shuffle))
    choice = choose(need, machine, {format: _backend(format)}, asked=format, ladder=())
    made = make_batches(asked, selected.selection, format, epoch=epoch, decode=decode)
    found = _plan(prepared, request.split, selected, machine=machine, choice=choice, asked=format, ladder=())
    remember(made, Loaded(found))
    return made


def even_splits(
    reference: str,
    n: int,
    *,
    split: str = "train",
    drop_remainder: bool = False,
    version: str | None = None,
    data_dir: str | None = None,
) -> list[str]:
    """Share a split among workers: a spec for each, with which `load`, `plan` and `batches` read its rows.

    The specs name rows, so they mean the same everywhere. The rows are those that ``tfds.even_splits`` gives.

    Args:
        reference: ``name``, ``name:1.2.0`` or ``name:1.*``; see `load`.
        n: how many workers.
        split: what is shared, such as ``"train"`` or ``"train[:50%]+test"``; each part of a sum is shared on its own.
        drop_remainder: whether to leave out rows that can't be shared evenly; else the first workers get one more.
        version: another way to say ``1.2.0`` or ``1.*``.
        data_dir: where to look; by default as the settings say.
    """
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise InvalidRequest(f"even_splits: n={n!r}, wanted a whole number from 1 on.")
    prepared = _open(reference, version, data_dir)[1]
    slices = splits.parse(split, prepared.manifest.splits, prepared.name)
    return splits.even(slices, n, drop_remainder=drop_remainder)


def open_known(reference: str, settings: Settings, version: str | None = None) -> Prepared:
    """Open a prepared version for its rows or statistics; says once where it is deprecated.

    A name that is neither defined nor prepared gets the nearest names.
    """
    place = storage.folder(settings.data_dir, settings.storage_options)
    try:
        prepared = open_prepared(place, reference, version)
    except NotPrepared:
        _check_known(split_reference(reference)[0], settings)
        raise
    if prepared.notice:
        warn(prepared.manifest.name, prepared.manifest.version, prepared.folder.url, prepared.notice)
    return prepared


def known_versions(name: str, settings: Settings) -> Versions:
    """The finished versions of a dataset, one at least.

    Raises:
        NotPrepared, UnknownName: there is none, as `open_known` says it.
    """
    place = storage.folder(settings.data_dir, settings.storage_options)
    versions = read_versions(place, name)
    if not versions.there:
        _check_known(name, settings)
        raise not_prepared(name, place)
    return versions


def _check_known(name: str, settings: Settings) -> None:
    found, names = catalog.look(settings), list_names(storage.folder(settings.data_dir, settings.storage_options))
    if name not in {*found.definitions, *names}:
        raise catalog.no_dataset(name, found, names)


_backend = backend  # `backend` is also the name that users know for the argument


def _open(reference: str, version: str | None, data_dir: str | None) -> tuple[Settings, Prepared]:
    settings = load_settings()
    if data_dir:
        settings = replace(settings, data_dir=data_dir)
    return settings, open_known(reference, settings, version)


def _plan(prepared: Prepared, split: str, selected: Selected, *, choice: Choice, **more: Any) -> Plan:
    return Plan(
        dataset=prepared.name,
        location=prepared.folder.url,
        fingerprint=prepared.manifest.fingerprint,
        split=split,
        selected=selected,
        choice=choice,
        returns=_backend(choice.backend).returns,
        all_columns=len(prepared.schema),
        package=prepared.manifest.provenance.get("package") or "",
        lineage=prepared.manifest.lineage,
        **more,
    )


def _known(selected: Selected, prepared: Prepared, names: set[str]) -> Need:
    """A need with what decides its memory beside the index: threads and, for some backends, how many texts differ."""
    need, parts = selected.need, selected.selection.parts
    texts = [one.name for one in need.schema if pa.types.is_string(one.type) or pa.types.is_dictionary(one.type)]
    texts = texts if names & memory.BY_DISTINCT else []  # one more file to read
    return replace(need, threads=min(threads(parts), max(len(parts), 1)), distinct=distinct_values(prepared, texts))


def _part(selected: Selected, shards: int) -> Need:
    """What so many shards need, which are all that `batches` has in memory."""
    need = selected.need
    most = min(need.bytes, need.largest * shards)
    return replace(
        need,
        rows=min(need.rows, selected.most_rows * shards),
        bytes=most,
        columns={name: size * most // max(need.bytes, 1) for name, size in need.columns.items()},
    )
