"""Which files of a folder are pushed, and what each is: its bytes and checksum, in a manifest beside them."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ailab_dataproc import storage
from ailab_dataproc.errors import DamagedData, InvalidRequest
from ailab_dataproc.progressing import Progress
from ailab_dataproc.storage import Folder

MANIFEST = "ailab-model.json"  # beside the files; one that is in a folder already comes from a pull
_DROPPED = ("__pycache__", "node_modules", "*.pyc", "*.tmp", "*~")
_SECRET = (
    ".env*", "*.env", ".netrc", ".pgpass", ".pypirc", ".git-credentials", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks",
    "*.kdbx", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*credentials*.json", "client_secret*.json",
    "*service*account*.json", "token", "token.json", "token.txt", "secrets.*",
)  # fmt: skip
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_ODD = re.compile(r"[\x00-\x1f\x7f\\#%?:*\"<>|]")  # what URLs or other systems take for something else
_SHOWN = 3  # files that a message names


@dataclass(frozen=True, slots=True)
class File:
    """A file of an entry."""

    path: str  # below the entry, with /
    bytes: int
    checksum: str  # sha256:…


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Files that will be pushed."""

    paths: Mapping[str, Path]  # by their names in the entry
    bytes: int
    left_out: tuple[str, ...] = ()  # hidden files, caches, and an older manifest
    stats: Mapping[str, tuple[int, int]]  # bytes and time of each when it was found


def gather(what: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], also: Sequence[str] = ()) -> Gathered:
    """The files of a folder, or those that are listed.

    Args:
        what: a folder, a file, or several files, which come to lie beside each other.
        also: patterns of names that are pushed though they are hidden or look like secrets.

    Raises:
        InvalidRequest: a path doesn't exist, there is nothing in it, a link leads out, or a file looks like a secret.
    """
    single = isinstance(what, str | os.PathLike)
    given = [Path(one).expanduser() for one in ([what] if isinstance(what, str | os.PathLike) else what)]
    for one in given:
        if not one.exists():
            raise InvalidRequest(f"{one}: there is no such file or folder. Give the folder to push.")
    found: dict[str, Path] = {}
    left_out: list[str] = []
    if single and given[0].is_dir():
        _walk(given[0], also, found, left_out)
    else:
        _listed(given, found)
    where = str(given[0]) if single else "files"
    if not found:
        raise InvalidRequest(f"{where}: there is no file to push{_told(left_out)}. Give a folder with files in it.")
    _check(found, also)
    stats = {name: _stat(path) for name, path in found.items()}
    return Gathered(
        paths=dict(sorted(found.items())),
        bytes=sum(size for size, _ in stats.values()),
        left_out=tuple(left_out),
        stats=stats,
    )


def described(gathered: Gathered) -> list[File]:
    """Bytes and checksum of each file; all are read."""
    with Progress(total=gathered.bytes, what="checksums") as bar:
        found = []
        for name, path in gathered.paths.items():
            with storage.explained(str(path), "read"), open(path, "rb") as file:
                found.append(File(name, gathered.stats[name][0], storage.checksum_of(file)))
            bar.advance(gathered.stats[name][0])
    return found


def unchanged(gathered: Gathered) -> None:
    """Raise `InvalidRequest` where a file was written to since it was found."""
    for name, path in gathered.paths.items():
        if not path.exists() or _stat(path) != gathered.stats[name]:
            raise InvalidRequest(f"{path}: changed while it was pushed. Push again when nothing writes to it.")


def described_there(place: Folder) -> list[File]:
    """The same of a folder that is not pushed itself, on a disk or in a bucket."""
    with storage.explained(place.url, "read"):
        sizes = {name: size for name, size in place.sizes().items() if name != MANIFEST}
    if not sizes:
        raise InvalidRequest(f"{place.url}: there is no file in it. Give the folder of the checkpoint.")
    with Progress(total=sum(sizes.values()), what="checksums") as bar:
        found = []
        for name, size in sizes.items():
            with storage.explained(place.path(name), "read"):
                found.append(File(name, size, storage.checksum(place, name, size)))
            bar.advance(size)
    return found


