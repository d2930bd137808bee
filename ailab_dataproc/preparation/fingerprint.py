"""What decides the bytes of the shards, as a hash: schema, code, sources, layout. Documentation is left out."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ailab_dataproc import storage, urls
from ailab_dataproc.columns import is_pii, labels, shape
from ailab_dataproc.dataset import Dataset, Source
from ailab_dataproc.errors import InvalidDefinition, StorageFailed
from ailab_dataproc.functions import Known
from ailab_dataproc.lineage import Lineage
from ailab_dataproc.preparation.tasks import Layout, Task
from ailab_dataproc.splitting import Pooled

_parsing = threading.Lock()  # CPython 3.11 raises SystemError where two threads parse at once (gh-106905)
_PLAIN = (bool, int, float, str, bytes, tuple, list, dict, frozenset)
_DOCUMENTATION = frozenset({"owner", "description", "citation", "license", "homepage", "release_notes", "deprecated"})


def identify(sources: Mapping[str, Sequence[Source]]) -> dict[str, tuple[Source, ...]]:
    """Give each source an identity: what its bucket says of it, or the checksum of its content."""
    with ThreadPoolExecutor() as pool:
        return {split: tuple(pool.map(_identified, members)) for split, members in sources.items()}


def fingerprint_parts(
    dataset: Dataset,
    sources: Mapping[str, Sequence[Source]],
    layout: Layout,
    formats: Sequence[str],
    lineage: Lineage | None = None,
) -> dict[str, str]:
    """The parts of the fingerprint; each changes only with what it is named after.

    Args:
        dataset: the definition.
        sources: with an identity each, from `identify`.
        layout: how rows become shards.
        formats: the formats that are written.
        lineage: of a derived version; it has the author's code.
    """
    members = {split: [(source.identity, source.size) for source in found] for split, found in sources.items()}
    parts = {
        "schema": schema_part(dataset.schema),
        **(lineage_parts(lineage) if lineage else {"code": _hash(_code(dataset))}),
        "sources": _hash(members),
        "layout": layout_part(layout, formats),
    }
    rule = dataset.splits if isinstance(dataset.splits, Pooled) else None
    if rule or dataset.order != "source":
        shuffle = [dataset.order, dataset.seed] if dataset.order != "source" else None
        parts["arrangement"] = _hash([shuffle, rule and repr(replace(rule, sources=()))])
    return parts


def lineage_parts(lineage: Lineage) -> dict[str, str]:
    """The parts that a derived version has in place of code."""
    told = lineage.model_dump(mode="json")
    return {
        "origin": _hash(told["derived_from"]),
        "code": _hash([told["function"], told["code"]]),
        "options": _hash([told["step"], told["options"]]),
    }


def schema_part(schema: pa.Schema) -> str:
    """The columns, without what they mean."""
    told = [(one.name, str(one.type), one.nullable, shape(one), is_pii(one)) for one in schema]
    named = {one.name: labels(one) for one in schema if labels(one)}
    return _hash([told, named] if named else told)


def layout_part(layout: Layout, formats: Sequence[str]) -> str:
    """How rows become shards."""
    return _hash([asdict(layout), sorted(formats)])


def code_hash(function: Any, where: str) -> str:
    """A hash of a function's module (of its cell in a notebook), and of the plain values that it was made with.

    Raises:
        InvalidDefinition: there is no text of it.
    """
    if isinstance(function, Known):
        return function.code
    given: list[Any] = []
    while isinstance(function, functools.partial):
        given.append([function.args, function.keywords])
        function = function.func
    for cell in getattr(function, "__closure__", None) or ():
        if isinstance(cell.cell_contents, _PLAIN):
            given.append(cell.cell_contents)
    try:
        text = stripped(_source_of(function))
    except (OSError, TypeError, SyntaxError) as error:  # typed into a prompt; a lambda in the midst of a statement
        raise InvalidDefinition(
            f"{where}: the text of {function!r} can't be read ({error}). Write it with def in a file or a notebook."
        ) from error
    return _hash([text, getattr(function, "__qualname__", ""), repr(given)])


def tasks_part(tasks: Sequence[Task]) -> str:
    """How the sources are shared out to tasks: what a task left holds for another run only where this is the same."""
    return _hash([(task.label, [(source.identity, source.part) for source in task.sources]) for task in tasks])


def fingerprint(parts: Mapping[str, str]) -> str:
    """One hash of all parts."""
    return _hash(dict(sorted(parts.items())))


def _identified(source: Source) -> Source:
    if source.identity is not None:
        return source
    parent, _, name = (source.local_path or source.url).rpartition("/")
    try:
        place = storage.folder(parent or "/", dict(source.options))
        return replace(source, identity=storage.checksum(place, name, source.size or None))
    except (FileNotFoundError, StorageFailed) as error:
        where = urls.shown(source.url)
        if urls.is_web(source.url):
            raise StorageFailed(
                f"{where}: can't be read to its end ({error}). Prepare it again, or make it a Download, which goes on "
                "where it stopped."
            ) from error
        raise InvalidDefinition(
            f"{where}: has no identity, and is no file whose content could be hashed ({error}). "
            "Give Source(…, identity=…) a text that changes when the content does."
        ) from error


def _hash(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()


def _code(dataset: Dataset) -> list[str]:
    """The source of the modules that define `read` and `sources`, without comments and documentation.

    Raises:
        InvalidDefinition: there is no text of one, or a `functools.partial` holds what has no lasting name.
    """
    found = set()
    for key, given in (("read", dataset.read), ("sources", dataset.sources)):
        function: Any = given
        while isinstance(function, functools.partial):
            told = repr([function.args, function.keywords])
            if " at 0x" in told:
                raise InvalidDefinition(
                    f"{dataset.name}: {key} is a functools.partial of {told}, which changes from run to run. Give it "
                    "plain values, or an object whose repr() says what it holds."
                )
            found.add(told)
            function = function.func
        if isinstance(function, Known):
            found.add(function.code)
        elif function:
            found.add(stripped(_source_of(_routine(function, f"{dataset.name}: {key}"))))
    return sorted(found)


def _routine(function: Any, where: str) -> Any:
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    raise InvalidDefinition(f"{where} is {function!r}, wanted a function or a functools.partial of one.")


def _source_of(function: Any) -> str:
    file = inspect.getsourcefile(function)
    if file and Path(file).exists():
        return Path(file).read_text(encoding="utf-8")
    import textwrap

    return textwrap.dedent(inspect.getsource(function))  # a notebook's cell


def stripped(source: str) -> str:
    """A module's text without comments and documentation."""
    with _parsing:
        tree = ast.parse(source)
    tree = _WithoutDocumentation().visit(tree)
    return ast.unparse(tree)


