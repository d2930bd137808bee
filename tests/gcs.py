"""A Google Cloud Storage on loopback: gcp-storage-emulator, with what it lacks, counted, failing on demand."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections import Counter
from functools import partial
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"  # before gcsfs is imported: it would wait for 3 minutes
os.environ["NO_GCE_CHECK"] = "true"

from gcp_storage_emulator import server
from gcp_storage_emulator.handlers import buckets
from gcp_storage_emulator.storage import Storage

_KINDS = (  # method and path, and what a request is
    ("GET", r"/storage/v1/b/[^/]+/o", "list"),
    ("GET", r"/storage/v1/b/[^/]+", "bucket"),
    ("GET", r"/download/.*", "read"),
    ("GET", r"/storage/v1/b/[^/]+/o/.*", "info"),
    ("POST", r".*/rewriteTo/.*", "copy"),
    ("POST", r"/upload/.*", "upload"),
    ("DELETE", r".*", "delete"),
)
_MULTIPART = re.compile(rb"--==0==\n.*?\n\n(.*?)\n--==0==\n(.*?)\n\n(.*)\n--==0==--", re.DOTALL)
_read_data = server._read_data


class Gcs:
    """The server: `url` for ``endpoint_url``, `requests` by kind, `deny` and `hook` to make it fail."""

    def __init__(self) -> None:
        self.storage = _Storage(use_memory_fs=True)
        self.requests = Counter()
        self.paths = []  # "METHOD /path" of each request
        self.sent = 0  # bytes of answers
        self.deny = {}  # kind -> (status, message)
        self.hook = None  # called with kind and path before each request
        self.lock = threading.RLock()
        self.http = _Server(("127.0.0.1", 0), partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    @property
    def options(self) -> dict:
        """The storage options of a client."""
        return {"token": "anon", "endpoint_url": self.url}

    def bucket(self, name: str) -> str:
        """Make a bucket; returns its URL."""
        buckets.create_bucket(name, self.storage)
        return f"gs://{name}"

    def objects(self, bucket: str) -> dict[str, bytes]:
        """All that a bucket holds."""
        with self.lock:
            return {name: self.storage.get_file(bucket, name) for name in sorted(self.storage.objects.get(bucket, {}))}

    def count(self):
        """Begin to count anew; returns the counter."""
        self.paths.clear()
        self.sent = 0
        self.requests = Counter()
        return self.requests

    def stop(self) -> None:
        """Close the port."""
        self.http.shutdown()
        self.http.server_close()


class _Storage(Storage):
    def _write_config_to_file(self):
        """Nothing outlives a test, and writing all objects at each change takes long."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that was killed is no news."""


class _Handler(server.RequestHandler):
    def __init__(self, gcs, *args, **kwargs):
        self.gcs = gcs
        super().__init__(gcs.storage, *args, **kwargs)

    def send_header(self, keyword, value):
        if keyword == "Content-Length":
            self.gcs.sent += int(value)
        super().send_header(keyword, value)

    def do_GET(self):  # noqa: N802
        self._handle("GET")

    def do_POST(self):  # noqa: N802
        self._handle("POST")

    def do_PUT(self):  # noqa: N802
        self._handle("PUT")

    def do_PATCH(self):  # noqa: N802
        self._handle("PATCH")

    def do_DELETE(self):  # noqa: N802
        self._handle("DELETE")

    def _handle(self, method):
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        kind = next((name for verb, path, name in _KINDS if verb == method and re.fullmatch(path, parts.path)), "other")
        if kind == "info" and query.get("alt") == ["media"]:
            kind = "read"
        with self.gcs.lock:
            self.gcs.requests[kind] += 1
            self.gcs.paths.append(f"{method} {unquote(self.path)}")
        if self.gcs.hook:
            self.gcs.hook(kind, unquote(parts.path))
        if kind in self.gcs.deny:
            self._refuse(*self.gcs.deny[kind])
            return
        with self.gcs.lock:  # the storage isn't made for threads
            if self._exists_already(parts.path, query):
                self._refuse(412, "At least one of the pre-conditions you specified did not hold.")
            elif method == "DELETE" and "upload_id" in query:
                self._refuse(499, "")
            elif kind == "list":
                self._list(parts.path.split("/")[-2], query)
            else:
                server.Router(self).handle(method)

    def _exists_already(self, path, query):
        if query.get("ifGenerationMatch") != ["0"]:
            return False
        found = re.fullmatch(r"/upload/storage/v1/b/([^/]+)/o", path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = query.get("name") or [json.loads(_MULTIPART.search(self.body)[1])["name"]]
        return name[0] in self.gcs.storage.objects.get(found[1], {})

    def _list(self, bucket, query):
        """Pages of a thousand, as the real store gives them."""
        if bucket not in self.gcs.storage.buckets:
            self._refuse(404, "The specified bucket does not exist.")
            return
        prefix, delimiter = (query.get(key, [""])[0] for key in ("prefix", "delimiter"))
        items, prefixes = self.gcs.storage.get_file_list(bucket, prefix or None, delimiter or None)
        start, count = int(query.get("pageToken", [0])[0]), int(query.get("maxResults", [1000])[0])
        found = {"kind": "storage#objects", "items": items[start : start + count], "prefixes": prefixes}
        if start + count < len(items):
            found["nextPageToken"] = str(start + count)
        self._answer(200, found)

    def _refuse(self, status, message):
        self.rfile.read(0 if hasattr(self, "body") else int(self.headers.get("Content-Length", 0)))
        self._answer(status, {"error": {"code": status, "message": message}})

    def _answer(self, status, told):
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _read_binary(handler, query):
    """The emulator takes uploads for e-mails, which may lose a last carriage return."""
    body = getattr(handler, "body", None)
    if not handler.headers.get("Content-Type", "").startswith("multipart/related"):
        return _read_data(handler, query)
    if body is None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
    meta, kind, content = _MULTIPART.fullmatch(body).groups()
    return {"meta": json.loads(meta), "content": content, "content-type": kind.decode().partition(": ")[2]}


server._read_data = _read_binary
for _name in ("gcp_storage_emulator", "api.object", "api.bucket"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
