"""Certificates of a lab: who gets which, what is refused, and TLS from end to end with them."""

from __future__ import annotations

import json
import os
import ssl
import stat
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from lab import lab

from ailab_dataproc.cli import cli
from ailab_dataproc.cluster import certificates, validity
from ailab_dataproc.errors import InvalidRequest, SettingsError, StorageFailed


@pytest.fixture
def folder(tmp_path):
    """A CA and the certificate of this machine."""
    certificates.make(tmp_path / "tls", ["10.0.0.5"])
    return tmp_path / "tls"


def loaded(folder):
    """The certificate of a folder, as the library reads it."""
    from cryptography import x509

    return x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())


def extension(folder, name):
    from cryptography import x509

    return loaded(folder).extensions.get_extension_for_class(getattr(x509, name)).value


def run(*args):
    return CliRunner().invoke(cli, ["cluster", "certs", *map(str, args)])


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def expired(folder):
    """Replace a folder's certificate by one that ended two days ago."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509 import CertificateBuilder, load_pem_x509_certificate

    found, authority = loaded(folder), load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    signing = serialization.load_pem_private_key((folder / "ca-key.pem").read_bytes(), None)
    now = datetime.now(UTC)
    old = CertificateBuilder(
        authority.subject, found.subject, found.public_key(), 1, now - timedelta(9), now - timedelta(days=1.5)
    )
    (folder / "cert.pem").write_bytes(old.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def test_keys_and_folder_are_for_their_owner_alone(tmp_path):
    before = os.umask(0)
    try:
        certificates.make(tmp_path / "tls")
    finally:
        os.umask(before)
    assert mode(tmp_path / "tls") == 0o700
    assert mode(tmp_path / "tls/key.pem") == mode(tmp_path / "tls/ca-key.pem") == 0o600
    assert mode(tmp_path / "tls/cert.pem") == 0o644


def test_the_machine_has_the_names_that_were_asked_for_and_loopback(folder):
    names = [str(name.value) for name in extension(folder, "SubjectAlternativeName")]
    assert names[0] == "10.0.0.5"
    assert {"localhost", "127.0.0.1", "::1"} < set(names)


def test_openssl_reads_certificate_and_key_and_trusts_the_ca(folder):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    assert context.cert_store_stats()["x509_ca"] == 1


def test_a_person_can_connect_and_can_not_stand_for_a_scheduler(folder):
    from cryptography.x509.oid import ExtendedKeyUsageOID

    made = certificates.sign(folder, "user", "alice")
    assert list(extension(made, "ExtendedKeyUsage")) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH} == set(
        extension(folder, "ExtendedKeyUsage")
    )


def test_a_person_gets_a_year_and_a_machine_two(folder):
    assert validity.check(certificates.sign(folder, "user", "alice")).days == 364  # and some hours
    assert validity.check(folder).days == 729


def test_no_certificate_outlives_its_ca(folder):
    made = certificates.sign(folder, "user", "alice", days=9999)
    assert validity.check(made).until == validity.show(folder)[0].until


def test_what_is_handed_over_has_no_key_of_the_ca(folder):
    made = certificates.sign(folder, "user", "alice")
    assert sorted(file.name for file in made.iterdir()) == ["ca.pem", "cert.pem", "key.pem"]
    assert mode(made) == 0o700


def test_nothing_is_overwritten(folder):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(InvalidRequest, match=r"found cert\.pem and key\.pem, and nothing is overwritten"):
        certificates.make(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_person_gets_one_certificate(folder):
    certificates.sign(folder, "user", "alice")
    with pytest.raises(InvalidRequest, match="nothing is overwritten"):
        certificates.sign(folder, "user", "alice")


def test_an_expired_certificate_is_made_again_by_the_same_ca(folder):
    authority = (folder / "ca.pem").read_bytes()
    (folder / "cert.pem").rename(folder / "old-cert.pem")
    (folder / "key.pem").rename(folder / "old-key.pem")
    certificates.make(folder)
    assert not validity.check(folder).fault
    assert (folder / "ca.pem").read_bytes() == authority


def test_a_folder_with_a_lone_key_of_a_ca_is_left_alone(tmp_path):
    (tmp_path / "ca-key.pem").write_text("precious")
    with pytest.raises(InvalidRequest, match=r"found ca-key\.pem"):
        certificates.make(tmp_path)
    assert (tmp_path / "ca-key.pem").read_text() == "precious"


def test_a_folder_of_others_keeps_its_mode(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    tmp_path.chmod(0o755)
    certificates.make(tmp_path)
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "key.pem") == 0o600


def test_a_folder_that_can_not_be_written_is_one_sentence():
    with pytest.raises(StorageFailed, match=r"/proc/tls: can't be written \(.*\)\. Name another folder\."):
        certificates.make(validity.Path("/proc/tls"))


def test_signing_without_the_key_of_the_ca_is_refused(folder):
    made = certificates.sign(folder, "user", "alice")
    with pytest.raises(InvalidRequest, match=r"has no ca-key\.pem, which signs certificates"):
        certificates.sign(made, "user", "eve")


@pytest.mark.parametrize("name", ["../eve", "", "a b", ".hidden", "x" * 41])
def test_a_name_is_no_path(folder, name):
    with pytest.raises(InvalidRequest, match="--user: found"):
        certificates.sign(folder, "user", name)
    assert not (folder / "users").exists()


@pytest.mark.parametrize("host", ["tls://10.0.0.5", "10.0.0.5:8786", "a b", ""])
def test_a_host_is_a_name_or_an_address(tmp_path, host):
    with pytest.raises(InvalidRequest, match="--host: found"):
        certificates.make(tmp_path / "tls", [host])
    assert not (tmp_path / "tls").exists()


def test_missing_certificates_name_the_command_that_makes_them(tmp_path):
    with pytest.raises(SettingsError, match=r"ca\.pem: does not exist\. .*`ailab-dataproc cluster certs`"):
        validity.check(tmp_path)


def test_an_expired_certificate_is_told_in_days(folder):
    expired(folder)
    with pytest.raises(SettingsError, match="it expired 2 days ago"):
        validity.check(folder)


def test_a_broken_file_is_named(folder):
    (folder / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    with pytest.raises(SettingsError, match=r"cert\.pem: holds no certificate in PEM"):
        validity.check(folder)


def test_a_locked_key_is_told_with_the_command_that_unlocks_it(folder):
    from cryptography.hazmat.primitives import serialization as kinds

    key = kinds.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    locked = kinds.BestAvailableEncryption(b"secret")
    (folder / "key.pem").write_bytes(key.private_bytes(kinds.Encoding.PEM, kinds.PrivateFormat.PKCS8, locked))
    with pytest.raises(SettingsError, match=r"is locked by a password.*openssl pkey"):
        validity.check(folder)


def test_the_key_of_another_certificate_is_told(folder):
    (folder / "key.pem").write_bytes((certificates.sign(folder, "user", "alice") / "key.pem").read_bytes())
    with pytest.raises(SettingsError, match=r"key\.pem is the key of another certificate"):
        validity.check(folder)


def test_a_certificate_of_another_ca_is_told(folder, tmp_path):
    certificates.make(tmp_path / "other")
    (folder / "ca.pem").write_bytes((tmp_path / "other/ca.pem").read_bytes())
    with pytest.raises(SettingsError, match=r"it was not signed by the ca\.pem beside it"):
        validity.check(folder)


def test_a_key_that_others_can_read_is_told(folder):
    (folder / "key.pem").chmod(0o640)
    with pytest.raises(SettingsError, match=r"key\.pem can be read by others: chmod 600"):
        validity.check(folder)


def test_the_command_makes_signs_and_shows(tmp_path):
    made = run(tmp_path / "tls", "--host", "10.0.0.5")
    assert made.exit_code == 0, made.output
    assert "Keep" in made.output
    signed = run(tmp_path / "tls", "--user", "alice", "--user", "bob")
    assert "Never hand over" in signed.output
    shown = json.loads(run(tmp_path / "tls", "--show", "--json").output)
    assert [one["who"] for one in shown][1:] == ["machine 10.0.0.5", "user alice", "user bob"]


def test_showing_an_expired_certificate_ends_with_1(folder):
    expired(folder)
    shown = run(folder, "--show")
    assert shown.exit_code == 1
    assert "it expired 2 days ago" in shown.output


def test_showing_one_that_ends_soon_says_so(folder):
    certificates.sign(folder, "user", "alice", days=5)
    shown = run(folder, "--show")
    assert shown.exit_code == 0
    assert "4 days: ends soon" in shown.output


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """A scheduler and a worker that have the certificate of this machine, and the folder of certificates."""
    folder = tmp_path_factory.mktemp("secured")
    certificates.make(folder / "tls")
    files = {"tls-ca-file": "ca.pem", "tls-cert": "cert.pem", "tls-key": "key.pem"}
    with lab(folder, workers=1, tls={key: str(folder / "tls" / name) for key, name in files.items()}) as running:
        yield running, folder / "tls"


def security(folder):
    from distributed import Security

    return Security(
        require_encryption=True,
        tls_ca_file=str(folder / "ca.pem"),
        tls_client_cert=str(folder / "cert.pem"),
        tls_client_key=str(folder / "key.pem"),
    )


def test_a_person_with_a_certificate_of_the_lab_computes(secured):
    from distributed import Client

    running, folder = secured
    alice = certificates.sign(folder, "user", "alice")
    with Client(running.address, security=security(alice), timeout="30s") as client:
        client.wait_for_workers(1, timeout=60)
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3


def test_a_certificate_of_another_ca_is_refused(secured, tmp_path):
    from distributed import Client

    running, folder = secured
    certificates.make(tmp_path / "other")
    foreign = certificates.sign(tmp_path / "other", "user", "eve")
    (foreign / "ca.pem").write_bytes((folder / "ca.pem").read_bytes())  # she trusts the cluster, it doesn't trust her
    # TLS 1.3 tells the client only after its own handshake: the words depend on which message is read first.
    with pytest.raises(OSError, match=r"SSL|closed|reset|Timed out"):
        Client(running.address, security=security(foreign), timeout="5s")


def test_a_cluster_of_another_ca_is_refused(secured, tmp_path):
    from distributed import Client

    running, _ = secured
    certificates.make(tmp_path / "other")
    with pytest.raises(OSError, match="TLS certificate does not match"):
        Client(running.address, security=security(tmp_path / "other"), timeout="5s")


def test_plain_tcp_is_refused(secured):
    from distributed import Client

    running, _ = secured
    with pytest.raises(OSError, match=r"Timed out|closed"):
        Client(running.address.replace("tls", "tcp"), timeout="2s")


def test_a_scheduler_with_the_certificate_of_a_person_is_refused(secured, tmp_path):
    from distributed import Client

    _, folder = secured
    bob = certificates.sign(folder, "user", "bob")
    files = {"tls-ca-file": "ca.pem", "tls-cert": "cert.pem", "tls-key": "key.pem"}
    with (
        lab(tmp_path, workers=0, tls={key: str(bob / name) for key, name in files.items()}) as posing,
        pytest.raises(OSError, match="TLS certificate does not match"),
    ):
        Client(posing.address, security=security(folder), timeout="5s")
