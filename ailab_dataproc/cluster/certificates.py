"""Make the certificates of a lab's cluster: a CA, one certificate for each machine, one for each user."""

from __future__ import annotations

import datetime
import ipaddress
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ailab_dataproc.cluster.pem import (
    make_private,
    read_certificates,
    read_key,
    refuse_existing,
    write_certificate,
    write_pair,
    writing,
)
from ailab_dataproc.errors import InvalidRequest, SettingsError, require

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

    _Authority = tuple[x509.Certificate, CertificateIssuerPrivateKeyTypes]

CA, CERT, KEY, CA_KEY = "ca.pem", "cert.pem", "key.pem", "ca-key.pem"
DAYS = {"ca": 3650, "machine": 730, "user": 365}  # that a certificate is good for
_SKEW = datetime.timedelta(hours=1)  # that another machine's clock may be behind
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,39}")


def make(folder: Path, hosts: Sequence[str] = (), days: int | None = None) -> list[Path]:
    """Make the CA, where there is none, and the certificate of this machine.

    Args:
        folder: gets ca.pem and ca-key.pem, cert.pem and key.pem. None of them is ever overwritten.
        hosts: further names and addresses of machines; this one's name and loopback are always in.
        days: that the machine's certificate is good for.

    Returns:
        The files that were made.

    Raises:
        InvalidRequest: there is a certificate already, or half of a CA.
        StorageFailed: the folder can't be written.
    """
    require("cryptography", "dask")
    refuse_existing(folder, (CERT, KEY))
    here = socket.gethostname()
    names = tuple(dict.fromkeys([*hosts, here, "localhost", "127.0.0.1", "::1"]))
    alternatives = [_alternative(name) for name in names]
    made = []
    with writing(folder):
        make_private(folder)
    if not (folder / CA).exists():
        refuse_existing(folder, (CA_KEY,))
        made += _make_ca(folder, here)
    return [*made, *_issue(_authority(folder), folder, f"machine {hosts[0] if hosts else here}", alternatives, days)]


def sign(folder: Path, kind: str, name: str, hosts: Sequence[str] = (), days: int | None = None) -> Path:
    """Sign a further certificate with the CA of a folder.

    Args:
        folder: of the CA.
        kind: ``"user"``, who may only connect, or ``"machine"``, whose workers and scheduler others connect to.
        name: who or what it is for.
        hosts: names and addresses of the machine; its name is one.
        days: that it is good for.

    Returns:
        A new folder in users/ or machines/, with ca.pem, cert.pem and key.pem: all that is handed over.

    Raises:
        InvalidRequest: the folder has no CA's key, or there is such a certificate already.
    """
    require("cryptography", "dask")
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"--{kind}: found {name!r}, wanted up to 40 letters, digits and _.@- such as alice.")
    into = folder / f"{kind}s" / name
    refuse_existing(into, (CERT, KEY))
    alternatives = [_alternative(host) for host in dict.fromkeys([*hosts, name])] if kind == "machine" else []
    authority = _authority(folder)
    with writing(into):
        make_private(into.parent)
        make_private(into)
    _issue(authority, into, f"{kind} {name}", alternatives, days)
    if not (into / CA).exists():
        write_certificate(into / CA, authority[0])
    return into


def _make_ca(folder: Path, host: str) -> list[Path]:
    from cryptography import x509

    key = _new_key()
    name = _common_name(f"ailab_dataproc CA of {host}")
    builder = (
        _builder((name, name), key, _until(DAYS["ca"]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    )
    return write_pair(folder, (CA, CA_KEY), _signed(builder, key, key), key)


def _authority(folder: Path) -> _Authority:
    if not (folder / CA_KEY).is_file():
        raise InvalidRequest(
            f"{folder}: has no {CA_KEY}, which signs certificates. Run this on the machine where "
            "`ailab-dataproc cluster certs` was run first."
        )
    certificate, key = read_certificates(folder / CA)[0], read_key(folder / CA_KEY)
    if key.public_key() != certificate.public_key():
        raise SettingsError(f"{folder / CA_KEY}: is not the key of {CA} beside it. Put the right one there.")
    return certificate, key


def _issue(
    authority: _Authority, into: Path, who: str, alternatives: list[x509.GeneralName], days: int | None
) -> list[Path]:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    certificate, signing = authority
    key = _new_key()
    # A user's certificate connects; nobody takes a scheduler for real that has one.
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if alternatives else [])]
    days = days or DAYS["machine" if alternatives else "user"]
    builder = (
        _builder((_common_name(who), certificate.subject), key, min(_until(days), certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return write_pair(into, (CERT, KEY), _signed(builder, key, signing), key)


def _builder(
    names: tuple[x509.Name, x509.Name], key: EllipticCurvePrivateKey, until: datetime.datetime
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - _SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(
    builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey, signing: CertificateIssuerPrivateKeyTypes
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    if key is not signing:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
        builder = builder.add_extension(issuer, critical=False)
    return builder.sign(signing, hashes.SHA256())


def _usage(**given: bool) -> x509.KeyUsage:
    from cryptography import x509

    names = "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign"
    return x509.KeyUsage(**dict.fromkeys([*names.split(), "crl_sign", "encipher_only", "decipher_only"], False) | given)


def _common_name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])  # X.509 has room for 64


def _alternative(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        if not host or "://" in host or re.search(r"[\s/:,]", host):
            raise ValueError(host)
        return x509.DNSName(host.encode("idna").decode())
    except ValueError as error:
        raise InvalidRequest(f"--host: found {host!r}, wanted a name or an address such as 192.168.1.5.") from error


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _until(days: int) -> datetime.datetime:
    return now() + datetime.timedelta(days=days)


def now() -> datetime.datetime:
    """The time, as certificates have it."""
    return datetime.datetime.now(datetime.UTC)
