"""`ailab-dataproc cluster`: certificates of a lab's shared cluster."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ailab_dataproc.commands.lab import down, status, up
from ailab_dataproc.commands.options import json_option

if TYPE_CHECKING:
    from ailab_dataproc.cluster.validity import Certificate


@click.group()
def cluster() -> None:
    """Make certificates for a shared Dask cluster, start it, look at it, end it.

    \b
    On one machine:          ailab-dataproc cluster up
    On several:              ailab-dataproc cluster certs, then cluster up --host ADDRESS
    What runs:               ailab-dataproc cluster status
    """


@cluster.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--host", "hosts", multiple=True, metavar="NAME|ADDRESS", help="Of the machine; may be repeated.")
@click.option("--user", "users", multiple=True, metavar="NAME", help="Sign one for a person; may be repeated.")
@click.option("--machine", metavar="NAME", help="Sign one for a further machine, with its --host.")
@click.option("--days", type=click.IntRange(1, 3650), metavar="N", help="Good for; 730 for machines, 365 for people.")
@click.option("--show", is_flag=True, help="Who has one, until when. Exit code 1 where one is expired or wrong.")
@json_option
@click.pass_context
def certs(ctx: click.Context, /, folder: Path | None, show: bool, as_json: bool, **asked: Any) -> None:
    """Make the TLS certificates of a lab. Nothing is ever overwritten.

    FOLDER is ~/.config/ailab_dataproc/tls if it isn't given. The first call makes a CA (ca.pem, ca-key.pem; 10 years)
    and the certificate of this machine (cert.pem, key.pem). With --user and --machine the CA signs further ones. Who
    has one can run code on the cluster.

    \b
    Make CA and certificate:   ailab-dataproc cluster certs --host 192.168.1.5
    For a colleague:           ailab-dataproc cluster certs --user alice
    For a machine of workers:  ailab-dataproc cluster certs --machine gpu1 --host 192.168.1.6
    Look at them:              ailab-dataproc cluster certs --show

    Your site has a CA? Put its files into FOLDER as ca.pem, cert.pem and key.pem (without a password), or name them in
    `security:` of ~/.config/ailab_dataproc/clusters/NAME.yaml. Those of machines must be good for server and client
    authentication (serverAuth, clientAuth), those of people for client authentication. Take a CA of the cluster's own:
    everybody whose certificate it has signed gets in, and Dask compares no host names.

    Dask knows no list of revoked certificates: to shut somebody out, move FOLDER away, make a new CA, and hand out new
    certificates to all others.
    """
    from ailab_dataproc import tables
    from ailab_dataproc.cluster import certificates, security, validity

    hosts, users, machine, days = (asked[key] for key in ("hosts", "users", "machine", "days"))
    if show and any(asked.values()):
        raise click.UsageError("--show makes nothing: give it without --host, --user, --machine and --days.")
    if users and hosts:
        raise click.UsageError("--host is for machines: a person's certificate names no host.")
    where = (folder or Path(security.FOLDER)).expanduser().absolute()
    if show:
        found = validity.show(where)
    elif users or machine:
        made = [certificates.sign(where, "machine", machine, hosts, days)] if machine else []
        made += [certificates.sign(where, "user", user, days=days) for user in users]
        found = [validity.check(one) for one in made]
    else:
        certificates.make(where, hosts, days)
        found = validity.show(where)[:2]  # of the CA, of this machine
    if as_json:
        tables.print_json([dataclasses.asdict(one) for one in found])
    else:
        _print(found)
        if not show:
            click.echo(_hand_over(where, found) if users or machine else _next(where))
    ctx.exit(int(show and any(one.fault for one in found)))


def _print(found: list[Certificate]) -> None:
    for one in found:
        state = one.fault or ("ends soon" if one.soon else "good")
        left = f", {one.days} days" if one.days >= 0 else ""
        click.echo(f"{one.file}: {one.who}, until {one.until[:10]}{left}: {state}")
        if one.names:
            click.echo(f"    for {', '.join(one.names)}")


def _hand_over(where: Path, found: list[Certificate]) -> str:
    folders = " ".join(str(Path(one.file).parent) for one in found)
    return (
        f"Hand over each folder ({folders}) to the one that it is for, over a channel that nobody else reads, such as "
        "scp or a USB stick: ca.pem, cert.pem and key.pem go into ~/.config/ailab_dataproc/tls there, the folder with "
        f"mode 700 and key.pem with mode 600. Then delete the key here. Never hand over {where / 'ca-key.pem'}."
    )


def _next(where: Path) -> str:
    return (
        f"Keep {where / 'ca-key.pem'} to yourself, with a copy in a safe: who has it can let anybody in.\n"
        "For a colleague:  ailab-dataproc cluster certs --user alice\n"
        "Start a cluster:  ailab-dataproc cluster up --host ADDRESS"
    )


cluster.add_command(up)
cluster.add_command(status)
cluster.add_command(down)
