"""The bytes of a URL into a file on this disk: resumed where they were cut off, hashed as they come."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import logging
import netrc
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from ailab_dataproc import urls
from ailab_dataproc.errors import InvalidData, StorageFailed
from ailab_dataproc.storage import explained, filesystem

_BLOCK = 1 << 20  # bytes read at a time
_SILENCE = 60  # seconds without a byte after which a connection counts as broken
_WAITS = (1.0, 4.0, 15.0)  # seconds before another try; counted anew when bytes have come
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # what a server may not answer a little later

_log = logging.getLogger("ailab_dataproc")

Told = Callable[[int, int | None], None]  # bytes so far, bytes in all


@dataclass(frozen=True, slots=True)
class State:
    """What was begun: the rest of a file is asked for only while this still holds."""

    size: int | None = None  # of the whole
    validator: str | None = None  # an ETag, a time, a generation: changes when the content does


@dataclass(frozen=True, slots=True)
class _Stream:
    body: IO[bytes]
    start: int  # the byte of the whole at which the body begins
    state: State


class _Broken(Exception):
    """A connection that failed in a way that may pass."""


def transfer(url: str, part: Path, options: Mapping[str, Any], limit: int, told: Told) -> str:
    """Bring the bytes of a URL into `part`, going on where an earlier call was cut off.

    Args:
        url: any URL or path.
        part: the file; beside it lies what is known of the whole, until `forget`.
        options: fsspec options for what isn't http(s).
        limit: the most bytes that are taken.
        told: called as bytes come.

    Returns:
        The checksum of the whole, in the form of `storage.HashingFile.checksum`.

    Raises:
        StorageFailed: it doesn't exist, is forbidden, or the connection failed again and again.
        InvalidData: it is larger than `limit`.
    """
    furthest = failures = 0
    while True:
        try:
            return _attempt(url, part, options, limit, told)
        except _Broken as error:
            reached = part.stat().st_size if part.exists() else 0
            failures = 1 if reached > furthest else failures + 1
            furthest = max(furthest, reached)
            if failures > len(_WAITS):
                raise StorageFailed(
                    f"{urls.shown(url)}: can't be downloaded ({error}). Check the address and your network; "
                    "preparing again goes on where it stopped."
                ) from error
            wait = _WAITS[failures - 1]
            _log.info("%s: %s; trying again in %g s", urls.shown(url), error, wait)
            time.sleep(wait)


def forget(part: Path) -> None:
    """Remove a file that `transfer` began, and what is known of it."""
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)


def _attempt(url: str, part: Path, options: Mapping[str, Any], limit: int, told: Told) -> str:
    known = _known(part)
    stored = part.stat().st_size if known.validator and part.exists() else 0
    # At least the last byte is asked for again: no server has an answer to a request for nothing.
    offset = min(stored, (known.size or stored + 1) - 1)
    stream = _opened(url, offset, known, options)
    with stream.body, explained(str(part), "write"):
        if not stream.start:
            forget(part)
            part.touch()
            _state_path(part).write_text(json.dumps(asdict(stream.state)))
        with open(part, "r+b") as file:
            return _copy(url, stream, file, limit, told)


def _copy(url: str, stream: _Stream, file: IO[bytes], limit: int, told: Told) -> str:
    digest, count, size = hashlib.sha256(), 0, stream.state.size
    while count < stream.start:
        block = file.read(min(_BLOCK, stream.start - count))
        digest.update(block)
        count += len(block)
    file.truncate(count)
    while block := _read(stream.body):
        count += len(block)
        if max(count, size or 0) > limit:
            raise InvalidData(
                f"{urls.shown(url)}: the download has {max(count, size or 0):,} bytes or more, wanted at most "
                f"{limit:,}. Raise max_bytes of its Download if it is what you want."
            )
        file.write(block)
        digest.update(block)
        told(count, size)
    if size is not None and count != size:
        raise _Broken(f"it ended after {count:,} of {size:,} bytes")
    return f"sha256:{digest.hexdigest()}"


def _read(body: IO[bytes]) -> bytes:
    try:
        return body.read(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(_reason(error)) from error


def _opened(url: str, offset: int, known: State, options: Mapping[str, Any]) -> _Stream:
    if urls.is_web(url):
        return _opened_web(url, offset, known)
    local = urls.local_path(url)
    path = local or url
    fs = filesystem("file://", {}) if local else filesystem(url, dict(options))
    try:
        with explained(url, "read"):
            info = fs.info(path)
            if info["type"] != "file":
                raise StorageFailed(f"{url}: is a {info['type']}, wanted one file. Name a file or an archive.")
            state = State(int(info["size"]), urls.store_identity(info) or str(info.get("mtime", "")) or None)
            body = fs.open(path, "rb")
            start = offset if state == known else 0
            body.seek(start)
            return _Stream(body, start, state)
    except FileNotFoundError as error:
        raise StorageFailed(f"{url}: does not exist. Check the Download's url.") from error


def _opened_web(url: str, offset: int, known: State) -> _Stream:
    # urllib, not fsspec: that tells no 403 from a 404 or a dead line, has no If-Range, and unpacks what it gets.
    headers = {"Accept-Encoding": "identity", "User-Agent": "ailab_dataproc"}
    if offset and known.validator:
        headers |= {"Range": f"bytes={offset}-", "If-Range": known.validator}
    quoted = urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")
    request = urllib.request.Request(quoted, headers=headers)  # noqa: S310 - is_web() has looked at the scheme
    if login := _login(url):
        request.add_unredirected_header("Authorization", login)
    try:
        response = urllib.request.urlopen(request, timeout=_SILENCE)  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            return _opened_web(url, 0, State())
        raise _refusal(url, error) from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # the last: a host that can't be one
        raise _Broken(_reason(error)) from error
    state = _web_state(response.headers)
    if not offset or response.status != http.client.PARTIAL_CONTENT:
        return _Stream(response, 0, state)
    start, total = _range(response.headers.get("Content-Range", ""))
    if (start, total) != (offset, known.size) or state.validator not in (None, known.validator):
        response.close()
        return _opened_web(url, 0, State())
    return _Stream(response, offset, known)


def _login(url: str) -> str | None:
    """What ``~/.netrc`` has for this very host."""
    try:
        found = netrc.netrc().hosts.get(urllib.parse.urlsplit(url).hostname or "")
    except FileNotFoundError:
        return None
    except netrc.NetrcParseError as error:
        raise StorageFailed(f"{error.filename}: can't be read (line {error.lineno}: {error.msg}). Mend it.") from error
    if not found:
        return None
    return "Basic " + base64.b64encode(f"{found[0]}:{found[2]}".encode()).decode()


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    told = f"HTTP {error.code} {_reason(error)}"
    if error.code in _PASSING:
        return _Broken(told)
    advice = "Check the Download's url."
    if error.code in (401, 403):
        advice = "Give a user and password in ~/.netrc, or get the file by hand and give its path as the url."
    return StorageFailed(f"{urls.shown(url)}: can't be downloaded ({told}). {advice}")


def _web_state(headers: http.client.HTTPMessage) -> State:
    length, etag = headers.get("Content-Length"), headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified")  # no range goes by a weak ETag
    return State(int(length) if length and length.isdigit() else None, validator)


def _range(text: str) -> tuple[int | None, int | None]:
    """From ``bytes 100-999/1000``: the first byte, and the bytes of the whole."""
    span, _, total = text.removeprefix("bytes ").partition("/")
    first = span.partition("-")[0]
    return int(first) if first.isdigit() else None, int(total) if total.isdigit() else None


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)
    return " ".join(str(getattr(inner, "strerror", None) or inner).split()) or type(error).__name__


def _state_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _known(part: Path) -> State:
    try:
        return State(**json.loads(_state_path(part).read_text()))
    except (FileNotFoundError, ValueError, TypeError):  # none, or half a file of a run that was killed: begin anew
        return State()
