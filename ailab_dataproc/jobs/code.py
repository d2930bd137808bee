"""The project's code travels with a job: its folder as a zip, and the settings that point into it."""

from __future__ import annotations

import dataclasses
import functools
import io
import logging
import os
import stat
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import DamagedData, InvalidRequest
from ailab_dataproc.functions import OWN
from ailab_dataproc.jobs.files import ADVICE, git_root, is_everything, is_secret, own_package, project_files
from ailab_dataproc.report import count_bytes
from ailab_dataproc.settings import Settings
from ailab_dataproc.storage import is_local

LIMIT = 50_000_000  # bytes of all files, as they lie on the disk
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same files make the same zip
_NAMED = 3  # files, in a message
_log = logging.getLogger("ailab_dataproc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A project's code, ready to travel."""

    folder: Path  # that it was made of
    content: bytes = field(repr=False)  # of a zip
    names: tuple[str, ...]  # of files and links, sorted
    bytes: int  # of the files before they were packed
    skipped: Mapping[str, str] = field(default_factory=dict)  # what stays here, and why


def project_of(file: str | os.PathLike[str]) -> Path:
    """The project that a script or module belongs to: its git repository, else its folder (of a package that above).

    Raises:
        InvalidRequest: that is the home directory, or the whole disk.
    """
    folder = Path(file).expanduser().resolve().parent
    root = git_root(folder)
    while root is None and (folder / "__init__.py").exists():
        folder = folder.parent
    return checked(root or folder)


def project_of_function(function: Callable[..., Any]) -> Path | None:
    """The project that a function was written in; None for one that is installed, or of a notebook in the home folder.

    Of a notebook or a prompt, which has no file, it is that of the current folder.
    """
    while isinstance(function, functools.partial):
        function = function.func
    module = getattr(function, "__module__", None) or type(function).__module__
    if module in sys.builtin_module_names or module.partition(".")[0] == OWN:
        return None
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        here = Path.cwd().resolve()
        return None if is_everything(here) else project_of(here / "notebook")
    place = Path(file).resolve()
    installed = place.is_relative_to(Path(sysconfig.get_path("stdlib")).resolve())
    if installed or not {"site-packages", "dist-packages"}.isdisjoint(place.parts):
        return None
    return project_of(place)


def checked(folder: str | os.PathLike[str]) -> Path:
    """The folder that `code=` names, without links.

    Raises:
        InvalidRequest: it is no folder, the home directory, or the whole disk.
    """
    found = Path(folder).expanduser().resolve()
    if not found.is_dir():
        raise InvalidRequest(f"code: {found} is no folder. Name the project's by code=.")
    if is_everything(found):
        raise InvalidRequest(
            f"{found}: the project would be the whole {'disk' if found == found.parent else 'home directory'}. "
            "Move the script into a folder of its own, or name the project's by code=."
        )
    return found


def name_within(folder: Path, script: str | os.PathLike[str]) -> str:
    """The name of a script within the project.

    Raises:
        InvalidRequest: it lies elsewhere.
    """
    found = Path(script).expanduser().absolute()
    for one in (found, found.resolve()):
        if one.is_relative_to(folder):
            return one.relative_to(folder).as_posix()
    raise InvalidRequest(f"{script}: lies outside the project {folder}. Name a folder by code= that holds the script.")


def pack(folder: Path, limit: int = LIMIT, *, always: Sequence[str] = (), without: Iterable[str] = ()) -> Packed:
    """Make a zip of the project: the same files make the same bytes.

    Links within the project stay links; one to a file elsewhere becomes that file. This package itself, of a project
    that is its repository, stays: a job's process and its tasks on all workers run one and the same, the workers' own.

    Args:
        folder: of the project, from `project_of` or `checked`.
        limit: bytes that all files may have.
        always: names that are taken although git ignores them, such as the script.
        without: folders that hold no code: `Settings.data_dir` and the like. URLs and None are passed over.

    Raises:
        InvalidRequest: there is more, or git can't list the files.
    """
    places = [Path(os.path.expanduser(one)).resolve() for one in without if one and is_local(one)]
    found = project_files(folder, places)
    taken, skipped = {}, {}
    if own := own_package(found):
        found = [name for name in found if not name.startswith(f"{own}/")]
        skipped[own] = "jobs run the one that is installed on their workers; install this one there to have it run"
    for name in sorted({*found, *always}):
        try:
            taken[name] = _read_entry(folder, name)
        except _Skipped as reason:
            skipped[name] = str(reason)
    total = sum(size for size, _ in taken.values())
    if total > limit:
        raise InvalidRequest(
            f"{folder}: the project's files have {count_bytes(total)}, the limit is {count_bytes(limit)}; "
            f"the largest are {_largest({name: size for name, (size, _) in taken.items()})}. {ADVICE}"
        )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (_, link) in list(taken.items()):
            try:
                content = link.encode() if link else (folder / name).read_bytes()
            except OSError as error:
                del taken[name]
                skipped[name] = f"can't be read ({error.strerror})"
                continue
            archive.writestr(_entry(name, _mode(folder / name, link)), content)
    if skipped:
        _log.warning("%s: %s", folder, _left_out(skipped))
    return Packed(folder=folder, content=file.getvalue(), names=tuple(taken), bytes=total, skipped=skipped)


def unpack(content: bytes, folder: str | os.PathLike[str]) -> None:
    """Write the files of `pack` below a folder, which is made; nothing is ever written outside it.

    Raises:
        DamagedData: it is no zip, or one that `pack` doesn't make.
    """
    root = Path(folder).resolve()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [(_safe(root, entry), entry) for entry in archive.infolist()]
            for path, entry in sorted(entries, key=lambda one: stat.S_ISLNK(one[1].external_attr >> 16)):  # links last
                path.parent.mkdir(parents=True, exist_ok=True)
                mode = entry.external_attr >> 16
                if stat.S_ISLNK(mode):
                    _link(root, path, archive.read(entry).decode())
                    continue
                path.write_bytes(archive.read(entry))
                path.chmod(0o700 if mode & stat.S_IXUSR else 0o600)
    except zipfile.BadZipFile as error:
        raise DamagedData(f"{root}: the job's code is no whole zip ({error}). Submit the job again.") from error


def module_folders(code: Path, script: str | None) -> list[str]:
    """Where modules of an unpacked project are looked for: beside the script, at the top, and in src.

    Args:
        code: the folder it was unpacked into.
        script: its path there, if the job is one.
    """
    found = [(code / script).parent] if script else []
    return list(dict.fromkeys(str(one) for one in (*found, code, code / "src") if one.is_dir()))


def settings_for(settings: Settings, packed: Packed | None) -> dict[str, Any]:
    """The settings as a job's worker needs them: without storage options and what is of this machine alone.

    Folders with definitions that travel with the code are named relative to it; `datasets_there` is the way back.
    """
    values = dataclasses.asdict(dataclasses.replace(settings, storage_options=None))
    for key in ("data_dir", "jobs_dir", "downloads"):
        if values[key] is not None and is_local(values[key]):
            values[key] = os.path.abspath(os.path.expanduser(values[key]))
    values["datasets"] = [_there(os.path.abspath(os.path.expanduser(one)), packed) for one in settings.datasets]
    for key in ("storage_options", "calibration", "cache_dir", "cache_bytes"):  # the worker has its own
        del values[key]
    return {key: value for key, value in values.items() if value is not None}


def datasets_there(datasets: Iterable[str], code: str | os.PathLike[str]) -> list[str]:
    """The folders with definitions of `settings_for`, where the code lies unpacked in `code`."""
    return [os.path.normpath(os.path.join(code, one)) for one in datasets]


class _Skipped(Exception):
    """Why a file stays here."""


def _read_entry(folder: Path, name: str) -> tuple[int, str]:
    """The bytes of a file, and of a link within the project where it leads, from where it lies."""
    path = folder / name
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise _Skipped("its name is not UTF-8") from error
    if is_secret(name):
        raise _Skipped("looks like a secret")
    link = ""
    if path.is_symlink():
        target = path.resolve()
        if not target.exists():
            raise _Skipped("a link that leads nowhere")
        if target.is_relative_to(folder):
            link = os.path.relpath(target, path.parent.resolve())
        elif target.is_dir():
            raise _Skipped(f"a link to a folder outside the project, {target}")
        if is_secret(target.name):
            raise _Skipped("a link to what looks like a secret")
    if link:
        return 0, link
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise _Skipped("a folder that can't be read" if stat.S_ISDIR(about.st_mode) else "no file")
    return about.st_size, link


def _mode(path: Path, link: str) -> int:
    if link:
        return stat.S_IFLNK | 0o777
    return stat.S_IFREG | (0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def _entry(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = 3  # Unix: the mode below is minded
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _safe(root: Path, entry: zipfile.ZipInfo) -> Path:
    parts = entry.filename.split("/")
    if entry.is_dir() or entry.filename.startswith("/") or not {"", ".", ".."}.isdisjoint(parts) or "\\" in parts:
        raise DamagedData(f"{root}: the job's code holds {entry.filename!r}, which is no name of a file within it.")
    return root.joinpath(*parts)


def _link(root: Path, path: Path, target: str) -> None:
    """Make a link, and take it back where it leads out of the folder, whatever other links it passes."""
    path.symlink_to(target)
    if not path.resolve().is_relative_to(root):
        path.unlink()
        raise DamagedData(f"{root}: the job's code holds a link out of it, {path.name} to {target}.")


def _there(place: str, packed: Packed | None) -> str:
    if packed is None:
        return place
    inside = os.path.relpath(os.path.realpath(place), packed.folder)
    if inside == ".":
        return inside
    travels = any(name.startswith(f"{inside}/") for name in packed.names)
    return Path(inside).as_posix() if travels else place


def _left_out(skipped: Mapping[str, str]) -> str:
    named = ", ".join(f"{name!r} ({why})" for name, why in list(skipped.items())[:_NAMED])
    more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
    return f"does not travel with the job: {named}{more}"


def _largest(sizes: Mapping[str, int]) -> str:
    most = sorted(sizes, key=lambda name: -sizes[name])[:_NAMED]
    return ", ".join(f"{name} ({count_bytes(sizes[name])})" for name in most)
