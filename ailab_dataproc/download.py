"""Download: what a definition says of a file or archive that is fetched before its dataset is prepared."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ailab_dataproc import urls
from ailab_dataproc.errors import InvalidDefinition

SCHEME = "download://"
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")
_ARCHIVES = (
    ".zip",
    ".tar",
    *(".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"),
    *(".tgz", ".tbz2", ".txz", ".tzst"),
)
_LONGEST = 100  # characters of a file's name in the cache


@dataclass(frozen=True, slots=True)
class Download:
    """A file or archive that is fetched once, checked, kept, and read as ``download://<its name>/<file inside>``.

    Args:
        url: ``https://``, ``gs://``, a path: whatever holds one file. A web server's user and password are taken from
            ``~/.netrc``.
        checksum: ``sha256:`` and 64 hexadecimal digits. Without one, the checksum that was found is told when
            the file is fetched: put it here.
        extract: whether it is an archive (zip, or tar in any compression) to be unpacked; None decides by the
            URL's ending. A single .gz, .bz2, .xz or .zst stays as it is: readers unpack it.
        max_bytes: the most bytes that it may have, packed or unpacked.

    Raises:
        InvalidDefinition: a URL that is none, a checksum of another form.
    """

    url: str
    checksum: str | None = None
    extract: bool | None = None
    max_bytes: int = 100 << 30

    def __post_init__(self) -> None:
        if not isinstance(self.url, str) or not self.url.strip():
            raise InvalidDefinition(f"Download: url={self.url!r}, wanted a URL or a path.")
        try:
            host = urlsplit(self.url).netloc
        except ValueError as error:
            raise InvalidDefinition(f"Download: url={self.url!r} can't be understood ({error}).") from error
        if urls.is_web(self.url) and "@" in host:
            raise InvalidDefinition(f"{urls.shown(self.url)}: has a password in its URL. Put it into ~/.netrc.")
        if self.checksum is not None and not _CHECKSUM.fullmatch(str(self.checksum)):
            raise InvalidDefinition(
                f"{urls.shown(self.url)}: checksum {self.checksum!r} isn't 'sha256:' and 64 hexadecimal digits in "
                "lower case. Leave it out once, and preparing tells the right one."
            )
        if self.max_bytes < 1:
            raise InvalidDefinition(f"{urls.shown(self.url)}: max_bytes={self.max_bytes}, wanted at least 1.")

    @property
    def file_name(self) -> str:
        """The URL's file name as it is kept: its ending says how to read it."""
        name = re.sub(r"[^\w.-]", "_", unquote(urls.file_name(self.url)), flags=re.ASCII)
        return name[-_LONGEST:].lstrip(".-") or "file"

    @property
    def is_archive(self) -> bool:
        """Whether it is unpacked."""
        return self.file_name.lower().endswith(_ARCHIVES) if self.extract is None else self.extract

    @property
    def key(self) -> str:
        """A file name's worth of identity of the URL."""
        return f"{self.file_name}-{hashlib.sha256(self.url.encode()).hexdigest()[:16]}"
