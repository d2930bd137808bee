"""From values to pages: Jinja2 templates that escape whatever they are given, under a policy without inline code."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from ailab_dataproc import __version__, drawing
from ailab_dataproc.site.columns import BACKENDS
from ailab_dataproc.site.gathering import Entry, Gathered, page_path, root_of
from ailab_dataproc.site.pages import Page, paragraphs, rows_of, size_of

# What a page may load: its own files. `frame-ancestors` counts only where a server sends it.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'"
_CODE = re.compile(r"``([^`]+)``|(?<!`)`([^`\n]+)`(?!`)")
_HERE = Path(__file__).parent
STATIC = _HERE / "static"


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A dataset's line on the first page."""

    name: str
    link: str
    kind: str  # the first part of its name
    about: str  # the first sentence or line of its description
    owner: str
    version: str
    rows: str
    size: str
    columns: int
    pii: bool
    state: str  # "prepared" or "defined"
    deprecated: bool
    problem: bool


def row_of(entry: Entry) -> Row:
    """A dataset's line."""
    newest = entry.newest.manifest if entry.newest else None
    words = entry.words
    return Row(
        name=entry.name,
        link=page_path(entry.name),
        kind=entry.name.split("/")[0],
        about=next(iter(paragraphs(words["description"])), "").split("\n")[0],
        owner=words["owner"],
        version=newest.version if newest else "",
        rows=rows_of(newest) if newest else "",
        size=size_of(newest) if newest else "",
        columns=len(entry.columns),
        pii=bool(entry.personal),
        state="prepared" if newest else "defined",
        deprecated=bool(entry.newest and entry.newest.deprecated),
        problem=bool(entry.problems),
    )


def index_page(gathered: Gathered, problems: Iterable[tuple[str, str]]) -> str:
    """The first page.

    Args:
        gathered: the catalog.
        problems: a dataset's name (or nothing) and a sentence.
    """
    rows = [row_of(one) for one in gathered.entries]
    return _render(
        "index.html.jinja",
        root="",
        rows=rows,
        owners=sorted({one.owner for one in rows if one.owner}, key=str.casefold),
        kinds=sorted({one.kind for one in rows}),
        problems=list(problems),
        data_dir=gathered.data_dir,
    )


def search_script(entries: Iterable[Entry]) -> str:
    """What the search looks through, in the order of the first page's lines, as a script that sets one value.

    A script, because a page that is opened as a file may not fetch one.
    """
    found = [
        [one.name, one.words["owner"], one.words["description"], [_searched(column) for column in one.columns]]
        for one in entries
    ]
    return f"window.catalog = {json.dumps(found, ensure_ascii=False, separators=(',', ':'))};\n"


def dataset_page(page: Page) -> str:
    """A version's page."""
    return _render("dataset.html.jinja", root=root_of(page.path), page=page, backends=list(BACKENDS.values()))


@cache
def look() -> str:
    """Changes when the pages of an unchanged dataset would look otherwise: our version, code, templates and styles."""
    digest = hashlib.sha256(__version__.encode())
    files = [*_HERE.rglob("*"), *Path(drawing.__file__).parent.iterdir()]
    for path in sorted(path for path in files if path.suffix in (".py", ".jinja", ".css", ".js", ".svg")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _searched(column: dict[str, Any]) -> list[str]:
    said = " ".join(part for part in (column["meaning"], column["unit"]) if part)
    return [column["name"], " ".join([said, *map(str, column.get("labels") or ())])]


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(policy=POLICY, mark=look()[:12], **values)


@cache
def _environment() -> Any:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"breakable": _breakable, "words": _words}
    return made


def _breakable(text: str) -> Any:
    """A name that may break behind / and _."""
    from markupsafe import Markup, escape

    return Markup(str(escape(text)).replace("/", "/<wbr>").replace("_", "_<wbr>"))  # noqa: S704 - escaped before


def _words(text: str) -> Any:
    """A description, its ``code`` between backticks set as such."""
    from markupsafe import Markup, escape

    return Markup(_CODE.sub(lambda found: f"<code>{found[1] or found[2]}</code>", str(escape(text))))  # noqa: S704 - escaped before
