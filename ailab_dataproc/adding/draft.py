"""A definition that isn't written yet, as a value; and the text of its module."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ailab_dataproc import columns
from ailab_dataproc.adding.code import (
    Group,
    Item,
    Named,
    Remarked,
    call,
    docstring,
    listed,
    mapped,
    quoted,
    render,
    type_code,
)
from ailab_dataproc.dataset import check_name, check_version

PLACE = "TODO"  # marks what an author has to fill in; `check` finds it


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What the module of a definition will say.

    Texts may hold anything: they are escaped. `code`, `read`, `imports` and `arguments` are Python.
    """

    name: str
    schema: pa.Schema  # of fields made by `columns.column`
    splits: Mapping[str, str | Sequence[str]]  # paths, URLs or globs; `arguments["splits"]` goes before them
    version: str = "1.0.0"
    owner: str = ""
    description: str = ""  # becomes the module's docstring
    citation: str = ""
    license: str = ""
    homepage: str = ""
    release_note: str = "First version."
    remarks: Mapping[str, str] = field(default_factory=dict)  # by column: a comment above it
    remark: str = ""  # a comment above the splits
    code: str = ""  # constants and functions that stand before the dataset
    read: str = ""  # the name of the function among them that reads a source; none: by the source's ending
    imports: Sequence[str] = ()  # lines that `code` and `arguments` need, but those of pyarrow and ailab_dataproc
    names: Sequence[str] = ()  # that `code` and `arguments` need of ailab_dataproc, besides Dataset and column
    arguments: Mapping[str, str] = field(default_factory=dict)  # further ones of Dataset, such as {"seed": "7"}

    def __post_init__(self) -> None:
        check_name(self.name)
        check_version(self.version, self.name)


def definition_text(draft: Draft) -> str:
    """The module of a draft: found by the catalog as ``<folder>/<name>.py``, formatted with lines of 120 characters.

    Raises:
        InvalidDefinition: a column's type can't be written down.
    """
    parts = [docstring(draft.description or f"{PLACE}: what one row is, and where it comes from."), _imports(draft)]
    text = "\n\n".join(parts)
    if draft.code:
        text += f"\n\n\n{draft.code.strip()}\n" if _defines(draft.code) else f"\n\n{draft.code.strip()}"
    return f"{text}\n\n{_dataset(draft)}\n"


def column_code(one: pa.Field) -> Group:
    """The call of `column` that makes a field."""
    items: list[Item] = [quoted(one.name), type_code(one.type)]
    if columns.meaning(one):
        items.append(quoted(columns.meaning(one)))
    if one.nullable:
        items.append(Named("nullable=", "True"))
    if columns.unit(one):
        items.append(Named("unit=", quoted(columns.unit(one))))
    if columns.stated_pii(one) is not None:
        items.append(Named("pii=", str(columns.stated_pii(one))))
    shape = columns.shape(one)
    if shape and (one.metadata or {}).get(b"shape"):
        items.append(Named("shape=", repr(tuple(shape))))
    return call("column", *items)


def _dataset(draft: Draft) -> str:
    given: dict[str, Item] = {"name": quoted(draft.name), "version": quoted(draft.version)}
    given |= {"owner": quoted(draft.owner)} if draft.owner else {}
    given["description"] = "__doc__"
    texts = {"citation": draft.citation, "license": draft.license, "homepage": draft.homepage}
    given |= {key: quoted(text) for key, text in texts.items() if text}
    rows: list[Item] = [
        Remarked(draft.remarks[one.name], column_code(one)) if one.name in draft.remarks else column_code(one)
        for one in draft.schema
    ]
    given["schema"] = call("pa.schema", listed(rows, spread=True))
    given["splits"] = mapped({split: _places(places) for split, places in draft.splits.items()})
    given |= {"read": draft.read} if draft.read else {}
    given |= draft.arguments
    given["release_notes"] = mapped({draft.version: quoted(draft.release_note)})
    arguments: list[Item] = [
        Remarked(draft.remark, Named(f"{key}=", value)) if key == "splits" and draft.remark else Named(f"{key}=", value)
        for key, value in given.items()
    ]
    return f"dataset = {render(call('Dataset', *arguments, spread=True))}"


def _places(places: str | Sequence[str]) -> Item:
    if isinstance(places, str):
        return quoted(places)
    return quoted(places[0]) if len(places) == 1 else listed([quoted(one) for one in places])


def _imports(draft: Draft) -> str:
    """The imports in the order of isort: those of the standard library, then the others."""
    names = ", ".join(sorted({"Dataset", "column", *draft.names}))
    lines = {*draft.imports, "import pyarrow as pa", f"from ailab_dataproc import {names}"}
    groups: dict[bool, list[str]] = {True: [], False: []}
    for line in sorted(lines, key=lambda one: (one.startswith("from "), one)):
        groups[line.split()[1].split(".")[0] in sys.stdlib_module_names].append(line)
    return "\n\n".join("\n".join(group) for group in groups.values() if group)


def _defines(code: str) -> bool:
    """Whether the code holds a function or class, which two blank lines set apart."""
    return any(line.startswith(("def ", "class ", "async def ", "@")) for line in code.splitlines())
