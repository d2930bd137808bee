"""The folder that holds the site: only one of ours is ever replaced, and a reader sees the old site or the new one."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ailab_dataproc.errors import AilabError, InvalidRequest, StorageFailed

STATE = "catalog.json"  # what is in the folder, and from what it was made
_KIND = "ailab_dataproc catalog"
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux' renameat2(2)
_HERE = -100  # AT_FDCWD


def read_state(folder: Path) -> dict[str, Any]:
    """What the last build left; empty where there is no site yet.

    Raises:
        InvalidRequest: the folder holds something that no build has written, and that a build would delete.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return {}
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        state = {}
    if not isinstance(state, dict) or state.get("kind") != _KIND:
        raise InvalidRequest(
            f"{folder}: exists and is no catalog site, so it is left alone. Name a new or empty folder with -o."
        )
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    foreign = sorted(files - {STATE, *state["files"]})
    if foreign:
        raise InvalidRequest(
            f"{folder}: holds {foreign[0]!r}, which no build has written. Move it away, or name another folder with -o."
        )
    return state


def write_state(folder: Path, **made: Any) -> None:
    """Tell the next build what is in a folder, and that it is ours."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    text = json.dumps({"kind": _KIND, "files": files, **made}, indent=0, ensure_ascii=False)
    (folder / STATE).write_text(text, encoding="utf-8")


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """An empty folder beside the site's, which takes its place when the block ends without an error."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".building", dir=folder.parent))
    except OSError as error:
        raise StorageFailed(f"{folder}: can't be written ({error.strerror}). Name another folder with -o.") from error
    try:
        new.chmod(0o777 & ~_umask())
        yield new
        read_state(folder)  # nobody has put anything there meanwhile
        _swap(new, folder)
    except AilabError:
        raise
    except OSError as error:
        raise StorageFailed(f"{folder}: can't be written ({error.strerror}). Name another folder with -o.") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)  # holds the old site now


def _swap(new: Path, folder: Path) -> None:
    if not folder.exists():
        new.rename(folder)
    elif not _exchange(new, folder):  # two renames: for some microseconds there is no site
        old = new.with_suffix(".old")
        folder.rename(old)
        new.rename(folder)
        old.rename(new)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places at once; False where the system or the file system can't."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if not rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


def _umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found
