"""Archives from strangers: what an evil or broken one holds is refused by name, and nothing outside is touched."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from ailab_dataproc.download import Download
from ailab_dataproc.errors import InvalidData, StorageFailed
from ailab_dataproc.preparation import archives
from ailab_dataproc.preparation.downloads import Cache, fetch

GOOD = {"a.csv": b"a\n1\n", "deep/er/b.csv": b"b\n" * 1000}


@pytest.fixture
def unpack(tmp_path):
    """Fetch an archive: `unpack("x.zip", bytes)` gives its files by name; a witness file lies outside."""
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "witness").write_text("mine")

    def unpacked(name, content, **given):
        (tmp_path / name).write_bytes(content)
        found = fetch(Download(str(tmp_path / name), **given), Cache(tmp_path / "place" / "cache"))
        assert all((found.folder / name).stat().st_size == file.size for name, file in found.files.items())
        return {name: (found.folder / name).read_bytes() for name in found.files}

    return unpacked


@pytest.fixture
def refused(unpack, tmp_path):
    """Check that an archive is refused in one sentence, and that no file is left or changed anywhere."""

    def check(name, content, told, **given):
        with pytest.raises(InvalidData, match=told) as caught:
            unpack(name, content, **given)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(str(tmp_path / name))
        everything = [path for path in tmp_path.rglob("*") if not path.is_dir()]
        assert sorted(path.name for path in everything) == sorted([name, "witness"])
        assert (tmp_path / "place" / "witness").read_text() == "mine"
        (tmp_path / name).unlink()

    return check


def tar(*members, mode="w", **given):
    """A tar of (name, content) and of members with changed fields: (name, content, {field: value})."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode, **given) as archive:
        for name, content, *changes in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in (changes[0] if changes else {}).items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content))
    return sink.getvalue()


