"""The fsspec file system of a URL, with the defaults that stores need: no remembered listings, bounded waiting."""

from __future__ import annotations

import logging
import os
from typing import Any

from ailab_dataproc.errors import StorageFailed
from ailab_dataproc.storage.sentences import explained

_CONNECT, _SILENT = 10, 60  # seconds until a store counts as not answering: to connect, and between two packets
_OURS = {"gs": "gcs", "gcs": "gcs", "http": "http", "https": "http", "s3": "s3", "az": "azure", "abfs": "azure"}


def is_local(url: str) -> bool:
    """True for a path without a scheme."""
    return "://" not in url


def filesystem(url: str, options: dict[str, Any] | None) -> Any:
    """The fsspec file system of a URL. A web server never gets the options, which may hold a bucket's credentials.

    Raises:
        StorageFailed: its library isn't there, or the options are wrong.
    """
    import fsspec

    scheme = url.split("://", 1)[0]
    asked = {} if scheme in ("http", "https") else options or {}
    given = {"use_listings_cache": False, **asked}  # after a crash or a twin, an old listing is a lie
    try:
        if scheme in ("gs", "gcs"):
            given = _google(given)
        kind = fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        line = f"pip install 'ailab_dataproc[{_OURS[scheme]}]'" if scheme in _OURS else str(error)
        raise StorageFailed(f"{url}: the library for {scheme}:// is not installed. {line}") from error
    except ValueError as error:
        known = "a folder, or a URL that fsspec knows such as gs://, s3:// or az://"
        raise StorageFailed(f"{url}: there is no file system for {scheme}://, wanted {known}.") from error
    try:
        with explained(url, "open"):
            return kind(**given)
    except (ValueError, TypeError, KeyError) as error:
        raise StorageFailed(
            f"{url}: storage_options don't fit ({_without_values(str(error), given)}). Mend them in the settings."
        ) from None  # whose message may hold a secret


def _google(options: dict[str, Any]) -> dict[str, Any]:
    # Else gcsfs asks for the bucket's type over gRPC, which takes 3 minutes at an endpoint that has none.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    log = logging.getLogger("gcsfs")  # prints a traceback of each error that it also raises
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    token = options.get("token")
    if isinstance(token, str) and token.endswith(".json") and not os.path.exists(token):
        raise StorageFailed(f"no credentials: the file {token} does not exist. Mend storage_options (token: …).")
    import aiohttp

    # By default gcsfs waits for ever.
    return {"requests_timeout": aiohttp.ClientTimeout(sock_connect=_CONNECT, sock_read=_SILENT), **options}


def _without_values(text: str, options: dict[str, Any]) -> str:
    """A message without what the options hold."""
    for value in options.values():
        for one in value.values() if isinstance(value, dict) else (value,):
            if isinstance(one, str) and one:
                text = text.replace(one, "•••")
    return " ".join(text.split())
