"""The catalog's pages as text: what they tell, what they hide, and where they may be written."""

from __future__ import annotations

import html
import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import generated
import pyarrow as pa
import pytest
from click.testing import CliRunner

from ailab_dataproc import notices, storage
from ailab_dataproc.checks import between
from ailab_dataproc.cli import cli
from ailab_dataproc.columns import column
from ailab_dataproc.errors import InvalidRequest, StorageFailed
from ailab_dataproc.settings import Settings
from ailab_dataproc.site import serving
from ailab_dataproc.site.building import build
from ailab_dataproc.site.folder import STATE
from ailab_dataproc.site.serving import Site, signature

EVIL = "<script>alert('x')</script>"
PEOPLE = pa.schema(
    [
        column("email", pa.string(), "of the person", pii=True),
        column("age", pa.int32(), "at the time", unit="years"),
        column("city", pa.string(), f"where {EVIL}", nullable=True),
    ]
)
ROWS = "email,age,city\nann@example.org,31,Oslo\nbob@example.org,47,大阪\ncid@example.org,52,<b>Rome</b>\n"


@pytest.fixture
def people(make):
    """A prepared dataset with personal data and a hostile description."""
    return make(
        {"people.csv": ROWS},
        schema=PEOPLE,
        name="products/people",
        owner="people-team",
        description=f"One row is a person.\n\nFrom {EVIL} & ``the register``.",
        citation="People, 2026.",
        license="private",
        homepage="javascript:alert(1)",
        release_notes={"1.0.0": "First."},
    )


@pytest.fixture
def site(tmp_path, data_dir):
    """Build the site of the data directory: `site()` gives its folder."""

    def made(**given):
        return Path(build(Settings(data_dir=data_dir), tmp_path / "site", **given).folder)

    return made


def text_of(folder: Path, name: str) -> str:
    return (folder / "datasets" / f"{name}.html").read_text(encoding="utf-8")


def edit(data_dir: str, reference: str, **changed) -> None:
    """Change a manifest as a later version of it would read."""
    name, _, version = reference.partition(":")
    file = Path(data_dir) / name / version / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


def test_a_page_tells_what_its_dataset_is(people, site):
    page = text_of(site(), "products/people")
    for told in ("One row is a person.", "people-team", "private", "People, 2026.", "First.", "at the time", "[years]"):
        assert told in page
    assert "<code>the register</code>" in page


def test_a_page_has_a_line_for_each_backend(people, site):
    page = text_of(site(), "products/people")
    for backend in ("arrow", "numpy", "pandas", "polars", "dask", "cudf", "dask_cudf", "tf", "torch"):
        assert f"backend=&#34;{backend}&#34;" in page


def test_a_page_tells_the_type_on_each_backend(people, site):
    page = text_of(site(), "products/people")
    assert "ArrowDtype of int32" in page
    assert "a list of str" in page


def test_values_of_personal_data_are_on_no_page(people, site):
    folder = site()
    for file in folder.rglob("*"):
        if file.is_file():
            assert b"example.org" not in file.read_bytes(), file
    assert "•••" in text_of(folder, "products/people")


def test_a_column_found_to_be_personal_later_is_hidden_in_older_versions_too(make, site, define):
    later = pa.schema([one.with_metadata({**one.metadata, b"pii": b"true"}) for one in PEOPLE])
    make({"people.csv": ROWS}, schema=PEOPLE, name="products/people")
    make({"people.csv": ROWS}, schema=later, name="products/people", version="1.1.0")
    folder = site()
    for page in (text_of(folder, "products/people"), text_of(folder, "products/people/1.0.0")):
        assert "Oslo" not in page
        assert "52" not in re.sub(r"[0-9a-f]{12,}", "", page).split('id="columns"')[1].split('id="sizes"')[0]


