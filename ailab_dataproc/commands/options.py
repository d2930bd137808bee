"""What several commands share: their arguments and options, and what is done with them."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ailab_dataproc.errors import AilabError

if TYPE_CHECKING:
    from ailab_dataproc.settings import Settings


def _complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from ailab_dataproc.describing import complete_names

    try:
        return [CompletionItem(name) for name in complete_names(incomplete, settings_of(ctx.params.get("data_dir")))]
    except AilabError:  # a shell in the middle of a word is no place for messages
        return []


name_argument = click.argument("name", shell_complete=_complete)
data_dir_option = click.option("--data-dir", metavar="DIR", help="Where prepared data lies, in place of the settings'.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for scripts.")


def selecting(default_split: str) -> Callable[[Any], Any]:
    """The options that choose rows and columns."""

    def wrap(command: Any) -> Any:
        pii = click.option("--allow-pii", is_flag=True, help="Take columns with personal data too, if you may.")
        columns = click.option("--columns", metavar="A,B", help="Only these columns, in this order.")
        filters = click.option(
            "--filter",
            "filters",
            multiple=True,
            metavar="CONDITION",
            help="Only such rows: 'price > 3.5', 'word in a,b', 'word is not null'; may be repeated for and.",
        )
        split = click.option("--split", default=default_split, show_default=True, help="Such as 'train[:10%]+test'.")
        return split(columns(filters(pii(command))))

    return wrap


def amount(text: str | None) -> int | float | None:
    """``1000`` or ``0.01`` of ``--sample``; None where the option wasn't given."""
    if text is None:
        return None
    try:
        return int(text.replace("_", ""))
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no number of rows, and no part such as 0.01.", param_hint="--sample"
        ) from error


def settings_of(data_dir: str | None) -> Settings:
    """The settings, with the data directory of the command line."""
    from ailab_dataproc.settings import load_settings

    settings = load_settings()
    return dataclasses.replace(settings, data_dir=data_dir) if data_dir else settings


def read_filters(name: str, texts: Sequence[str], settings: Settings) -> list[tuple[str, str, Any]] | None:
    """The conditions of ``--filter`` for a dataset, whose columns say what their values are; None without one."""
    if not texts:
        return None
    from ailab_dataproc.filters import parse_texts
    from ailab_dataproc.loading import open_known

    prepared = open_known(name, settings)
    return parse_texts(texts, prepared.schema, prepared.name)


def split_names(text: str | None) -> list[str] | None:
    """``a,b`` as a list; None where the option wasn't given."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def key_values(texts: tuple[str, ...], option: str) -> dict[str, Any]:
    """``KEY=VALUE`` of a repeated option; values are read as YAML, so that numbers and true are what they look like."""
    import yaml

    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{text!r} is no KEY=VALUE.", param_hint=option)
        try:
            found[key.removeprefix("--")] = yaml.safe_load(value)
        except yaml.YAMLError:  # such as the bare `[auto]` of Flink's neighbours; text is text
            found[key.removeprefix("--")] = value
    return found


@contextlib.contextmanager
def quiet_stdout(as_json: bool) -> Iterator[None]:
    """With --json, what a definition or a `read` prints goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        yield
