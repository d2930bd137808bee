"""Unpack zip and tar archives from strangers: only plain files, only inside the folder, only up to a limit.

Nothing of an archive is obeyed but the names and bytes of its files: links become copies of what they point to inside
the archive, and modes, owners and times are left out. So no trick with links, of which there were many, can work.
"""

from __future__ import annotations

import hashlib
import math
import re
import stat
import tarfile
import zipfile
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import IO, Self, cast

from ailab_dataproc.errors import AilabError, InvalidData, StorageFailed
from ailab_dataproc.storage import explained

_BLOCK = 1 << 20  # bytes written at a time
_MEMBERS = 2_000_000
_FREE = 1 << 30  # bytes up to which no ratio is looked at
_RATIO = 200  # times that data may unpack to; text seldom reaches 20
_HEADER = 1 << 20  # bytes of the headers in a tar that hold long names and the like
_NAME = 1000  # bytes of a member's path
_PART = 250  # bytes of each part of it; file systems take 255
_LINKS = 40  # links to links to links
_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True, slots=True)
class File:
    """A file that was unpacked."""

    size: int  # bytes
    checksum: str  # as storage.HashingFile.checksum


@dataclass(slots=True)
class _Unpacking:
    """One archive on its way to the disk."""

    label: str  # the archive, for messages
    into: Path
    packed: int  # bytes of the archive
    limit: int  # bytes that it may unpack to
    spent: int = 0
    members: int = 0
    files: dict[str, File] = field(default_factory=dict)

    def refuse(self, member: str, told: str) -> InvalidData:
        """The error for a member that can't be let in."""
        return InvalidData(
            f"{self.label}: the archive's member {member[:200]!r} {told}. Nothing was unpacked; "
            "get the archive from a place you trust."
        )

    def spend(self, count: int, member: str) -> None:
        """Count bytes; raise where they are too many."""
        self.spent += count
        if self.spent > self.limit:
            raise self.refuse(member, f"brings it beyond max_bytes={self.limit:,} unpacked bytes")
        if self.spent > max(_FREE, _RATIO * self.packed):
            raise self.refuse(member, f"unpacks to more than {_RATIO} times its size, as only a bomb does")

    def write(self, name: str, body: IO[bytes]) -> None:
        """Write one file, counting and hashing what really comes."""
        relative = self.place(name)
        if relative is None:
            raise self.refuse(name, "has no name of a file")
        digest, size = hashlib.sha256(), 0
        with self.create(name, self.into / relative) as file:
            while block := body.read(_BLOCK):
                self.spend(len(block), name)
                digest.update(block)
                size += len(block)
                rest = memoryview(block)
                while rest:
                    with explained(file.name, "write"):
                        rest = rest[file.write(rest) :]
        self.files[relative] = File(size, f"sha256:{digest.hexdigest()}")

    def create(self, name: str, path: Path) -> FileIO:
        """Open a new file; raise where something is there already."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return open(path, "xb", buffering=0)  # so that closing it can't fail on a full disk
        except (FileExistsError, NotADirectoryError) as error:
            raise self.refuse(name, "is there twice, or both as a file and as a folder") from error
        except OSError as error:
            raise StorageFailed(f"{path}: can't write it ({error.strerror or error}).") from error

    def place(self, name: str, base: str | None = None) -> str | None:
        """The checked path of a member below the folder, or None for the folder itself.

        Args:
            name: as the archive has it.
            base: for a link's target, the folder inside the archive that it starts from and may climb up in.
        """
        plain = name.replace("\\", "/")
        if plain.startswith("/") or re.match("[A-Za-z]:", plain):
            raise self.refuse(name, "has an absolute path")
        if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", name):
            raise self.refuse(name, "has a name with control characters, or that isn't UTF-8")
        found = base.split("/") if base else []
        for part in plain.split("/"):
            if part == ".." and base is not None and found:
                found.pop()
            elif part == "..":
                raise self.refuse(name, "leads out of the folder (..)")
            elif part not in ("", "."):
                found.append(part)
        if len(name.encode()) > _NAME or any(len(part.encode()) > _PART for part in found):
            raise self.refuse(name, "has too long a name")
        return "/".join(found) or None

    def count(self) -> None:
        """Count members; raise where they are too many."""
        self.members += 1
        if self.members > _MEMBERS:
            raise InvalidData(f"{self.label}: the archive has more than {_MEMBERS:,} members. Nothing was unpacked.")


def unpack(archive: Path, into: Path, limit: int, label: str) -> dict[str, File]:
    """Unpack a zip, or a tar in any compression, into an empty folder.

    Args:
        archive: the file.
        into: an existing, empty folder. On an error the caller removes it.
        limit: the most bytes that are written.
        label: what the archive is called in messages.

    Returns:
        The files by their path below the folder.

    Raises:
        InvalidData: it is broken or encrypted, or a member would leave the folder, overwrite another, or is a device.
    """
    job = _Unpacking(label, into, archive.stat().st_size, limit)
    with open(archive, "rb") as file:
        start = file.read(8)
    try:
        if start.startswith(b"PK"):  # by its beginning: a tar may end with a zip
            _unpack_zip(job, archive)
        else:
            _unpack_tar(
                job, archive, next((kind for magic, kind in _COMPRESSIONS.items() if start.startswith(magic)), None)
            )
    except AilabError:
        raise
    except Exception as error:  # whatever a parser makes of a stranger's bytes
        raise InvalidData(
            f"{label}: the archive can't be read to its end ({str(error) or type(error).__name__}). Get it again, "
            "or say extract=False if it is no archive."
        ) from error
    if not job.files:
        raise InvalidData(f"{label}: the archive holds no files. Get it again.")
    return job.files


def _unpack_zip(job: _Unpacking, archive: Path) -> None:
    with zipfile.ZipFile(archive) as members:
        for member in members.infolist():
            job.count()
            name, kind = member.orig_filename, stat.S_IFMT(member.external_attr >> 16)
            if member.flag_bits & 1:
                raise job.refuse(name, "is encrypted")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise job.refuse(name, "is a link or a device")
            if member.is_dir() or kind == stat.S_IFDIR:
                job.place(name)
                continue
            with members.open(member) as body:
                job.write(name, body)


def _unpack_tar(job: _Unpacking, archive: Path, compression: str | None) -> None:
    from fsspec.compression import compr

    links: dict[str, str] = {}
    with open(archive, "rb") as file, compr[compression](file, mode="rb") as body:
        stream = _Stream(body)
        with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|", tarinfo=_StrictHeader, errorlevel=2) as members:
            for member in members:
                job.count()
                stream.left = math.inf
                _unpack_member(job, links, members, member)
                members.members = []  # type: ignore[attr-defined]  # it would keep them all
                stream.left = _HEADER
        while block := body.read(_BLOCK):  # to the end: compression has its checksum there
            job.spend(len(block), "after the last member")
    _copy_links(job, links)


def _unpack_member(job: _Unpacking, links: dict[str, str], members: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    if member.isdir():
        job.place(member.name)
    elif member.isreg():
        job.write(member.name, cast(IO[bytes], members.extractfile(member)))
    elif member.issym() or member.islnk():
        _note_link(job, links, member)
    else:
        raise job.refuse(member.name, "is a device or a pipe")


def _note_link(job: _Unpacking, links: dict[str, str], member: tarfile.TarInfo) -> None:
    name = job.place(member.name)
    if name is None or name in links or name in job.files:
        raise job.refuse(member.name, "is there twice, or has no name")
    try:
        target = job.place(member.linkname, name.rpartition("/")[0] if member.issym() else None)
    except InvalidData as error:
        raise job.refuse(member.name, f"is a link out of the folder, to {member.linkname[:200]!r}") from error
    links[name] = target or ""


def _copy_links(job: _Unpacking, links: dict[str, str]) -> None:
    for name, direct in links.items():
        target = direct
        for _ in range(_LINKS):
            target = links.get(target, target)
        if target not in job.files:
            raise job.refuse(name, f"is a link to {direct!r}, which is no file in the archive")
        with open(job.into / target, "rb") as body:
            job.write(name, body)


class _StrictHeader(tarfile.TarInfo):
    """Refuses what tarfile takes for the end in silence: a header that is cut off, damaged or missing."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        """Read the next header."""
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # a block of zeros, the mark of the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError("it ends or is damaged in the middle") from error


@dataclass(slots=True)
class _Stream:
    """What tarfile reads from: between members a little only, since it holds their headers in memory."""

    body: IO[bytes]
    left: float = _HEADER  # bytes that may be read

    def read(self, count: int) -> bytes:
        """Read on."""
        block = self.body.read(count)
        self.left -= len(block)
        if self.left < 0:
            raise tarfile.ReadError(f"a member's header has more than {_HEADER:,} bytes")
        return block
