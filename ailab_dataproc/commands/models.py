"""`ailab-dataproc models`: push, search, show and pull models, notebooks and pipelines, and name one to take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ailab_dataproc.commands.options import json_option, quiet_stdout

if TYPE_CHECKING:
    from ailab_dataproc.experiment.zoo.drafting import Draft
    from ailab_dataproc.experiment.zoo.entries import Entry

_METRICS = 3  # that a line shows
_FILES = 20  # that a page shows


@click.group()
def models() -> None:
    """Share trained models, notebooks and pipelines, each tied to its exact dataset.

    They are in the registry of the server that MLFLOW_TRACKING_URI names.

    \b
    Example: ailab-dataproc models search 日本語 --task ctr --metric 'auc>0.7'
    """


@models.command()
@click.argument("files", nargs=-1, required=True)
@click.argument("name")
@click.option("--kind", default="model", show_default=True, metavar="KIND", help="model, notebook or pipeline.")
@click.option("--task", help="What it does, where the card doesn't say it.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME=NUMBER", help="Such as auc=0.71; may be repeated.")
@click.option(
    "--data",
    multiple=True,
    metavar="[FOR=]NAME:VERSION[SPLIT]",
    help="What it was trained on; 'test=NAME:VERSION[test]' for what it was judged on; may be repeated.",
)
@click.option("--no-data", is_flag=True, help="No prepared dataset was used.")
@click.option("--card", metavar="FILE", help="The card, in place of the README.md among the files.")
@click.option("--run", metavar="ID", help="The run of MLflow that made it.")
@click.option("--tag", "tags", multiple=True, help="A word beside those of the card; may be repeated.")
@click.option("--also", multiple=True, metavar="PATTERN", help="Push such files too, though hidden or like secrets.")
@click.option("--by-reference", is_flag=True, help="Leave the files where they are; FILES is a folder or a URL.")
@click.option("--dry-run", is_flag=True, help="Only show what would be pushed.")
@json_option
def push(
    files: tuple[str, ...], name: str, metrics: tuple[str, ...], dry_run: bool, as_json: bool, **given: Any
) -> None:
    """Register a folder, or some files, with a card (README.md) as a new version of NAME.

    \b
    Example: ailab-dataproc models push out/model ctr.deepfm --task ctr --metric auc=0.71 \\
                 --data 'products/ad_log/impressions:1.0.0[train]'
    """
    named = _data(given.pop("data"))
    data: Any = [] if given.pop("no_data") else named
    about = {**given, "metrics": _numbers(metrics), "data": data}
    what: Any = files[0] if len(files) == 1 else list(files)
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.experiment import reaching
        from ailab_dataproc.experiment.zoo import drafting, pushing

        if dry_run:
            found: Any = drafting.draft(what, name, **about)
        else:
            found = pushing.push(what, name, **about)
    if dry_run:
        _drafted(found)
    elif as_json:
        tables.print_json(found.to_dict())
    else:
        click.echo(f"{found.name}:{found.version} in {reaching.place()}: {found.files} files, {_size(found.bytes)}")
        for one in found.data:
            click.echo(f"  data    {one}  {one.digest}")


@models.command()
@click.argument("words", nargs=-1)
@click.option("--task", help="Exactly this task.")
@click.option("--dataset", metavar="NAME[:VERSION]", help="Made from this dataset, or judged on it.")
@click.option("--metric", multiple=True, metavar="BOUND", help="Such as 'auc>0.7'; may be repeated. Best first.")
@click.option("--kind", metavar="KIND", help="model, notebook or pipeline.")
@click.option("--owner", help="Of this person or team.")
@click.option("--limit", type=int, default=20, show_default=True, help="Entries at most.")
@click.option("--all-versions", is_flag=True, help="All versions that fit, not one of each name.")
@json_option
def search(words: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Find models by words of the card, task, dataset and metrics; the newest first.

    \b
    Example: ailab-dataproc models search 広告 --dataset products/ad_log/impressions --metric 'auc>0.7'
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.experiment import reaching
        from ailab_dataproc.experiment.zoo.searching import search as find

        found = find(" ".join(words), **given)
    if as_json:
        tables.print_json([one.to_dict() for one in found])
    elif found:
        _table(found)
    else:
        click.echo(f"No entry in {reaching.place()} that you may see fits. Ask for less, or look at all: models search")


@models.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show card, metrics, data, run, versions and files of NAME, NAME@ALIAS or NAME:VERSION.

    \b
    Example: ailab-dataproc models show ctr.deepfm@champion
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.experiment.zoo.showing import show as find

        found = find(name)
    if as_json:
        tables.print_json(found.to_dict())
        return
    entry = found.entry
    aliases = ", ".join(f"{alias} = {version}" for alias, version in found.aliases.items())
    lines = [
        ("entry", f"{entry.name}:{entry.version}" + "".join(f" @{one}" for one in entry.aliases)),
        ("kind", entry.kind),
        ("task", entry.task),
        ("tags", ", ".join(entry.tags)),
        ("license", entry.license),
        ("owner", f"{entry.owner}, pushed {entry.pushed[:16].replace('T', ' ')} UTC"),
        *[(f"{key}", f"{value:.6g}") for key, value in entry.metrics.items()],
        *[("data", f"{one}  {one.digest}") for one in entry.data],
        *[("load", one) for one in found.loads],
        ("run", found.run),
        ("files at", entry.location),
        ("versions", ", ".join(map(str, found.versions))),
        ("aliases", aliases),
        ("files", f"{entry.files}, {_size(entry.bytes)}"),
        *[("", f"{one.path}  {_size(one.bytes)}") for one in found.files[:_FILES]],
    ]
    wide = max(len(key) for key, _ in lines)
    for key, value in lines:
        if value:
            click.echo(f"{key:{wide}}  {value}")
    if len(found.files) > _FILES:
        click.echo(f"{'':{wide}}  … ({len(found.files)} in all)")
    click.echo(f"\n{found.card.strip()}")


@models.command()
@click.argument("name")
@click.option("--to", metavar="DIR", help="A folder that isn't there yet; by default one in the cache.")
@json_option
def pull(name: str, to: str | None, as_json: bool) -> None:
    """Get the files of NAME, NAME@ALIAS or NAME:VERSION, and print their folder.

    A plain NAME is the champion, or the newest version where there is none.

    \b
    Example: ailab-dataproc models pull ctr.deepfm@champion --to champion
    """
    with quiet_stdout(as_json):
        from ailab_dataproc import tables
        from ailab_dataproc.experiment.zoo.pulling import download
        from ailab_dataproc.experiment.zoo.registry import Asked, find

        _, entry = find(Asked.parse(name))
        if not as_json:
            click.echo("".join([f"{entry.name}:{entry.version}", *(f" @{one}" for one in entry.aliases)]), err=True)
        folder = download(entry, to)
    if as_json:
        tables.print_json({**entry.to_dict(), "folder": str(folder)})
    else:
        click.echo(str(folder))


@models.command()
@click.argument("name")
@click.argument("alias")
@click.argument("version")
def alias(name: str, alias: str, version: str) -> None:
    """Let NAME@ALIAS mean a version, such as the champion that a plain NAME means.

    \b
    Example: ailab-dataproc models alias ctr.deepfm champion 3
    """
    from ailab_dataproc.experiment.zoo.registry import alias as name_it

    found = name_it(name, alias, version)
    click.echo(f"{name}@{alias} is {name}:{found.version}")


def _numbers(texts: Sequence[str]) -> dict[str, float]:
    found = {}
    for text in texts:
        key, _, value = text.rpartition("=")
        try:
            found[key.strip()] = float(value)
        except ValueError as error:
            raise click.BadParameter(f"{text!r} is no NAME=NUMBER such as auc=0.71.", param_hint="--metric") from error
    return found


def _data(texts: Sequence[str]) -> dict[str, list[str]] | None:
    """By what they are for; None where none is named."""
    found: dict[str, list[str]] = {}
    for text in texts:
        context, equals, reference = text.partition("=")
        found.setdefault(context if equals else "train", []).append(reference if equals else text)
    return found or None


def _drafted(draft: Draft) -> None:
    click.echo(
        f"{draft.name}: {draft.kind}, task {draft.card.task}"
        + (f", tags {', '.join(draft.tags)}" if draft.tags else "")
    )
    click.echo(f"  summary  {draft.card.summary or '(none)'}")
    for key, value in draft.metrics.items():
        click.echo(f"  {key}  {value:.6g}")
    for context, used in draft.data:
        click.echo(f"  data     {used.reference} {used.split} ({context})  {used.digest}")
    if draft.gathered is None:
        click.echo(f"  files    stay in {draft.location}")
        return
    for name in draft.gathered.paths:
        click.echo(f"  file     {name}  {_size(draft.gathered.stats[name][0])}")
    click.echo(f"  in all   {len(draft.gathered.paths)} files, {_size(draft.gathered.bytes)}; nothing was sent")
    for name in draft.gathered.left_out:
        click.echo(f"  left out {name}")


def _table(found: Sequence[Entry]) -> None:
    from ailab_dataproc.tables import bare_table, console

    table = bare_table("name", "kind", "task", "metrics", "data", "pushed", "owner", "summary")
    for one in found:
        told = [f"{name}={value:.4g}" for name, value in one.metrics.items()]
        more = ", …" if len(told) > _METRICS else ""
        data = ", ".join(dict.fromkeys(datum.reference for datum in one.data))
        name = "".join([f"{one.name}:{one.version}", *(f" @{alias}" for alias in one.aliases)])
        row = (name, one.kind, one.task, ", ".join(told[:_METRICS]) + more, data, one.pushed[:10], one.owner)
        table.add_row(*row, one.summary or one.title)
    console().print(table)


def _size(count: int) -> str:
    from ailab_dataproc.report import count_bytes

    return count_bytes(count)