def test_a_script_in_a_description_or_a_value_is_text(people, site):
    folder = site()
    for file in (folder / "index.html", folder / "datasets/products/people.html"):
        page = file.read_text(encoding="utf-8")
        assert EVIL not in page
        assert "<b>Rome" not in page
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son[a-z]+=", page)
    assert "&lt;script&gt;" in text_of(folder, "products/people")
    assert "&lt;b&gt;Rome" in text_of(folder, "products/people")


def test_only_a_homepage_on_the_web_is_a_link(people, make, site):
    make(name="test/other", homepage="https://example.org/a?b=1&c=2")
    folder = site()
    assert 'href="javascript:' not in text_of(folder, "products/people")
    assert 'href="https://example.org/a?b=1&amp;c=2"' in text_of(folder, "test/other")


def test_pages_load_nothing_from_elsewhere(people, site):
    folder = site()
    for file in folder.rglob("*.html"):
        page = html.unescape(file.read_text(encoding="utf-8"))
        assert "content=\"default-src 'none'" in page
        for where in re.findall(r'src="([^"]+)|<link [^>]*href="([^"]+)|<a href="(\.\./[^"#]+)', page):
            target = (file.parent / "".join(where).split("?")[0]).resolve()
            assert target.is_file(), f"{file}: {where}"
            assert target.is_relative_to(folder)


def test_each_older_version_has_a_page(make, site):
    make()
    make({"a.csv": "user,price,word\n1,2,x\n"}, version="1.1.0", release_notes={"1.1.0": "Less."})
    folder = site()
    assert 'href="../../datasets/test/clicks/1.0.0.html"' in text_of(folder, "test/clicks")
    assert "Where no version is named, a load takes" in text_of(folder, "test/clicks/1.0.0")
    assert "test/clicks:1.0.0&#34;" in text_of(folder, "test/clicks/1.0.0")
    assert not (folder / "datasets/test/clicks/1.1.0.html").exists()


def test_a_deprecated_version_says_why_and_the_page_shows_another(make, site, data_dir):
    make()
    make({"a.csv": "user,price,word\n1,2,x\n"}, version="1.1.0")
    notices.deprecate(storage.folder(data_dir) / "test/clicks", "1.1.0", "half of the rows are gone")
    folder = site()
    assert "Where no version is named" not in text_of(folder, "test/clicks")
    assert 'aria-current="page">1.0.0' in text_of(folder, "test/clicks")
    assert "<b>Deprecated.</b> half of the rows are gone" in text_of(folder, "test/clicks/1.1.0")


def test_checks_tell_what_they_found_and_no_value_of_personal_data(make, site):
    make(checks=[between("price", 0, 1, level="warn")])
    page = text_of(site(), "test/clicks")
    assert 'id="checks"' in page
    assert '<span class="badge warn">warned</span>' in page


def test_lineage_links_both_ways(data_dir, site):
    source, made = generated.manifests(Path(data_dir), 2, 1)
    origin = {"name": source, "version": "1.0.0", "fingerprint": "f", "split": "train"}
    gone = {"name": "old/logs", "version": "3.0.0", "fingerprint": "f", "split": "all"}
    lineage = {"step": "map", "derived_from": [origin, gone], "function": "lab.clean", "code": "c"}
    edit(data_dir, f"{made}:1.0.0", lineage=lineage)
    folder = site(samples=False)
    assert f'datasets/{source}.html">' in text_of(folder, made)
    assert "(not in this catalog)" in text_of(folder, made)
    assert "lab.clean" in text_of(folder, made)
    assert f'datasets/{made}.html">' in text_of(folder, source)


def test_a_filter_on_personal_data_is_not_told(data_dir, site):
    source, made = generated.manifests(Path(data_dir), 2, 1)
    origin = {"name": source, "version": "1.0.0", "fingerprint": "f", "split": "train"}
    for filters, told in (("user == 4711", "train where •••"), ("price &gt; 3", "train where price &gt; 3")):
        lineage = {"step": "map", "function": "f", "code": "c"}
        lineage["derived_from"] = [{**origin, "filters": html.unescape(filters)}]
        edit(data_dir, f"{made}:1.0.0", lineage=lineage)
        page = text_of(site(samples=False), made)
        assert told in page
        assert "4711" not in page


