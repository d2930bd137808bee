"""`ailab-dataproc mlflow`: the lab's tracking server, its whitelist and its passwords."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ailab_dataproc.commands.options import json_option

_FOLDER = "~/ailab_mlflow"

folder_option = click.option(
    "--folder", default=_FOLDER, show_default=True, help="Of the database, artifacts and secrets."
)
database_option = click.option(
    "--backend-store-uri",
    "database",
    default="",
    envvar="MLFLOW_BACKEND_STORE_URI",
    metavar="URI",
    help="postgresql://…, in place of SQLite; better as $MLFLOW_BACKEND_STORE_URI, since it holds a password.",
)


@click.group()
def mlflow() -> None:
    """Serve MLflow to yourself or to the lab, a workspace for each person and team.

    \b
    Example: ailab-dataproc mlflow serve
    """


@mlflow.command()
@folder_option
@database_option
@click.option("--artifacts", default="", metavar="DIR", help="A folder or gs://…, in place of one in --folder.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 for others, with an --identity.")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Processes.")
@click.option(
    "--identity",
    type=click.Choice(["none", "iap", "password"]),
    default="none",
    show_default=True,
    help="How the server knows who asks.",
)
@click.option(
    "--whitelist", type=click.Path(path_type=Path), metavar="FILE", help="Who may what; read when it changes."
)
@click.option("--iap-audience", "audience", default="", help="Of the tokens that IAP signs for this server.")
@click.option("--iap-keys", default="", metavar="URL", help="Of IAP's public keys, in place of Google's.")
@click.option("--allowed-hosts", default="", metavar="A,B", help="Names of the server that browsers use: '*.run.app'.")
def serve(folder: str, **options: Any) -> None:
    """Start the server; without options for you alone, on this machine.

    \b
    Example: ailab-dataproc mlflow serve
             ailab-dataproc mlflow serve --host 0.0.0.0 --identity password --whitelist whitelist.yaml
    """
    from ailab_dataproc.experiment.server import serving

    given = serving.Serving(folder=Path(folder).expanduser(), **options)
    given.check()
    serving.listen(given.host, given.port)
    serving.prepare(given)
    if given.identity == "none":
        click.echo(f"export MLFLOW_TRACKING_URI=http://{given.host}:{given.port}/{given.workspace}", err=True)
    serving.become(given)


@mlflow.command()
@click.argument("whitelist", type=click.Path(path_type=Path))
@json_option
def check(whitelist: Path, as_json: bool) -> None:
    """Print who may what by a whitelist, or the line of it that is wrong.

    \b
    Example: ailab-dataproc mlflow check whitelist.yaml
    """
    from ailab_dataproc.experiment.server.whitelist import EVERYWHERE, read

    found = read(whitelist)
    if as_json:
        from ailab_dataproc import tables

        tables.print_json({"ask": found.ask, "people": found.people})
        return
    width = max(map(len, found.people))
    for email, roles in found.people.items():
        told = (f"{'everything' if name == EVERYWHERE else name} ({role})" for name, role in roles.items())
        click.echo(f"{email:<{width}}  {', '.join(told)}")
    click.echo(
        f"{len(found.people)} people, {len(found.workspaces)} workspaces; who is not in it is sent to {found.ask}"
    )


@mlflow.command()
@click.argument("email")
@folder_option
@database_option
@click.password_option(help="Asked for if not given.")
def user(email: str, folder: str, database: str, password: str) -> None:
    """Give a person a password, or a new one.

    For a server with --identity password: on its machine, with its --folder and database. An old password is taken for
    another half a minute.

    \b
    Example: ailab-dataproc mlflow user alice@lab.example
    """
    from ailab_dataproc.experiment.server.serving import Serving, give_password

    new = give_password(Serving(folder=Path(folder).expanduser(), database=database), email, password)
    click.echo(f"{email} has {'a password' if new else 'a new password'}")
