"""What operating systems and stores say of a failure, as one sentence: where, what, and what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator

from ailab_dataproc.errors import AilabError, StorageFailed

_FULL = {errno.ENOSPC, errno.EDQUOT}
_STORES = {"gcsfs", "google", "aiohttp", "requests", "botocore", "s3fs", "azure", "adlfs", "fsspec"}
_LONGEST = 300  # characters of what a store said


@contextlib.contextmanager
def explained(url: str, verb: str) -> Iterator[None]:
    """Turn errors of the operating system and of stores into `StorageFailed`.

    A missing file that is read stays what it is: callers say what is missing, and what to do about it.

    Args:
        url: what was touched.
        verb: what was tried, such as ``"read"``.
    """
    try:
        yield
    except AilabError:
        raise
    except FileNotFoundError as error:
        if verb == "read":
            raise
        raise StorageFailed(_missing(url, verb, error)) from error
    except Exception as error:
        sentence = _sentence(url, verb, error)
        if sentence is None:  # no store's error: a bug, or what the caller's own block raised
            raise
        raise StorageFailed(sentence) from error


def _sentence(url: str, verb: str, error: Exception) -> str | None:
    said, code = _said(error), getattr(error, "code", None)
    if isinstance(error, OSError) and error.errno in _FULL:
        return _full(url, verb)
    if isinstance(error, PermissionError) or code in (401, 403) or str(error).startswith("Forbidden: "):
        return _denied(url, verb, said, code)
    if "Credentials" in type(error).__name__ or type(error).__module__.startswith("google.auth"):
        return f"no credentials for {url}: {said}. Log in (gcloud auth application-default login), or set a token."
    if isinstance(error, TimeoutError) or _module(error) in ("aiohttp", "requests"):
        told = said or type(error).__name__
        return f"{url}: the store doesn't answer ({told}). Check the network and the endpoint, and run it again."
    if isinstance(error, OSError) or _module(error) in _STORES or said.startswith("Bad Request"):
        return f"{url}: can't {verb} it ({said or type(error).__name__})."
    return None


def _denied(url: str, verb: str, said: str, code: int | None) -> str:
    if "://" not in url:
        return f"no access to {url}: {said}. Ask for permission to {verb} it."
    login = "Log in (gcloud auth application-default login), or ask" if code == 401 else "Ask"
    return f"no access to {url}: {said}. {login} its owner for permission to {verb} it."


def _missing(url: str, verb: str, error: FileNotFoundError) -> str:
    if "://" in url:
        bucket = url.split("://", 1)[1].split("/", 1)[0]
        return f"{url}: can't {verb} it, since there is no bucket {bucket!r}. Create it, or mend the URL."
    return f"{url}: can't {verb} it ({error.strerror or error})."


def _full(path: str, verb: str) -> str:
    disk = os.path.dirname(path) or "/"
    while not os.path.ismount(disk):
        disk = os.path.dirname(disk) or "/"
    free = shutil.disk_usage(disk).free
    return (
        f"{path}: can't {verb} it, the disk {disk} is full ({free:,} bytes free). "
        "Make room and run it again; what is whole is kept."
    )


def _said(error: Exception) -> str:
    """One line of what was said, without the request and the numbers that libraries put around it."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if text.startswith("Forbidden: "):  # gcsfs: the request's address, then what the store said
        text = text.partition("\n")[2] or "Forbidden"
    line = " ".join(text.split()).removesuffix(f", {getattr(error, 'code', '')}").rstrip(".")
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


def _module(error: Exception) -> str:
    return type(error).__module__.split(".", 1)[0]