def test_images_are_files_beside_their_page(make, site):
    pytest.importorskip("PIL")
    schema = pa.schema([column("image", pa.list_(pa.uint8(), 4), shape=(2, 2)), column("label", pa.int8())])

    def read(source):
        yield [{"image": [0, 80, 160, 240 - i], "label": i} for i in range(3)]

    make({"a.bin": b"x"}, schema=schema, name="test/images", read=read)
    folder = site()
    files = re.findall(r'<img src="([^"]+)"', text_of(folder, "test/images"))
    assert len(files) == 3
    assert all((folder / "datasets/test" / one).resolve().is_file() for one in files)


def test_a_damaged_manifest_is_told_and_stops_nothing(people, make, site, data_dir):
    make()
    (Path(data_dir) / "test/clicks/1.0.0/manifest.json").write_text("{")
    page = (site() / "index.html").read_text(encoding="utf-8")
    assert "1 problem while" in page
    assert "test/clicks/1.0.0/manifest.json: the file can&#39;t be read" in page
    assert "datasets/products/people.html" in page


def test_a_damaged_shard_is_told_on_the_page(people, site, data_dir):
    next(Path(data_dir).rglob("train-*.parquet")).write_bytes(b"no parquet")
    assert "Problem." in text_of(site(), "products/people")


def test_a_definition_that_fails_is_told_and_stops_nothing(tmp_path, people, data_dir):
    broken = tmp_path / "definitions/lab/broken.py"
    broken.parent.mkdir(parents=True)
    broken.write_text("1 / 0")
    made = build(Settings(data_dir=data_dir, datasets=(str(tmp_path / "definitions"),)), tmp_path / "site")
    assert [name for name, _ in made.problems] == ["lab/broken"]
    assert "ZeroDivisionError" in text_of(tmp_path / "site", "lab/broken")


def test_a_page_that_is_as_it_was_is_kept(people, make, site, tmp_path, data_dir):
    make()
    first = build(Settings(data_dir=data_dir), tmp_path / "site")
    page = tmp_path / "site/datasets/test/clicks.html"
    page.write_text("kept")
    make(name="test/third")
    second = build(Settings(data_dir=data_dir), tmp_path / "site")
    assert (second.datasets, second.written) == (first.datasets + 1, 1)
    assert page.read_text() == "kept"


def test_a_page_is_written_again_when_its_dataset_has_changed(people, make, site):
    make()
    assert "Less." not in text_of(site(), "test/clicks")
    make({"a.csv": "user,price,word\n1,2,x\n"}, version="1.1.0", release_notes={"1.1.0": "Less."})
    assert "Less." in text_of(site(), "test/clicks")


