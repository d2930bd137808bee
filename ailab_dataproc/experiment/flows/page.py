"""What a run of a flow did, as one file of HTML that loads nothing from elsewhere and runs no script."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ailab_dataproc import __version__, storage
from ailab_dataproc.drawing import draw
from ailab_dataproc.errors import InvalidRequest
from ailab_dataproc.experiment.flows.graph import picture, state
from ailab_dataproc.experiment.flows.step import Step, metrics_of, shown
from ailab_dataproc.experiment.used import Used
from ailab_dataproc.jobs.amounts import now
from ailab_dataproc.report import count_bytes

_KINDS = {".png": "png", ".svg": "svg+xml", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
_LARGEST = 10_000_000  # bytes of a picture
_TEMPLATE = Path(__file__).with_name("page.html.jinja")
_STYLE = Path(__file__).with_name("page.css")


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture of the page."""

    title: str
    address: str  # a data URL


def write_page(path: Path, title: str, steps: Sequence[Step], figures: Any, run: tuple[str, str]) -> Path:
    """Write the page; a figure that can't be shown raises before anything is written.

    Args:
        path: of the page.
        title: of the page.
        steps: of the run.
        figures: what `Flow.report` was given.
        run: the MLflow run's name and address, each of them possibly nothing.
    """
    style = _STYLE.read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    text = draw(
        _TEMPLATE,
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'",
        style=style,
        title=title,
        steps=[(one, state(one), shown(one.result)) for one in steps],
        picture=picture(steps) if steps else "",
        metrics=[(one.label, key, value) for one in steps for key, value in metrics_of(one.result).items()],
        data=_data(steps),
        figures=[*_figures(figures), *_returned(steps)],
        run=run,
        made=now()[:19].replace("T", " "),
        version=__version__,
    )
    path = path.expanduser().absolute()
    storage.folder(path.parent).write(path.name, text.encode())
    return path


def _data(steps: Iterable[Step]) -> list[tuple[Used, str, str]]:
    """Each version with how it is loaded, and which steps got it."""
    found: dict[str, tuple[Used, list[str]]] = {}
    for one in steps:
        for used in one.data:
            found.setdefault(used.digest, (used, []))[1].append(one.label)
    return [(used, used.load_line, ", ".join(dict.fromkeys(labels))) for used, labels in found.values()]


def _returned(steps: Iterable[Step]) -> Iterator[Figure]:
    """The pictures that steps returned."""
    for one in steps:
        named = one.result if isinstance(one.result, Mapping) else {"": one.result}
        for name, value in named.items():
            values = value if isinstance(value, list | tuple) else [value]
            for path in values:
                if isinstance(path, Path) and path.suffix.lower() in _KINDS:
                    yield _figure(f"{one.label}: {name or path.stem}", path)


def _figures(given: Any) -> Iterator[Figure]:
    if given is None:
        return
    named = given if isinstance(given, Mapping) else {_title(one): one for one in given}
    for title, one in named.items():
        yield _figure(str(title), one)


def _title(figure: Any) -> str:
    return Path(figure).stem if isinstance(figure, str | Path) else f"figure {id(figure)}"


def _figure(title: str, given: Any) -> Figure:
    if hasattr(given, "savefig"):
        file = io.BytesIO()
        given.savefig(file, format="svg", bbox_inches="tight")
        return Figure(title, _address("svg+xml", file.getvalue()))
    if not isinstance(given, str | Path):
        raise InvalidRequest(
            f"figures: {title!r} is a {type(given).__name__}, wanted a Matplotlib figure or the path of a picture."
        )
    path = Path(given).expanduser()
    if path.suffix.lower() not in _KINDS:
        raise InvalidRequest(f"figures: {path} is no picture, wanted one of {', '.join(_KINDS)}.")
    if not path.is_file():
        raise InvalidRequest(f"figures: there is no file {path}. Mend the path.")
    if path.stat().st_size > _LARGEST:
        size = count_bytes(path.stat().st_size)
        raise InvalidRequest(
            f"figures: {path} has {size}, at most {count_bytes(_LARGEST)} go into a page. Make it smaller."
        )
    return Figure(title, _address(_KINDS[path.suffix.lower()], path.read_bytes()))


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
