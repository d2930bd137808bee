"""Downloads are resumed, checked and kept, and what goes wrong is one sentence. The server is a real one."""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import re
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import CLICKS, clicks

from ailab_dataproc import errors, storage
from ailab_dataproc.dataset import Dataset
from ailab_dataproc.download import Download
from ailab_dataproc.loading import load
from ailab_dataproc.manifest import list_names
from ailab_dataproc.preparation import downloads, transfer
from ailab_dataproc.preparation.downloads import Cache, cache_folder, fetch
from ailab_dataproc.preparation.options import Options
from ailab_dataproc.preparation.pipeline import prepare_dataset
from ailab_dataproc.preparation.tasks import Layout
from ailab_dataproc.preparing import prepare

BIG = bytes(range(256)) * 20_000  # 5 MB


@dataclass
class Site:
    """What the server does; a test changes it as it goes."""

    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"one"'
    modified: str | None = None
    moved: dict[str, str] = field(default_factory=dict)  # from path to URL
    login: str | None = None  # the Authorization that is wanted
    ranges: bool = True
    obeys_if_range: bool = True
    sized: bool = True
    status: list[int] = field(default_factory=list)  # answered first, one a request
    cuts: list[int] = field(default_factory=list)  # bytes after which the line drops, one a request
    hold: threading.Event | None = None  # awaited after half of the body
    asked: list[tuple[str, str | None, int]] = field(default_factory=list)  # path, Range, bytes sent
    headers: list[str] = field(default_factory=list)
    url: str = ""

    @property
    def gets(self):
        """The Range headers of the requests, in order."""
        return [one[1] for one in self.asked]


