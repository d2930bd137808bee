"""`ailab-dataproc cluster up`, `status` and `down`: a lab's own cluster on this machine."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ailab_dataproc.commands.options import json_option
from ailab_dataproc.commands.watching import since

if TYPE_CHECKING:
    from ailab_dataproc.cluster.lab.scheduler import Seen
    from ailab_dataproc.cluster.lab.starting import Started
    from ailab_dataproc.cluster.lab.telling import Status

NAME = "lab"  # of a cluster that was given none


def _bytes(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    from ailab_dataproc.settings import parse_bytes

    return None if text is None else parse_bytes(text, "--memory")


@click.command()
@click.argument("name", default=NAME)
@click.option(
    "--workers", type=click.IntRange(1, 1024), metavar="N", help="Processes; by default as Dask divides cores."
)
@click.option("--threads", type=click.IntRange(1, 1024), metavar="N", help="Of each worker: how many jobs it takes.")
@click.option("--memory", callback=_bytes, metavar="8GB", help="Of each worker; by default what is free, shared out.")
@click.option("--gpus", is_flag=True, help="A worker of dask-cuda for each GPU, and others only with --workers.")
@click.option("--rmm-pool-size", "rmm_pool", metavar="SIZE", help="Of GPU workers; jobs' own processes can't have it.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="This machine's, for others.")
@click.option("--port", type=click.IntRange(0, 65535), default=8786, show_default=True, help="0: one that is free.")
@click.option("--dashboard", default="127.0.0.1:8787", show_default=True, metavar="ADDRESS", help="It has no password.")
@click.option("--join", metavar="ADDRESS", help="Start workers only, for a scheduler elsewhere: tls://head:8786.")
@click.option(
    "--tls", metavar="FOLDER", help="With ca.pem, cert.pem, key.pem; by default ~/.config/ailab_dataproc/tls."
)
@click.option("--insecure", is_flag=True, help="Plain TCP on the network: who reaches the port can run code here.")
@click.option("--scratch", metavar="FOLDER", help="Where workers put what doesn't fit into memory; on a local disk.")
@click.option("--timeout", type=float, default=60, show_default=True, metavar="SECONDS", help="For workers to join.")
def up(name: str, timeout: float, **given: Any) -> None:
    """Start a shared cluster on this machine: a scheduler and workers that stay when you log out.

    A supervisor starts again what ends, and keeps the logs. NAME is what connect("NAME") takes; it is 'lab' if it isn't
    given. With --host, others can connect, and everything is encrypted with the certificates of `cluster certs`. All
    that runs there runs as you.

    \b
    For yourself:         ailab-dataproc cluster up
    For a lab:            ailab-dataproc cluster certs --host 192.168.1.5
                          ailab-dataproc cluster up --host 192.168.1.5
    On further machines:  ailab-dataproc cluster up --join tls://192.168.1.5:8786 --gpus
    """
    from ailab_dataproc import machine
    from ailab_dataproc.cluster.lab import building, ports, starting

    if given["insecure"] and given["tls"]:
        raise click.UsageError("--insecure and --tls exclude each other.")
    given["gpus"] = _gpus() if given["gpus"] else ()
    given["port"] = given["port"] or ports.check(given["host"], 0)
    tls = building.folder_of_tls(given.pop("tls"), given["host"], given["join"], given["insecure"])
    free = machine.free_memory()
    wanted = building.Wanted(name=name, cores=machine.processors(), free=free, tls=tls, **given)
    for warning in building.warnings(wanted):
        click.echo(f"warning: {warning}", err=True)
    _print_started(starting.up(wanted, timeout=timeout))


@click.command()
@click.argument("name", required=False)
@json_option
def status(name: str | None, as_json: bool) -> None:
    """Tell how a cluster fares: its processes, workers, memory, jobs, certificate.

    NAME is that of `cluster up`, or what connect() takes; all that were started on this machine if it isn't given.

    \b
    Example: ailab-dataproc cluster status --json | jq '.[0].seen.workers'
    """
    from ailab_dataproc import tables
    from ailab_dataproc.cluster.lab import state, telling

    found = [telling.status(one) for one in ([name] if name else state.names())]
    if as_json:
        tables.print_json([dataclasses.asdict(one) for one in found])
        return
    for one in found:
        _print_status(one)
    if not found:
        click.echo("No cluster was started on this machine. `ailab-dataproc cluster up` starts one.")


@click.command()
@click.argument("name", default=NAME)
@click.option("--force", is_flag=True, help="Also while jobs run: they end with it.")
def down(name: str, force: bool) -> None:
    """End a cluster on this machine. Refused while there are jobs, yours or a colleague's, unless --force is given.

    Logs and the configuration stay.

    \b
    Example: ailab-dataproc cluster down
    """
    from ailab_dataproc.cluster.lab import ending

    done = ending.down(name, force=force)
    killed = f"; {_count(done.killed, 'process')} had to be killed" if done.killed else ""
    jobs = f"; with it these jobs: {', '.join(done.jobs)}" if done.jobs else ""
    click.echo(f"cluster {name!r} ended{killed}{jobs}")


def _gpus() -> tuple[str, ...]:
    from ailab_dataproc import gpus
    from ailab_dataproc.errors import ClusterFailed

    found, why = gpus.look()
    if not found:
        raise ClusterFailed(f"--gpus: this machine has none to use: {why}. Leave --gpus out.")
    return tuple(one.uuid for one in found)


def _print_started(started: Started) -> None:
    from ailab_dataproc.cluster import validity
    from ailab_dataproc.cluster.lab import telling

    plan, seen = started.plan, started.seen
    if plan.tls and (found := validity.check(Path(plan.tls))).soon:
        click.echo(f"warning: {found.file} ends in {_count(found.days, 'day')}: make a new one", err=True)
    click.echo(f"cluster {plan.name!r} runs at {plan.address}, with {_count(len(seen.workers), 'worker')}")
    _print_dashboard(telling.link(seen, plan.dashboard), plan.address)
    click.echo(f"logs:       {started.logs}")
    click.echo(f"python:     ailab_dataproc.connect({plan.name!r})")
    click.echo(f"submit:     AILAB_CLUSTER={plan.name} ailab-dataproc jobs submit train.py")
    if plan.tls and any(one.schedules for one in plan.members):
        click.echo("colleagues: ailab-dataproc cluster certs --user NAME, and they use")
        click.echo(f"            address: {plan.address} in ~/.config/ailab_dataproc/clusters/{plan.name}.yaml")
        click.echo(f"more:       ailab-dataproc cluster up {plan.name} --join {plan.address} (on other machines)")
    click.echo(f"look, end:  ailab-dataproc cluster status {plan.name}, ailab-dataproc cluster down {plan.name}")


def _print_dashboard(link: str | None, address: str) -> None:
    from ailab_dataproc.cluster.security import host_of, is_loopback

    told = link or "none"
    if link and importlib.util.find_spec("bokeh") is None:
        told = "none: pip install bokeh, and start the cluster again"
    elif link and is_loopback(link) and not is_loopback(address):
        port = link.rpartition(":")[2].partition("/")[0]
        told += f" (from elsewhere: ssh -L {port}:127.0.0.1:{port} {host_of(address)})"
    click.echo(f"dashboard:  {told}")


def _print_status(told: Status) -> None:
    from ailab_dataproc import tables
    from ailab_dataproc.report import count_bytes

    click.echo(f"cluster {told.name!r} at {told.address}: {_here(told)}")
    if told.processes:
        table = tables.bare_table("process", "pid>", "up", "restarts>", "memory>", "last exit")
        for one in told.processes:
            life = one.life
            since = _age(life.since) if one.alive else "not running"
            memory = count_bytes(one.memory) if one.alive else ""
            table.add_row(life.name, str(life.pid or ""), since, str(life.restarts), memory, life.last_exit)
        tables.console().print(table)
    if told.seen is None:
        click.echo(f"! the scheduler can't be asked: {told.problem}")
    else:
        _print_dashboard(told.dashboard, told.address)
        _print_workers(told.seen)
    if told.logs:
        click.echo(f"logs:        {told.logs}")
    if told.fault:
        click.echo(f"! certificate: {told.fault}")
    elif told.certificate:
        soon = ": make new ones soon" if told.certificate.soon else ""
        click.echo(f"certificate: until {told.certificate.until[:10]}, {told.certificate.days} days{soon}")


def _here(told: Status) -> str:
    if told.here == "not here":
        return "not started from this machine" if told.seen else "not running here"
    if told.here == "runs":
        return "its supervisor runs"
    return (
        f"its supervisor was killed, nothing is started again, and {len(told.left_over)} of its processes run. "
        f"End it: `ailab-dataproc cluster down {told.name}`"
    )


def _print_workers(seen: Seen) -> None:
    from ailab_dataproc import tables
    from ailab_dataproc.report import count_bytes

    table = tables.bare_table("worker", "state", "threads>", "memory>", "limit>", "tasks>", "resources", "jobs")
    for one in sorted(seen.workers, key=lambda worker: worker.name):
        sizes = {
            key: count_bytes(int(value)) if key == "MEMORY" else f"{value:g}" for key, value in one.resources.items()
        }
        table.add_row(
            one.name,
            one.status,
            str(one.threads),
            count_bytes(one.memory),
            count_bytes(one.memory_limit) if one.memory_limit else "none",
            str(one.tasks),
            " ".join(f"{key}={value}" for key, value in sizes.items()),
            " ".join(one.jobs),
        )
    tables.console().print(table if seen.workers else "No worker has joined.")
    if seen.waiting:
        click.echo(f"jobs that no worker has yet: {' '.join(seen.waiting)}")


def _age(began: str) -> str:
    days, rest = divmod(int(since(began)), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _count(number: int, one: str) -> str:
    return f"{number} {one}{'es' * (number != 1) if one.endswith('s') else 's' * (number != 1)}"