def test_a_page_with_a_problem_is_written_again_when_it_is_mended(people, site, data_dir):
    shard = next(Path(data_dir).rglob("train-*.parquet"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    assert "Oslo" not in text_of(site(), "products/people")
    shard.write_bytes(whole)
    assert "Oslo" in text_of(site(), "products/people")


def test_a_wide_table_shows_its_first_columns(make, site):
    names = [f"c{i}" for i in range(70)]
    schema = pa.schema([column(one, pa.int64()) for one in names])
    make({"a.csv": f"{','.join(names)}\n{','.join('1' * 70)}\n"}, schema=schema)
    page = text_of(site(), "test/clicks")
    assert "10 more columns are left out here." in page
    assert '<th scope="col">c59</th>' in page
    assert '<th scope="col">c60</th>' not in page


def test_a_file_that_cant_be_a_dataset_is_told_on_the_first_page(tmp_path, people, data_dir):
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions/Bad-Name.py").write_text("")
    build(Settings(data_dir=data_dir, datasets=(str(tmp_path / "definitions"),)), tmp_path / "site")
    assert "Bad-Name.py: &#39;Bad-Name&#39; can&#39;t be a dataset" in (tmp_path / "site/index.html").read_text("utf-8")


def test_a_dataset_that_is_gone_has_no_page(people, make, site, data_dir):
    make()
    site()
    shutil.rmtree(Path(data_dir) / "test")
    assert not (site() / "datasets/test").exists()


def test_a_folder_of_other_files_is_left_alone(people, tmp_path, data_dir):
    mine = tmp_path / "site/thesis.tex"
    mine.parent.mkdir()
    mine.write_text("years of work")
    with pytest.raises(InvalidRequest, match="is no catalog site, so it is left alone"):
        build(Settings(data_dir=data_dir), tmp_path / "site")
    assert mine.read_text() == "years of work"


def test_a_file_put_into_the_site_stops_the_next_build(people, site):
    folder = site()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InvalidRequest, match=r"holds 'notes\.txt', which no build has written"):
        site()
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_build_leaves_nothing_beside_the_site(people, site, tmp_path):
    site()
    site()
    assert sorted(one.name for one in tmp_path.iterdir() if "site" in one.name) == ["site"]


def test_where_folders_cant_change_places_two_renames_do(people, make, site, tmp_path, monkeypatch):
    site()
    make()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "wörd 0" in text_of(site(), "test/clicks")
    assert sorted(one.name for one in tmp_path.iterdir() if "site" in one.name) == ["site"]


def test_a_reader_meets_a_whole_site_at_any_time(people, site):
    index = site() / "index.html"
    over, missed = threading.Event(), []

    def read():
        while not over.is_set():
            try:
                if "</html>" not in index.read_text(encoding="utf-8"):
                    missed.append("cut")
            except FileNotFoundError:
                missed.append("gone")

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(5):
        site()
    over.set()
    reader.join()
    assert missed == []


def test_an_empty_catalog_is_a_page(tmp_path):
    made = build(Settings(data_dir=str(tmp_path / "none")), tmp_path / "site")
    assert made.versions == 0
    assert "not prepared" in (tmp_path / "site/index.html").read_text(encoding="utf-8")


def test_five_hundred_datasets_of_five_versions_become_a_page_each(tmp_path):
    names = generated.manifests(tmp_path / "data", 500, 5)
    made = build(Settings(data_dir=str(tmp_path / "data")), tmp_path / "site", samples=False)
    assert made.versions == 2500
    assert made.problems == ()
    pages = {one.relative_to(made.folder).as_posix() for one in Path(made.folder).rglob("*.html")}
    assert {f"datasets/{name}.html" for name in names} <= pages
    assert {f"datasets/{name}/1.{old}.0.html" for name in names for old in range(4)} <= pages


def test_several_processes_write_the_same_pages(tmp_path):
    generated.manifests(tmp_path / "data", 12, 2)
    settings = Settings(data_dir=str(tmp_path / "data"))
    one = build(settings, tmp_path / "one", samples=False, workers=1)
    two = build(settings, tmp_path / "two", samples=False, workers=2)
    for file in Path(one.folder).rglob("*.html"):
        assert file.read_bytes() == (Path(two.folder) / file.relative_to(one.folder)).read_bytes()


def test_the_command_tells_what_it_made_and_what_was_wrong(people, tmp_path, data_dir):
    edit(data_dir, "products/people:1.0.0", version="9.0.0")
    done = CliRunner().invoke(cli, ["catalog", "build", "-o", str(tmp_path / "site"), "--data-dir", data_dir])
    assert done.exit_code == 0, done.output
    assert re.search(r"\d datasets, 0 versions, \d pages written in \d+\.\d s", done.output)
    assert f"open {tmp_path / 'site' / 'index.html'}" in done.output
    assert "! products/people:" in done.output


def test_the_command_speaks_json(people, tmp_path, data_dir):
    words = ["catalog", "build", "-o", str(tmp_path / "site"), "--data-dir", data_dir, "--json"]
    told = json.loads(CliRunner().invoke(cli, words).stdout)
    assert told["versions"] == 1
    assert told["problems"] == []


def test_a_bucket_is_read_as_a_folder_is(define, bucket, gcs, tmp_path):
    from ailab_dataproc.preparing import prepare

    prepare(define(), data_dir=bucket, runner="inline", formats=("parquet",))
    made = build(Settings(data_dir=bucket, storage_options=gcs.options), tmp_path / "site")
    assert made.problems == ()
    assert "wörd 0" in text_of(tmp_path / "site", "test/clicks")


@contextmanager
def served(folder: Path):
    """A server of the site's folder, in a thread."""
    with Site(str(folder), 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(server: Site, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(serving.HOST, server.server_port, timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.body = answer.read()
    connection.close()
    return answer


def test_the_server_sends_the_pages_with_their_kind_and_a_strict_policy(people, site):
    with served(site()) as server:
        kinds = {
            "/": "text/html; charset=utf-8",
            "/datasets/products/people.html": "text/html; charset=utf-8",
            "/static/catalog.css?abc": "text/css; charset=utf-8",
            "/search.js": "text/javascript; charset=utf-8",
            "/static/icon.svg": "image/svg+xml",
        }
        for path, kind in kinds.items():
            answer = ask(server, path)
            assert (answer.status, answer.getheader("Content-Type")) == (200, kind)
            policy = answer.getheader("Content-Security-Policy")
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.getheader("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/datasets",
        "/datasets/",
        "/static/",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/static/..%2f..%2fsecret.txt",
        "/static/%2e%2e/%2e%2e/secret.txt",
        "//etc/passwd",
        "/a%00b",
        "/.hidden",
        f"/{STATE}",
        "/none.html",
    ],
)
def test_the_server_gives_nothing_but_the_sites_files(people, site, path):
    folder = site()
    (folder.parent / "secret.txt").write_text("secret")
    (folder / ".hidden").write_text("secret")
    with served(folder) as server:
        answer = ask(server, path)
        assert answer.status == 404
        assert b"secret" not in answer.body


def test_the_server_follows_no_link_out_of_the_folder(people, site, tmp_path):
    folder = site()
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "leak.txt").symlink_to(tmp_path / "secret.txt")
    with served(folder) as server:
        assert ask(server, "/leak.txt").status == 404


def test_the_server_answers_to_no_other_name(people, site):
    with served(site()) as server:
        assert ask(server, "/", Host="evil.example").status == 421
        assert ask(server, "/", Host=f"localhost:{server.server_port}").status == 200


def test_a_taken_port_is_one_sentence(people, site):
    with served(site()) as server, pytest.raises(StorageFailed, match=r"is taken on 127\.0\.0\.1"):
        Site(".", server.server_port)


def test_what_is_watched_changes_with_a_version(people, make, data_dir):
    before = signature(Settings(data_dir=data_dir))
    assert signature(Settings(data_dir=data_dir)) == before
    make()
    assert signature(Settings(data_dir=data_dir)) != before


def test_the_command_serves_builds_again_on_a_change_and_ends_by_ctrl_c(people, make, tmp_path, data_dir):
    words = ["catalog", "serve", "-o", str(tmp_path / "site"), "--data-dir", data_dir, "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "ailab_dataproc", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert "1 version, " in process.stdout.readline()
            url = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
            make()
            assert "2 versions, 1 page written" in process.stdout.readline()
            with urllib.request.urlopen(f"{url}datasets/test/clicks.html", timeout=30) as answer:  # noqa: S310 - it is http
                assert "wörd 0" in answer.read().decode()
            process.send_signal(signal.SIGINT)
            assert process.stdout.read() == "ended\n"
            assert process.wait(30) == 0
        finally:
            process.kill()