class Handler(BaseHTTPRequestHandler):
    """Serves a Site."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        site = self.server.site
        path = self.path.split("?")[0]
        site.headers.append(str(self.headers))
        status = site.status.pop(0) if site.status else 200 if path in site.files else 404
        if path in site.moved:
            self.send_response(302)
            self.send_header("Location", site.moved[path])
            self.end_headers()
            return
        if site.login and self.headers["Authorization"] != site.login:
            status = 401
        if status != 200:
            site.asked.append((self.path, self.headers["Range"], 0))
            self.send_error(status)
            return
        body, start = site.files[path], self.start(site)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if site.etag:
            self.send_header("ETag", site.etag)
        if site.modified:
            self.send_header("Last-Modified", site.modified)
        if site.sized:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if self.command == "GET":
            self.send_body(site, body[start:])

    def start(self, site):
        """Where the answer begins."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        held = not site.obeys_if_range or self.headers["If-Range"] in (None, site.etag, site.modified)
        return int(asked[1]) if asked and site.ranges and held else 0

    def send_body(self, site, body):
        count = site.cuts.pop(0) if site.cuts else len(body)
        site.asked.append((self.path, self.headers["Range"], min(count, len(body))))
        half = len(body) // 2 if site.hold else count
        self.wfile.write(body[: min(half, count)])
        if site.hold:
            self.wfile.flush()
            site.hold.wait(60)
            self.wfile.write(body[half:count])

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def site(monkeypatch):
    """A web site of this machine, as quick to try again as can be."""
    monkeypatch.setattr(transfer, "_WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setenv("no_proxy", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that was killed
    server.site = Site(url=f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.site
    server.shutdown()
    server.server_close()


@pytest.fixture
def cache(tmp_path):
    """An empty cache."""
    return Cache(tmp_path / "cache")


def sha(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def content(fetched):
    """The bytes of a download of one file."""
    (name,) = fetched.files
    return (fetched.folder / name).read_bytes()


def left(cache):
    """What a cache holds."""
    return sorted(path.name for path in cache.folder.rglob("*") if path.is_file())


def refused(kind, told, download, cache):
    """Check that a download is refused in one sentence."""
    with pytest.raises(kind, match=told) as caught:
        fetch(download, cache)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_downloaded_once_and_then_read_without_a_request(site, cache):
    site.files["/data/big.bin"] = BIG
    download = Download(f"{site.url}/data/big.bin", sha(BIG))
    first = fetch(download, cache)
    assert content(first) == BIG
    assert list(first.files) == ["big.bin"]
    assert fetch(download, cache) == first
    assert len(site.asked) == 1
    assert left(cache) == ["big.bin", "receipt.json"]


@pytest.mark.parametrize(
    "options", [{}, {"etag": None}, {"sized": False}, {"ranges": False}, {"etag": 'W/"weak"'}], ids=str
)
def test_a_dropped_line_ends_in_the_whole_file_whatever_the_server_can_do(site, cache, options):
    site.files["/big.bin"] = BIG
    vars(site).update(options)
    site.cuts = [3_000_000] if site.sized else []
    assert content(fetch(Download(f"{site.url}/big.bin", sha(BIG)), cache)) == BIG


def test_only_the_missing_bytes_are_asked_for_again(site, cache):
    site.files["/big.bin"] = BIG
    site.cuts = [3_000_000, 1_000_000]
    assert content(fetch(Download(f"{site.url}/big.bin"), cache)) == BIG
    assert site.gets == [None, "bytes=3000000-", "bytes=4000000-"]
    assert sum(sent for _, _, sent in site.asked) == len(BIG)


def test_a_time_serves_where_there_is_no_etag(site, cache):
    site.files["/big.bin"], site.cuts = BIG, [3_000_000]
    site.etag, site.modified = 'W/"weak"', "Mon, 23 Nov 2026 12:00:00 GMT"
    assert content(fetch(Download(f"{site.url}/big.bin"), cache)) == BIG
    assert site.gets == [None, "bytes=3000000-"]


def test_a_file_that_has_moved_is_followed_and_resumed(site, cache):
    site.files["/there.bin"], site.cuts = BIG, [3_000_000]
    site.moved = {"/here.bin": f"{site.url}/there.bin"}
    fetched = fetch(Download(f"{site.url}/here.bin"), cache)
    assert content(fetched) == BIG
    assert list(fetched.files) == ["here.bin"]
    assert site.gets == [None, "bytes=3000000-"]


def test_going_round_in_circles_is_told(site, cache):
    site.moved = {"/a.csv": f"{site.url}/b.csv", "/b.csv": f"{site.url}/a.csv"}
    refused(errors.StorageFailed, "HTTP 302 .*infinite loop", Download(f"{site.url}/a.csv"), cache)


def test_a_password_comes_from_netrc_and_goes_to_its_host_only(site, cache):
    site.files["/a.csv"], site.login = b"a", "Basic YW5uOnNlY3JldA=="
    refused(errors.StorageFailed, "HTTP 401.*user and password in ~/.netrc", Download(f"{site.url}/a.csv"), cache)
    (Path.home() / ".netrc").write_text("machine 127.0.0.1 login ann password secret\n")
    (Path.home() / ".netrc").chmod(0o600)
    assert content(fetch(Download(f"{site.url}/a.csv"), cache)) == b"a"
    site.moved = {"/moved.csv": f"{site.url.replace('127.0.0.1', 'localhost')}/a.csv"}
    refused(errors.StorageFailed, "HTTP 401", Download(f"{site.url}/moved.csv"), cache)
    (Path.home() / ".netrc").write_text("machine\n")
    refused(errors.StorageFailed, ".netrc: can't be read", Download(f"{site.url}/b.csv"), cache)


def test_a_line_that_drops_often_but_brings_bytes_is_not_given_up(site, cache):
    site.files["/big.bin"] = BIG
    site.cuts = [500_000] * 9
    assert content(fetch(Download(f"{site.url}/big.bin", sha(BIG)), cache)) == BIG


def test_without_ranges_the_whole_file_is_sent_again(site, cache):
    site.files["/big.bin"], site.ranges, site.cuts = BIG, False, [3_000_000]
    assert content(fetch(Download(f"{site.url}/big.bin"), cache)) == BIG
    assert [sent for _, _, sent in site.asked] == [3_000_000, len(BIG)]


def interrupted(site, cache, monkeypatch):
    """Leave 3 MB of an earlier try."""
    site.files["/big.bin"], site.cuts = BIG, [3_000_000, 0, 0, 0]
    refused(errors.StorageFailed, "ended after 3,000,000 of 5,120,000 bytes", Download(f"{site.url}/big.bin"), cache)
    assert [name.rsplit(".", 1)[-1] for name in left(cache)] == ["part", "json"]
    site.asked.clear()


@pytest.mark.parametrize("obeys", [True, False], ids=["obeys If-Range", "ignores If-Range"])
def test_a_file_that_changed_meanwhile_is_downloaded_from_its_start(site, cache, monkeypatch, obeys):
    interrupted(site, cache, monkeypatch)
    site.files["/big.bin"], site.etag, site.obeys_if_range = BIG[::-1], '"two"', obeys
    assert content(fetch(Download(f"{site.url}/big.bin"), cache)) == BIG[::-1]


def test_another_run_goes_on_where_the_last_one_stopped(site, cache, monkeypatch):
    interrupted(site, cache, monkeypatch)
    assert content(fetch(Download(f"{site.url}/big.bin"), cache)) == BIG
    assert [sent for _, _, sent in site.asked] == [len(BIG) - 3_000_000]


FETCH = """
import sys
from pathlib import Path
from ailab_dataproc.download import Download
from ailab_dataproc.preparation.downloads import Cache, fetch
fetched = fetch(Download(sys.argv[1]), Cache(Path(sys.argv[2])))
print(*(file.checksum for file in fetched.files.values()))
"""


def fetching(site, cache):
    """A process that downloads."""
    command = [sys.executable, "-c", FETCH, f"{site.url}/big.bin", str(cache.folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def await_bytes(cache, count):
    """Wait until so many bytes lie on the disk."""
    for _ in range(600):
        if any(path.stat().st_size >= count for path in cache.folder.glob("*.part")):
            return
        time.sleep(0.05)
    raise AssertionError("no bytes came")


def test_a_download_that_was_killed_goes_on_where_it_stopped(site, cache):
    site.files["/big.bin"], site.hold = BIG, threading.Event()
    process = fetching(site, cache)
    await_bytes(cache, 2 << 20)
    process.kill()
    process.communicate()
    site.hold.set()
    site.hold = None
    assert content(fetch(Download(f"{site.url}/big.bin"), cache)) == BIG
    begin = int(site.gets[-1].removeprefix("bytes=").rstrip("-"))
    assert begin >= 2 << 20
    assert site.asked[-1][2] == len(BIG) - begin


def test_of_two_processes_one_downloads_and_the_other_waits(site, cache):
    site.files["/big.bin"], site.hold = BIG, threading.Event()
    both = [fetching(site, cache), fetching(site, cache)]
    await_bytes(cache, 2 << 20)
    time.sleep(1)
    site.hold.set()
    assert [process.communicate(timeout=60)[0].strip() for process in both] == [sha(BIG)] * 2
    assert len(site.asked) == 1


def test_unpacking_that_was_stopped_begins_anew_without_another_download(site, cache, monkeypatch):
    site.files["/it.zip"] = packed("zip")
    whole = downloads.unpack

    def stopped(archive, into, *more):
        whole(archive, into, *more)
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, "unpack", stopped)
    with pytest.raises(KeyboardInterrupt):
        fetch(Download(f"{site.url}/it.zip"), cache)
    monkeypatch.setattr(downloads, "unpack", whole)
    (stale,) = [path.with_suffix(".tmp") for path in cache.folder.glob("*.part")]
    stale.mkdir()
    (stale / "half").write_text("of a run that was killed")
    assert sorted(fetch(Download(f"{site.url}/it.zip"), cache).files) == sorted(FILES)
    assert site.asked[-1][2] == 1
    assert not any("half" in name for name in left(cache))


def test_another_checksum_is_refused_and_the_file_is_not_kept(site, cache):
    site.files["/big.bin"] = BIG
    told = refused(errors.InvalidData, "/big.bin: the download has", Download(f"{site.url}/big.bin", sha(b"")), cache)
    assert sha(BIG) in told
    assert f"wanted {sha(b'')}" in told
    assert left(cache) == []


def test_a_download_without_a_checksum_tells_it_and_keeps_to_it(site, cache, caplog):
    site.files["/big.bin"] = BIG
    with caplog.at_level(logging.INFO):
        fetch(Download(f"{site.url}/big.bin"), cache)
    assert sha(BIG) in caplog.text
    site.files["/big.bin"] = b"changed"
    assert content(fetch(Download(f"{site.url}/big.bin"), cache)) == BIG
    assert content(fetch(Download(f"{site.url}/big.bin", sha(BIG)), cache)) == BIG
    assert len(site.asked) == 1


def test_a_damaged_cache_is_downloaded_again(site, cache):
    site.files["/big.bin"] = BIG
    fetched = fetch(Download(f"{site.url}/big.bin"), cache)
    for damaged in (fetched.folder / "big.bin", fetched.folder.parent / "receipt.json"):
        damaged.write_bytes(b"short")
        assert content(fetch(Download(f"{site.url}/big.bin"), cache)) == BIG
    assert len(site.asked) == 3


def test_an_endless_download_stops_at_its_limit(site, cache):
    site.files["/big.bin"], site.sized = BIG, False
    refused(errors.InvalidData, "wanted at most 1,000,000", Download(f"{site.url}/big.bin", max_bytes=10**6), cache)
    assert left(cache) == []


@pytest.mark.parametrize(
    ("status", "requests", "told"),
    [
        (404, 1, r"can't be downloaded \(HTTP 404 Not Found\). Check the Download's url"),
        (403, 1, "HTTP 403 Forbidden.*netrc"),
        (500, 4, "HTTP 500.*Check the address and your network"),
    ],
)
def test_what_a_server_refuses_is_told(site, cache, status, requests, told):
    site.files["/big.bin"], site.status = BIG, [status] * 9
    message = refused(errors.StorageFailed, told, Download(f"{site.url}/big.bin?token=secret"), cache)
    assert "secret" not in message
    assert len(site.asked) == requests


def test_a_server_that_is_busy_for_a_moment_is_asked_again(site, cache):
    site.files["/big.bin"], site.status = BIG, [503, 429]
    assert content(fetch(Download(f"{site.url}/big.bin"), cache)) == BIG


def test_no_connection_is_told(site, cache):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/a.csv"
        refused(errors.StorageFailed, r"a.csv: can't be downloaded \(Connection refused\)", Download(url), cache)


@pytest.mark.parametrize(
    "url", ["http://no-such-host.invalid/a.csv", "http://:80:80/a.csv", "http:///a.csv", "http://a..b/a.csv"]
)
def test_a_wrong_host_is_told(site, cache, url):
    refused(errors.StorageFailed, "can't be downloaded", Download(url), cache)


def test_a_path_and_a_bucket_are_downloaded_alike(tmp_path, cache):
    import fsspec

    (tmp_path / "a.csv").write_bytes(b"local")
    fsspec.filesystem("memory").pipe_file("/bucket/b.csv", b"stored")
    assert content(fetch(Download(str(tmp_path / "a.csv")), cache)) == b"local"
    assert content(fetch(Download(f"file://{tmp_path}/a.csv"), cache)) == b"local"
    assert content(fetch(Download("memory://bucket/b.csv"), cache)) == b"stored"
    refused(errors.StorageFailed, "nothing.csv: does not exist", Download(str(tmp_path / "nothing.csv")), cache)
    refused(errors.StorageFailed, "is a directory, wanted one file", Download(str(tmp_path)), cache)


def test_a_copy_from_a_disk_goes_on_where_it_stopped(tmp_path, cache, monkeypatch):
    (tmp_path / "big.bin").write_bytes(BIG)
    download = Download(str(tmp_path / "big.bin"))

    def stop(count, total):
        if count > 2 << 20:
            raise KeyboardInterrupt

    part = tmp_path / "part"
    with pytest.raises(KeyboardInterrupt):
        transfer.transfer(download.url, part, {}, 1 << 30, stop)
    told = []
    found = transfer.transfer(download.url, part, {}, 1 << 30, lambda count, total: told.append(count))
    assert found == sha(BIG)
    assert told[0] > 2 << 20


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": ""}, "wanted a URL or a path"),
        ({"url": "https://x/a.zip", "checksum": "md5:abc"}, "isn't 'sha256:' and 64"),
        ({"url": "https://x/a.zip", "max_bytes": 0}, "wanted at least 1"),
        ({"url": "https://[::1/a.zip"}, "can't be understood"),
        ({"url": "https://ann:secret@x/a.zip"}, "^https://x/a.zip: has a password in its URL"),
    ],
    ids=str,
)
def test_a_download_that_can_not_be_right_is_refused(given, told):
    with pytest.raises(errors.InvalidDefinition, match=told):
        Download(**given)


def test_a_dataset_refuses_what_is_no_download():
    given = {"name": "a", "version": "1.0.0", "schema": CLICKS, "splits": {"train": "x"}}
    with pytest.raises(errors.InvalidDefinition, match=r"'x' is a str, wanted Download"):
        Dataset(**given, downloads={"x": "https://x/a.zip"})
    with pytest.raises(errors.InvalidDefinition, match="can't name a download"):
        Dataset(**given, downloads={"../x": Download("https://x/a.zip")})


def test_a_file_name_is_safe_and_keeps_its_ending():
    names = {
        "https://x/a%20b/c%2F..%2Fd.csv?x=/e.zip#f": "c_.._d.csv",
        "https://x/": "https___x_",
        "gs://b/" + "x" * 300 + ".csv.gz": "x" * 93 + ".csv.gz",
        "https://x/.hidden": "hidden",
    }
    assert {url: Download(url).file_name for url in names} == names


def test_without_a_local_data_directory_downloads_lie_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    bucket = storage.folder("gs://lab/data")
    assert cache_folder(bucket) == Path.home() / ".cache/ailab_dataproc/downloads"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(bucket) == tmp_path / "ailab_dataproc/downloads"
    assert cache_folder(storage.folder(tmp_path)) == tmp_path / ".downloads"
    assert cache_folder(bucket, str(tmp_path / "asked")) == tmp_path / "asked"


FILES = {
    "reviews/train/a.csv": clicks(20),
    "reviews/train/b.csv": clicks(20, 100),
    "reviews/test/c.csv": clicks(5, 300),
}


def packed(kind):
    """FILES as an archive."""
    sink = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in FILES.items():
                archive.writestr(name, text)
        return sink.getvalue()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for name, text in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return sink.getvalue()


def dataset(download, train="download://it/reviews/train/*.csv", **given):
    return Dataset(
        name="test/clicks", version="1.0.0", schema=CLICKS, splits={"train": train}, downloads={"it": download}, **given
    )


def prepared(data_dir, found, **options):
    return prepare(found, data_dir=data_dir, formats=("parquet",), **{"runner": "inline"} | options)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_split_inside_an_archive_is_prepared(site, data_dir, kind):
    site.files[f"/it.{kind}"] = packed(kind)
    found = dataset(Download(f"{site.url}/it.{kind}", sha(packed(kind)) if kind == "zip" else None))
    prepared(data_dir, found)
    assert load("test/clicks", data_dir=data_dir, backend="arrow")["user"].to_pylist() == [*range(20), *range(100, 120)]
    table = pq.read_table(Path(data_dir) / "test/clicks/1.0.0/sources.parquet").to_pylist()
    assert [row["url"] for row in table] == [f"download://it/reviews/train/{name}.csv" for name in "ab"]
    assert table[0]["identity"] == sha(FILES["reviews/train/a.csv"].encode())
    assert list_names(storage.folder(data_dir)) == ["test/clicks"]
    assert prepared(data_dir, found).reused
    assert len(site.asked) == 1


@pytest.mark.slow
def test_workers_in_other_processes_read_what_was_downloaded(site, data_dir):
    site.files["/it.zip"] = packed("zip")
    prepared(data_dir, dataset(Download(f"{site.url}/it.zip")), runner="processes", workers=2)
    assert load("test/clicks", data_dir=data_dir, backend="arrow").num_rows == 40


def test_the_place_of_a_download_and_its_checksum_in_the_definition_change_no_fingerprint(site, tmp_path):
    site.files["/it.zip"] = site.files["/mirror/x.zip"] = packed("zip")
    for place, found in (
        ("a", Download(f"{site.url}/it.zip")),
        ("b", Download(f"{site.url}/mirror/x.zip", sha(packed("zip")))),
    ):
        prepared(str(tmp_path / place), dataset(found))
    digests = [
        hashlib.sha256((tmp_path / place / "test/clicks/1.0.0/index.parquet").read_bytes()).hexdigest()
        for place in "ab"
    ]
    assert digests[0] == digests[1]
    assert prepared(str(tmp_path / "a"), dataset(Download(f"{site.url}/mirror/x.zip"))).reused


def test_another_place_of_a_download_is_no_other_code(site, tmp_path, data_dir, monkeypatch):
    site.files["/it.csv"] = site.files["/mirror/it.csv"] = clicks(20).encode()
    for folder, about in (
        ("a", f'"{site.url}/it.csv"'),
        ("b", f'"{site.url}/mirror/it.csv", "{sha(clicks(20).encode())}"'),
    ):
        path = tmp_path / folder / "test" / "told.py"
        path.parent.mkdir(parents=True)
        path.write_text(f"""
import pyarrow as pa, pyarrow.csv as csv
from ailab_dataproc import Dataset, Download, column
IT = Download({about})
def read(source):
    yield from csv.open_csv(source.open())
columns = [column("user", pa.int64()), column("price", pa.float64()), column("word", pa.string())]
dataset = Dataset(name="test/told", version="1.0.0", schema=pa.schema(columns), splits={{"train": "download://it"}},
                  read=read, downloads={{"it": IT}})
""")
        monkeypatch.setenv("AILAB_DATASETS", str(tmp_path / folder))
        assert prepared(data_dir, "test/told").reused is (folder == "b")


def test_downloads_lie_where_the_settings_say(site, data_dir, tmp_path, monkeypatch):
    site.files["/a.csv"] = clicks(20).encode()
    monkeypatch.setenv("AILAB_DOWNLOADS", str(tmp_path / "shared"))
    prepared(data_dir, dataset(Download(f"{site.url}/a.csv"), train="download://it"))
    assert [path.name for path in (tmp_path / "shared").rglob("a.csv")] == ["a.csv"]
    assert sorted(path.name for path in Path(data_dir).iterdir()) == ["test"]


def test_a_single_compressed_file_is_read_by_its_ending(site, data_dir):
    site.files["/a.csv.gz"] = gzip.compress(clicks(20).encode())
    prepared(data_dir, dataset(Download(f"{site.url}/a.csv.gz?token=secret"), train="download://it"))
    assert load("test/clicks", data_dir=data_dir, backend="arrow").num_rows == 20
    texts = [path.read_bytes() for path in Path(data_dir).rglob("*") if path.is_file()]
    assert not any(b"secret" in text for text in texts)


@pytest.mark.parametrize(
    ("train", "kind", "told"),
    [
        ("download://them/a.csv", errors.UnknownName, "no download 'them'"),
        ("download://it", errors.InvalidRequest, r"is of an archive: name the files in it.*'download://it/\*\.csv'"),
        ("download://it/trian/*", errors.StorageFailed, r"does not exist; the archive holds 3 files, such as reviews/"),
        ("download://it/../../*/files/**", errors.InvalidRequest, r"leads out of the download \(\.\.\)"),
    ],
)
def test_a_source_that_names_nothing_in_a_download_is_told(site, data_dir, train, kind, told):
    site.files["/it.zip"] = packed("zip")
    with pytest.raises(kind, match=told) as caught:
        prepared(data_dir, dataset(Download(f"{site.url}/it.zip"), train=train))
    assert "\n" not in str(caught.value)


def test_a_file_of_a_web_site_is_a_source_itself(site, data_dir):
    pytest.importorskip("aiohttp")
    site.files["/a.csv"] = clicks(20).encode()
    site.files["/b.csv.gz"] = gzip.compress(clicks(5, 100).encode())
    found = Dataset(
        name="test/clicks",
        version="1.0.0",
        schema=CLICKS,
        splits={"train": [f"{site.url}/a.csv?token=secret/x", f"{site.url}/b.csv.gz?token=secret"]},
    )
    prepared(data_dir, found)
    assert load("test/clicks", data_dir=data_dir, backend="arrow").num_rows == 25
    table = pq.read_table(Path(data_dir) / "test/clicks/1.0.0/sources.parquet").to_pylist()
    assert [row["url"] for row in table] == [f"{site.url}/a.csv?…", f"{site.url}/b.csv.gz?…"]
    assert table[0]["identity"] == "etag:one"


def test_a_web_file_that_breaks_off_while_it_is_hashed_is_told(site, data_dir):
    pytest.importorskip("aiohttp")
    site.files["/a.csv"], site.etag = clicks(20).encode(), None
    site.cuts = [100] * 9
    found = Dataset(name="test/clicks", version="1.0.0", schema=CLICKS, splits={"train": f"{site.url}/a.csv"})
    with pytest.raises(errors.StorageFailed, match=r"/a.csv: can't be read to its end .* make it a Download"):
        prepared(data_dir, found)


def test_a_large_web_file_is_read_whole_from_a_server_without_ranges(site, data_dir):
    pytest.importorskip("aiohttp")
    lines = [f'{{"user": {i}, "price": 0.5, "word": "w"}}' for i in range(500)]
    site.files["/a.jsonl"], site.ranges = "\n".join(lines).encode(), False
    found = Dataset(name="test/clicks", version="1.0.0", schema=CLICKS, splits={"train": f"{site.url}/a.jsonl"})
    layout = Layout(shard_bytes=2_000, chunk_rows=10)
    prepare_dataset(found, storage.folder(data_dir), Options(runner="inline", formats=("parquet",), layout=layout))
    assert load("test/clicks", data_dir=data_dir, backend="arrow")["user"].to_pylist() == list(range(500))


def test_a_web_server_is_never_given_what_is_meant_for_a_bucket(site, data_dir):
    pytest.importorskip("aiohttp")
    site.files["/a.csv"], site.etag = clicks(20).encode(), None
    found = Dataset(name="test/clicks", version="1.0.0", schema=CLICKS, splits={"train": f"{site.url}/a.csv"})
    options = Options(runner="inline", formats=("parquet",), storage_options={"headers": {"X-Token": "secret"}})
    prepare_dataset(found, storage.folder(data_dir), options)
    assert site.headers
    assert not any("X-Token" in headers for headers in site.headers)


@pytest.mark.parametrize("changes", [{"etag": None}, {"etag": None, "sized": False}, {"etag": 'W/"x"'}], ids=str)
def test_a_web_file_without_a_strong_etag_is_known_by_its_content(site, data_dir, changes):
    pytest.importorskip("aiohttp")
    vars(site).update(changes)
    site.files["/a.csv"] = clicks(20).encode()
    prepared(
        data_dir, Dataset(name="test/clicks", version="1.0.0", schema=CLICKS, splits={"train": f"{site.url}/a.csv"})
    )
    table = pq.read_table(Path(data_dir) / "test/clicks/1.0.0/sources.parquet").to_pylist()
    assert table[0]["identity"] == sha(clicks(20).encode())


@pytest.mark.parametrize(
    ("file", "kind", "told"),
    [
        ("nothing.csv?key=secret", errors.StorageFailed, "does not exist"),
        ("forbidden.csv?key=secret", errors.StorageFailed, r"can't read it \(HTTP 403\)"),
        ("*.csv", errors.InvalidRequest, "can't be listed"),
        ("empty.csv?key=secret", errors.InvalidData, "the source is empty"),
    ],
)
def test_a_web_file_that_can_not_be_read_is_told(site, data_dir, file, kind, told):
    pytest.importorskip("aiohttp")
    site.files["/empty.csv"] = b""
    site.status = [403] * 2 if "forbidden" in file else []
    found = Dataset(name="test/clicks", version="1.0.0", schema=CLICKS, splits={"train": f"{site.url}/{file}"})
    with pytest.raises(kind, match=told) as caught:
        prepared(data_dir, found)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_progress_is_shown_in_bytes(site, cache, capsys):
    site.files["/big.bin"] = BIG
    assert content(fetch(Download(f"{site.url}/big.bin"), Cache(cache.folder, progress=True))) == BIG
    assert downloads.RECEIPT in left(cache)
