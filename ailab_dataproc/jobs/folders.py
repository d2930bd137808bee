"""Where jobs lie: <jobs_dir>/<user>/<id>, private to the user; finding one by a part of its id."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import secrets
import uuid
from datetime import UTC, datetime

from ailab_dataproc import storage
from ailab_dataproc.errors import InvalidRequest, UnknownName, unknown
from ailab_dataproc.jobs.record import ASKED
from ailab_dataproc.settings import Settings
from ailab_dataproc.storage import Disk, Folder
from ailab_dataproc.storage.sentences import explained

_SHOWN = 5  # candidates of a part of an id


def user() -> str:
    """Who submits, as the name of a folder: what the operating system says, or $LOGNAME."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError) as error:
        raise InvalidRequest(f"this user has no name ({error}). Set the environment variable LOGNAME.") from error
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-") or "user"


def jobs_folder(settings: Settings) -> Folder:
    """The folder of everybody's jobs."""
    if settings.jobs_dir:
        return storage.folder(settings.jobs_dir, settings.storage_options)
    return storage.folder(settings.data_dir, settings.storage_options) / ".jobs"


def new_id(name: str) -> str:
    """An id that nobody has: it sorts by time, tells the name, and ends with six digits at random."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "job"
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{slug}-{secrets.token_hex(3)}"


def make_private(job: Folder) -> None:
    """Make the folder of a job, and that of its user: on a disk nobody else may look into them.

    In a bucket who may read is up to the bucket's own rules (IAM).
    """
    if not isinstance(job, Disk):
        return
    mine, everybody = os.path.dirname(job.url), os.path.dirname(os.path.dirname(job.url))
    with explained(job.url, "write"):
        if not os.path.isdir(everybody):
            os.makedirs(os.path.dirname(everybody), exist_ok=True)
            os.makedirs(everybody, exist_ok=True)
            # Who may write beside it may have jobs, too; the sticky bit keeps their folders from each other.
            os.chmod(everybody, os.stat(os.path.dirname(everybody)).st_mode & 0o777 | 0o1000)
        os.makedirs(mine, mode=0o700, exist_ok=True)
        os.mkdir(job.url, mode=0o700)


def write_private(folder: Folder, name: str, content: bytes) -> None:
    """Write a whole small file that on a disk only its owner can read."""
    if not isinstance(folder, Disk):
        folder.write(name, content)
        return
    path = folder.path(name)
    temporary = f"{path}.tmp-{uuid.uuid4().hex}"
    with explained(path, "write"):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


def users(jobs: Folder) -> list[str]:
    """Whose folders there are."""
    return [name for name in jobs.names() if not name.startswith(".")]


def ids(mine: Folder) -> list[str]:
    """The ids of a user's jobs, the newest first."""
    return [name for name in reversed(mine.names()) if re.match(r"\d{8}-\d{6}-", name)]


def find(jobs: Folder, part: str) -> Folder:
    """The folder of the only job whose id has this part: among your own, else among everybody's.

    Raises:
        UnknownName: no job has it, or several do.
    """
    mine = user()
    known: list[str] = []
    if not part or "/" in part:
        raise unknown("job", part, ids(jobs / mine)[:_SHOWN], where=jobs.url)
    for owner in [mine, *(one for one in users(jobs) if one != mine)]:
        if (jobs / owner / part).exists(ASKED):
            return jobs / owner / part
        try:
            here = ids(jobs / owner)
        except OSError:
            if owner == mine:
                raise
            continue  # another's private folder
        found = [one for one in here if part in one]
        if len(found) == 1:
            return jobs / owner / found[0]
        if found:
            shown = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
            raise UnknownName(f"job {part!r}: found {len(found)} jobs with it, wanted one: {shown}. Write more of it.")
        known += here
    raise unknown("job", part, known, where=jobs.url, hint="See `ailab-dataproc jobs list`.")
