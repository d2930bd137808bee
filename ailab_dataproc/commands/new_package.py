"""`ailab-dataproc new-package`: a repository for a lab's own datasets."""

from __future__ import annotations

import dataclasses
import os
import shlex

import click

from ailab_dataproc.commands.options import json_option


@click.command("new-package")
@click.argument("name")
@click.option("--folder", metavar="DIR", help="The repository, which must be empty; by default ./<NAME>.")
@json_option
def new_package(name: str, folder: str | None, as_json: bool) -> None:
    """Write a git repository for a lab's own datasets, which pip installs.

    It has an example of a table, of images and of text, tests of each, a README, a changelog and CI. Once it is
    installed, its datasets are in `ailab-dataproc list`.

    \b
    Example: ailab-dataproc new-package mylab_datasets
    """
    from ailab_dataproc import tables
    from ailab_dataproc.packaging.repository import new_package as write

    made = write(name, folder)
    if as_json:
        tables.print_json({**dataclasses.asdict(made), "folder": str(made.folder)})
        return
    click.echo(f"{made.package}: {len(made.files)} files in {made.folder}")
    for one in made.datasets:
        click.echo(f"  {one}")
    click.echo("Next:")
    for line in (
        f"cd {shlex.quote(os.path.relpath(made.folder))}",
        "git init && git add . && git commit -m 'First version'",
        "pip install -e '.[dev]'",
        "pytest",
        "ailab-dataproc list",
    ):
        click.echo(f"  {line}")