class _WithoutDocumentation(ast.NodeTransformer):
    """Drops docstrings, and from `Dataset(…)` what people read; comments are gone by parsing."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Drop a lone string."""
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Drop documentation, and what the fingerprint has otherwise, from ``Dataset(…)``."""
        if isinstance(node.func, ast.Name | ast.Attribute) and _name(node.func) == "Dataset":
            dropped = _DOCUMENTATION | {"version", "schema", "splits", "order", "seed", "key", "checks", "downloads"}
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in dropped]
        if isinstance(node.func, ast.Name | ast.Attribute) and _name(node.func) == "Download":
            node.args, node.keywords = [], []  # what it brings is in the fingerprint, whatever the place
        if isinstance(node.func, ast.Name | ast.Attribute) and _name(node.func) == "column":
            node.args = node.args[:2]  # without the meaning
            node.keywords = [keyword for keyword in node.keywords if not _documents(keyword)]
        return self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Drop the import of checks, so that a first check changes nothing."""
        if node.module == "ailab_dataproc":
            node.names = [one for one in node.names if one.name != "checks"]
        return node if node.names and node.module != "ailab_dataproc.checks" else None


def _documents(keyword: ast.keyword) -> bool:
    """Whether an argument of `column` changes no row: also the word that a column holds no personal data."""
    denied = keyword.arg == "pii" and isinstance(keyword.value, ast.Constant) and not keyword.value.value
    return denied or keyword.arg in {"meaning", "unit"}


def _name(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr
