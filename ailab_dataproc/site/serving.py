"""Serve the site on this machine alone, with the headers that a page can't set for itself; build it again on change."""

from __future__ import annotations

import errno
import hashlib
import mimetypes
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ailab_dataproc import catalog, storage
from ailab_dataproc.errors import AilabError, StorageFailed
from ailab_dataproc.notices import NOTICES
from ailab_dataproc.settings import Settings
from ailab_dataproc.site.building import DEFAULT, Built, build, ignore_interrupts
from ailab_dataproc.site.folder import STATE
from ailab_dataproc.site.gathering import version_folders
from ailab_dataproc.site.rendering import POLICY

HOST = "127.0.0.1"
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_LOOK = 5.0  # seconds between two looks for what changed
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}


class Site(ThreadingHTTPServer):
    """A server of one site's folder."""

    daemon_threads = True

    def __init__(self, folder: str, port: int) -> None:
        try:
            super().__init__((HOST, port), partial(_Handler, directory=folder))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            taken = "is taken" if error.errno == errno.EADDRINUSE else "may not be opened"
            raise StorageFailed(
                f"port {port}: {taken} on {HOST}, wanted a free one. Name another with --port."
            ) from error

    @property
    def url(self) -> str:
        """The address of the first page."""
        return f"http://{HOST}:{self.server_port}/"


class _Handler(SimpleHTTPRequestHandler):
    """Files of the site's folder, and nothing else."""

    server: Site
    server_version = "ailab_dataproc"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds that a connection may be silent

    def send_head(self) -> Any:
        """The headers of a file; 404 for what the site doesn't hold."""
        if self.headers.get("Host", "") not in self._names():  # another name that leads here: another site's page asks
            return self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
        if self._file() is None:
            return self.send_error(HTTPStatus.NOT_FOUND)
        return super().send_head()

    def translate_path(self, path: str) -> str:
        """Where the asked file lies."""
        return str(self._file())

    def guess_type(self, path: Any) -> str:
        """The kind of a file by its ending; not by what this machine believes."""
        ending = os.path.splitext(path)[1]
        return _TYPES.get(ending) or mimetypes.types_map.get(ending, "application/octet-stream")

    def end_headers(self) -> None:
        """Send what keeps other sites out with every answer."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal is for what was built."""

    def _names(self) -> tuple[str, ...]:
        return tuple(f"{host}:{self.server.server_port}" for host in (HOST, "localhost"))

    def _file(self) -> Path | None:
        """The file that is asked for, within the folder and not hidden; None where there is none."""
        asked = unquote(urlsplit(self.path).path)
        parts = [part for part in asked.split("/") if part] or ["index.html"]
        if any(part.startswith(".") or "\0" in part or os.sep in part for part in parts) or parts == [STATE]:
            return None
        root = Path(self.directory).resolve()
        file = root.joinpath(*parts).resolve()
        return file if file.is_relative_to(root) and file.is_file() else None


def serve(
    settings: Settings,
    folder: str | os.PathLike[str] = DEFAULT,
    *,
    port: int,
    samples: bool,
    told: Callable[[Built], None],
    say: Callable[[str], None],
) -> None:
    """Build the site and serve it until Ctrl-C.

    Args:
        settings: where definitions and data lie.
        folder: see `build`.
        port: where; 0 takes a free one.
        samples: see `build`.
        told: is given what each build did.
        say: is given the address, and why a later build failed.

    Raises:
        StorageFailed: the port is taken.
    """
    make = partial(build, settings, folder, samples=samples)
    with Site(os.path.abspath(os.path.expanduser(folder)), port) as server:
        seen = signature(settings)
        told(make())
        over = threading.Event()
        look = partial(signature, settings)
        watch = threading.Thread(target=_watch, args=(make, look, seen, over), kwargs={"told": told, "say": say})
        watch.start()
        say(f"serving {server.url}; Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:  # the way to end it
            say("ended")
        finally:
            over.set()
            watch.join()


def signature(settings: Settings) -> str:
    """Changes when a version comes or goes or is deprecated, or a definition is edited. Reads no manifest."""
    place = storage.folder(settings.data_dir, settings.storage_options)
    there = dict(version_folders(place))
    seen = [f"{name} {versions}" for name, versions in there.items()]
    notices = place.read_many(f"{name}/{NOTICES}" for name, versions in there.items() if versions)
    seen += [f"{file} {content!r}" for file, content in notices.items()]
    try:
        paths = [one.path for one in catalog.definitions(settings).values()]
    except AilabError as error:
        return f"{seen} {error}"
    seen += [f"{path} {path.stat().st_mtime_ns}" for path in paths if path.exists()]
    return hashlib.sha256("\0".join(sorted(seen)).encode()).hexdigest()


def _watch(
    make: Callable[[], Built],
    look: Callable[[], str],
    seen: str,
    over: threading.Event,
    *,
    told: Callable[[Built], None],
    say: Callable[[str], None],
) -> None:
    """Build again whenever a look tells something new, until it is over."""
    while not over.wait(_LOOK):
        try:
            now = look()
            if now != seen:
                seen = now
                told(_apart(make))
        except (AilabError, BrokenExecutor) as error:  # a bucket that doesn't answer: the last site stays meanwhile
            say(f"! {error}")


def _apart(make: Callable[[], Built]) -> Built:
    """Build in a process of its own: a definition is run once in a process, and a failure there harms nobody."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=ignore_interrupts) as pool:
        return pool.submit(make).result()