def zipped(*members, compression=zipfile.ZIP_DEFLATED):
    """A zip of (name, content) and of members with changed fields."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", compression) as archive:
        for name, content, *changes in members:
            member = zipfile.ZipInfo(name)
            member.compress_type = compression
            for key, value in (changes[0] if changes else {}).items():
                setattr(member, key, value)
            archive.writestr(member, content)
    return sink.getvalue()


def zstd(content):
    return pytest.importorskip("zstandard").ZstdCompressor(write_checksum=True).compress(content)


PACKED = {
    "x.zip": lambda: zipped(*GOOD.items()),
    "x.tar": lambda: tar(*GOOD.items()),
    "x.tar.gz": lambda: gzip.compress(tar(*GOOD.items())),
    "x.tgz": lambda: gzip.compress(tar(*GOOD.items(), format=tarfile.GNU_FORMAT)),
    "x.tar.bz2": lambda: bz2.compress(tar(*GOOD.items())),
    "x.tar.xz": lambda: lzma.compress(tar(*GOOD.items())),
    "x.tar.zst": lambda: zstd(tar(*GOOD.items())),
}


@pytest.mark.parametrize("name", PACKED)
def test_every_kind_of_archive_is_unpacked(unpack, name):
    assert unpack(name, PACKED[name]()) == GOOD


@pytest.mark.parametrize("name", ["x.gz", "x.csv.bz2", "x.csv.xz", "x.csv"])
def test_a_single_file_stays_as_it_is(unpack, name):
    assert unpack(name, b"whatever") == {name: b"whatever"}


def test_the_definition_decides_where_the_ending_misleads(unpack):
    assert unpack("export", PACKED["x.tar.gz"](), extract=True) == GOOD
    assert unpack("x.zip", PACKED["x.zip"](), extract=False) == {"x.zip": PACKED["x.zip"]()}


def test_a_tar_that_ends_with_a_zip_is_a_tar(unpack):
    inner = zipped(("evil.csv", b"evil"), compression=zipfile.ZIP_STORED)
    assert unpack("x.tar", tar(("a.csv", b"a"), ("z.zip", inner))) == {"a.csv": b"a", "z.zip": inner}


def test_only_names_and_bytes_are_taken(unpack, tmp_path):
    unpack("x.tar", tar(("run.sh", b"#!", {"mode": 0o6777, "uid": 12345, "mtime": 0}), ("made/", b"", DIRECTORY)))
    (path,) = tmp_path.rglob("run.sh")
    assert not stat.S_IMODE(path.stat().st_mode) & 0o7111
    assert path.stat().st_uid == os.getuid()


DIRECTORY = {"type": tarfile.DIRTYPE}
NAMES = [
    ("../evil.csv", r"leads out of the folder \(\.\.\)"),
    ("deep/../../evil.csv", "leads out of the folder"),
    ("..", "leads out of the folder"),
    ("..\\..\\evil.csv", "leads out of the folder"),
    ("/tmp/evil.csv", "has an absolute path"),  # noqa: S108
    ("//host/evil.csv", "has an absolute path"),
    ("\\\\host\\evil.csv", "has an absolute path"),
    ("C:\\evil.csv", "has an absolute path"),
    ("c:evil.csv", "has an absolute path"),
    ("a\nb.csv", "control characters"),
    ("a" * 300 + ".csv", "too long a name"),
    ("a/" * 600 + "b.csv", "too long a name"),
    ("./", "has no name of a file|holds no files"),
]


@pytest.mark.parametrize(("name", "told"), NAMES, ids=lambda value: repr(value)[:30])
def test_a_name_that_leads_elsewhere_is_refused(refused, name, told):
    refused("x.tar", tar(("good.csv", b"good"), (name, b"evil")) if "no files" not in told else tar((name, b"")), told)
    refused("x.zip", zipped(("good.csv", b"good"), (name, b"evil")) if "no files" not in told else zipped(), told)


def test_a_folder_that_lies_elsewhere_is_refused(refused):
    refused("x.tar", tar(("../evil", b"", DIRECTORY), ("a.csv", b"a")), "leads out of the folder")
    refused("x.zip", zipped(("../evil/", b""), ("a.csv", b"a")), "leads out of the folder")


def test_a_name_with_a_nul_is_refused(refused):
    refused("x.zip", zipped(("aXb.csv", b"evil")).replace(b"aXb", b"a\0b"), "control characters")


def test_a_name_that_is_not_utf8_is_refused(refused):
    refused("x.tar", tar(("\udcff.csv", b"a"), format=tarfile.GNU_FORMAT, errors="surrogateescape"), "isn't UTF-8")


def link(target, hard=False):
    return {"type": tarfile.LNKTYPE if hard else tarfile.SYMTYPE, "linkname": target, "size": 0}


@pytest.mark.parametrize("hard", [False, True], ids=["symbolic", "hard"])
@pytest.mark.parametrize("target", ["../witness", "/etc/passwd", "deep/../../witness", "../../../../etc/passwd"])
def test_a_link_out_of_the_folder_is_refused(refused, target, hard):
    refused("x.tar", tar(("a.csv", b"a"), ("evil", b"", link(target, hard))), "'evil' is a link out of the folder, to")


def test_writing_through_a_link_is_refused(refused, tmp_path):
    for target in (str(tmp_path / "place"), ".", ".."):
        content = tar(("door", b"", link(target)), ("door/witness", b"evil"))
        refused("x.tar", content, "is a link out of the folder|both as a file and as a folder|no file in the archive")


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([("a", b"", link("b")), ("b", b"", link("a"))], "'a' is a link to 'b', which is no file in the archive"),
        ([("a", b"", link("a"))], "which is no file in the archive"),
        ([("x/y.csv", b"y"), ("a", b"", link("x"))], "which is no file in the archive"),
        ([("a", b"", link("nothing"))], "which is no file in the archive"),
        ([("a", b"", link("b")), ("b", b"b"), ("a", b"a")], "is there twice"),
        ([("b", b"b"), ("a", b"", link("b")), ("a", b"", link("b"))], "is there twice"),
    ],
    ids=["circle", "itself", "folder", "nothing", "then a file", "twice"],
)
def test_a_link_to_no_file_is_refused(refused, members, told):
    refused("x.tar", tar(*members), told)


def test_a_link_within_the_archive_becomes_a_copy(unpack, tmp_path):
    members = [
        ("deep/latest.csv", b"", link("../v2.csv")),
        ("again.csv", b"", link("deep/latest.csv")),
        ("v2.csv", b"two"),
        ("hard.csv", b"", link("v2.csv", hard=True)),
    ]
    found = unpack("x.tar", tar(*members))
    assert found == dict.fromkeys(["v2.csv", "deep/latest.csv", "again.csv", "hard.csv"], b"two")
    assert not [
        path for path in tmp_path.rglob("*") if path.is_symlink() or (path.stat().st_nlink > 1 and path.is_file())
    ]


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE], ids=["char", "block", "pipe"])
def test_a_device_is_refused(refused, kind):
    refused("x.tar", tar(("dev", b"", {"type": kind})), "'dev' is a device or a pipe")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO], ids=["link", "char", "pipe"])
def test_a_link_or_device_in_a_zip_is_refused(refused, kind):
    attributes = {"external_attr": (kind | 0o777) << 16, "create_system": 3}
    refused("x.zip", zipped(("evil", b"/etc/passwd", attributes)), "'evil' is a link or a device")


@pytest.mark.parametrize(
    "members",
    [
        [("a", b"1"), ("a", b"2")],
        [("a", b"1"), ("./a", b"2")],
        [("a", b"1"), ("a/b", b"2")],
        [("a/b", b"1"), ("a", b"2")],
    ],
    ids=["same", "spelled otherwise", "file then folder", "folder then file"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_would_overwrite_is_refused(refused, members):
    refused("x.tar", tar(*members), "is there twice, or both as a file and as a folder")
    refused("x.zip", zipped(*members), "is there twice, or both as a file and as a folder")


BOMB = bytes(50_000_000)


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar.zst"])
def test_a_bomb_is_stopped_at_the_limit(refused, name):
    kinds = {
        "x.zip": lambda: zipped(("b", BOMB)),
        "x.tar.gz": lambda: gzip.compress(tar(("b", BOMB))),
        "x.tar.zst": lambda: zstd(tar(("b", BOMB))),
    }
    refused(name, kinds[name](), "'b' brings it beyond max_bytes=1,000,000", max_bytes=1_000_000)


def test_a_ratio_that_only_a_bomb_has_is_refused(refused, monkeypatch):
    monkeypatch.setattr(archives, "_FREE", 10_000_000)
    refused("x.zip", zipped(("b", BOMB)), "'b' unpacks to more than 200 times its size")
    refused("y.tar.gz", gzip.compress(tar(("b", BOMB))), "'b' unpacks to more than 200 times its size")


def test_a_bomb_behind_the_last_member_is_stopped(refused):
    content = gzip.compress(tar(("a", b"a")) + BOMB)
    refused("x.tar.gz", content, "'after the last member' brings it beyond", max_bytes=1_000_000)


def test_a_sparse_file_is_counted_by_what_it_becomes(refused):
    header = tarfile.TarInfo("b")
    header.type, header.size = tarfile.GNUTYPE_SPARSE, 0
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[386:410] = b"%011o\0%011o\0" % (1 << 31, 0)  # one piece without bytes, at 2 GB
    block[483:495] = b"%011o\0" % (1 << 31)  # the size that it becomes
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    refused("x.tar", bytes(block) + bytes(1024), "'b' brings it beyond max_bytes", max_bytes=10_000_000)


def test_a_zip_that_lies_about_a_size_is_refused(refused):
    content = zipped(("b", b"0123456789"), compression=zipfile.ZIP_STORED)
    refused("x.zip", content.replace(struct.pack("<II", 10, 10), struct.pack("<II", 10, 5)), "can't be read to its end")


def test_copies_of_one_big_file_count_too(refused):
    members = [("a", bytes(600_000)), *((f"l{i}", b"", link("a")) for i in range(9))]
    refused("x.tar", tar(*members), "'l8' brings it beyond max_bytes=6,000,000|brings it beyond", max_bytes=3_000_000)


def test_too_many_members_are_refused(refused, monkeypatch):
    monkeypatch.setattr(archives, "_MEMBERS", 5)
    members = [(f"{i}", b"") for i in range(6)]
    refused("x.tar", tar(*members), "more than 5 members")
    refused("x.zip", zipped(*members), "more than 5 members")


def test_a_giant_header_takes_no_memory(refused):
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 200_000_000
    content = gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(200_000_000))
    tracemalloc.start()
    refused("x.tar.gz", content, "a member's header has more than 1,048,576 bytes")
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


def test_headers_of_headers_are_refused(refused):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 0
    refused("x.tar", header.tobuf(tarfile.USTAR_FORMAT) * 5000 + bytes(1024), "can't be read to its end")


def test_an_encrypted_zip_is_refused(refused):
    content = bytearray(zipped(("secret.csv", b"secret")))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    refused("x.zip", bytes(content), "'secret.csv' is encrypted")


@pytest.mark.parametrize("name", PACKED)
def test_a_truncated_archive_is_refused_wherever_it_ends(refused, name):
    content = PACKED[name]()
    end = len(content) if "." in name[2:5] or name == "x.zip" else len(content.rstrip(b"\0"))
    for cut in {1, 8, 100, 512, 1024, end // 2, end - 10, end - 1}:
        if 0 < cut < end and (name != "x.tar.zst" or cut < end - 5):
            refused(name, content[:cut], "can't be read to its end|holds no files")


def test_a_tar_that_ends_between_two_members_is_refused(refused):
    content = tar(("a.csv", b"a"), ("b.csv", b"b"))
    refused("x.tar", content[:1024], "ends or is damaged in the middle")
    refused("x.tar.gz", gzip.compress(content[:1024]), "ends or is damaged in the middle")


def test_a_tar_with_a_damaged_header_is_refused(refused):
    content = bytearray(tar(("a.csv", b"a"), ("b.csv", b"b"), ("c.csv", b"c")))
    content[1024] ^= 1
    refused("x.tar", bytes(content), "ends or is damaged in the middle")


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.tar.zst"])
def test_a_flipped_byte_is_never_other_data(unpack, tmp_path, name):
    whole = PACKED[name]()
    for place in range(0, len(whole), 7):
        try:
            found = unpack(name, whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        except InvalidData:
            continue
        assert set(found.values()) <= set(GOOD.values())


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04", b"\x1f\x8b\x08"], ids=repr)
def test_what_is_no_archive_is_told(refused, name, content):
    refused(name, content, "can't be read to its end .* or say extract=False if it is no archive")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_no_fault_of_the_archive(unpack, monkeypatch, tmp_path):
    full = lambda *_: io.FileIO("/dev/full", "wb")  # noqa: E731
    monkeypatch.setattr(archives._Unpacking, "create", full)
    with pytest.raises(StorageFailed, match="the disk /dev is full"):
        unpack("x.zip", PACKED["x.zip"]())
    monkeypatch.undo()
    assert unpack("x.zip", PACKED["x.zip"]()) == GOOD


def test_a_zip_whose_places_are_before_its_beginning_is_refused(refused):
    content = bytearray(PACKED["x.zip"]())
    end = content.rindex(b"PK\x05\x06")
    content[end + 16 : end + 20] = struct.pack("<I", len(content))  # where its list of members is said to begin
    refused("x.zip", bytes(content), "can't be read to its end")
