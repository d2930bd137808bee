"""From a dataset's splits to tasks: which sources each task reads. Deterministic, whatever runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ailab_dataproc import urls
from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.download import SCHEME
from ailab_dataproc.errors import InvalidData, InvalidRequest, StorageFailed, unknown
from ailab_dataproc.preparation.downloads import Cache, find_downloaded
from ailab_dataproc.splitting import Later, Pooled

POOL = "all"  # stands for the split of sources whose rows are shared out; no split can have this name


@dataclass(frozen=True, slots=True)
class Task:
    """Some sources of one split, which become one or more shards. What travels through Beam."""

    split: str
    number: int  # within the split
    sources: tuple[Source, ...]

    @property
    def label(self) -> str:
        """A file name's worth of identity."""
        return f"{self.split}-{self.number:05d}"

    @property
    def weight(self) -> int:
        """Bytes of the sources."""
        return sum(source.size for source in self.sources)


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows become shards; part of the fingerprint."""

    shard_bytes: int = 128 << 20  # Arrow bytes after which a shard is closed
    chunk_rows: int = 32_768  # rows handled at a time; shards are cut at multiples of it
    row_group_rows: int = 131_072  # four chunks: a filter on what is sorted reads few, and whole loads lose nothing


def find_sources(
    dataset: Dataset,
    given: Mapping[str, Sequence[str]] | None = None,
    options: dict[str, Any] | None = None,
    cache: Cache | None = None,
) -> dict[str, tuple[Source, ...]]:
    """The sources of each split, sorted by URL.

    Args:
        dataset: the definition.
        given: paths, URLs or globs by split, in place of the definition's.
        options: fsspec options for URLs.
        cache: where ``download://`` sources are fetched to.

    Raises:
        UnknownName: `given` names a split that the dataset doesn't have.
        StorageFailed: a pattern matches nothing.
        InvalidData: a source is empty, or named twice.
        InvalidRequest: a split has no sources, neither in the definition nor in `given`.
    """
    dataset = settled(dataset, cache)
    wanted = {POOL: dataset.splits.sources} if isinstance(dataset.splits, Pooled) else dataset.splits
    for split in given or {}:
        if split not in wanted:
            raise unknown("split", split, wanted, where=dataset.name)
    found = {}
    for split, patterns in wanted.items():
        asked = tuple((given or {}).get(split, patterns))
        if not asked:
            raise InvalidRequest(f"{dataset.name}: split {split!r} has no sources. Give them: --source {split}=PATH")
        sources = [source for text in asked for source in _expand(dataset, split, text, options, cache)]
        found[split] = tuple(sorted(sources, key=lambda source: source.url))
        _check_distinct(dataset, found[split])
    return found


def settled(dataset: Dataset, cache: Cache | None) -> Dataset:
    """The dataset with its splits, where these are known only once its data has been made."""
    if cache is None or not isinstance(dataset.splits, Later):
        return dataset
    return replace(dataset, **dataset.splits.find(cache.folder))


def make_tasks(sources: Mapping[str, Sequence[Source]], layout: Layout) -> tuple[Task, ...]:
    """Group neighbouring small files, so that a task reads up to a sixteenth of a shard's bytes of them."""
    tasks = []
    for split, members in sources.items():
        groups: list[list[Source]] = []
        room = 0
        for source in members:
            if not groups or source.size == 0 or source.size > room:
                groups.append([])
                room = layout.shard_bytes // 16
            groups[-1].append(source)
            room = room - source.size if source.size else 0
        tasks += [Task(split, number, tuple(group)) for number, group in enumerate(groups)]
    return tuple(tasks)


def _expand(
    dataset: Dataset, split: str, text: str, options: dict[str, Any] | None, cache: Cache | None
) -> list[Source]:
    if text.startswith(SCHEME) and cache is not None:
        return find_downloaded(dataset, split, text, cache)
    if dataset.sources is not None:
        return list(dataset.sources(split, text))
    stats = urls.expand(text, options)
    if not stats:
        raise StorageFailed(
            f"{dataset.name}: source {urls.shown(text)!r} of split {split!r} does not exist ({_searched(text)})."
        )
    for stat in stats:
        if stat.size == 0:
            raise InvalidData(f"{urls.shown(stat.url)}: the source is empty (0 bytes). Remove it, or get it again.")
    return [Source(stat.url, split, stat.size or 0, stat.identity, options or {}) for stat in stats]


def _searched(text: str) -> str:
    path = urls.local_path(text)
    return f"looked for {path}" if path else "nothing matches"


def _check_distinct(dataset: Dataset, sources: Sequence[Source]) -> None:
    for left, right in pairwise(sources):
        if left.url == right.url:
            raise InvalidData(
                f"{dataset.name}: split {left.split!r} names the source {urls.shown(left.url)} twice. Name it once."
            )