def checked(found: Iterable[Any], where: str) -> list[File]:
    """The files of a manifest, none of which may lie outside the folder.

    Raises:
        DamagedData: one does, or the manifest is none.
    """
    files = []
    for one in found:
        path = PurePosixPath(str(one.get("path", "")))
        if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in str(path) or "\0" in str(path):
            raise DamagedData(
                f"{where}: its manifest names the file {str(path)!r}, wanted one below it. Push it again."
            )
        files.append(File(str(path), int(one["bytes"]), str(one["checksum"])))
    return files


def is_whole(path: Path, file: File) -> bool:
    """Whether a file on this disk has the bytes that the manifest says."""
    if not path.is_file() or path.stat().st_size != file.bytes:
        return False
    with open(path, "rb") as opened:
        return storage.checksum_of(opened) == file.checksum


def _walk(root: Path, also: Sequence[str], found: dict[str, Path], left_out: list[str]) -> None:
    inside = root.resolve()
    for parent, folders, names in os.walk(root):
        for name in sorted(folders):
            path = Path(parent, name)
            if _is_dropped(name, also):
                left_out.append(f"{path.relative_to(root).as_posix()}/")
                folders.remove(name)
            elif path.is_symlink():
                raise InvalidRequest(f"{path}: is a link to a folder. Put the folder itself there, or push that.")
        for name in names:
            path, below = Path(parent, name), Path(parent, name).relative_to(root).as_posix()
            if below == MANIFEST or (_is_dropped(name, also) and not _is_secret(name)):
                left_out.append(below)
                continue
            if path.is_symlink() and not path.exists():
                raise InvalidRequest(f"{path}: is a link to {os.readlink(path)}, which isn't there. Remove it.")
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise InvalidRequest(
                    f"{path}: is a link out of the folder, to {os.readlink(path)}. Copy the file there."
                )
            found[below] = path


def _listed(given: Sequence[Path], found: dict[str, Path]) -> None:
    for one in given:
        if one.is_dir():
            raise InvalidRequest(f"{one}: is a folder among files. Push one folder, or files only.")
        if one.name in found:
            raise InvalidRequest(f"{one}: there are two files with this name. Put them into folders of one folder.")
        found[one.name] = one


def _check(found: Mapping[str, Path], also: Sequence[str]) -> None:
    for name, path in found.items():
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InvalidRequest(f"{path}: is no file but a pipe, socket or device. Remove it.")
        if _ODD.search(name):
            raise InvalidRequest(f"{path}: {_ODD.search(name)[0]!r} can't be in a file's name here. Rename it.")  # type: ignore[index]
    secret = [name for name, path in found.items() if not _asked(name, also) and (_is_secret(name) or _has_key(path))]
    if secret:
        told = ", ".join(secret[:_SHOWN]) + (f", … ({len(secret)} in all)" if len(secret) > _SHOWN else "")
        raise InvalidRequest(f"{told}: looks like a secret. Move it away, or give also=['{secret[0]}'] if it is none.")


def _is_dropped(name: str, also: Sequence[str]) -> bool:
    hidden = name.startswith(".") or any(fnmatch.fnmatch(name, one) for one in _DROPPED)
    return hidden and not _asked(name, also)


def _is_secret(name: str) -> bool:
    return any(fnmatch.fnmatch(PurePosixPath(name).name.lower(), one) for one in _SECRET)


def _has_key(path: Path) -> bool:
    with storage.explained(str(path), "read"), open(path, "rb") as file:
        return bool(_KEY.search(file.read(4096)))


def _asked(name: str, also: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(one, pattern) for pattern in also for one in (name, PurePosixPath(name).name))


def _stat(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _told(left_out: Sequence[str]) -> str:
    return f" but {', '.join(left_out[:_SHOWN])}, which stays out" if left_out else ""
