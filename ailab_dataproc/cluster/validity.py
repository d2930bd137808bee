"""Whether certificates are good: who they are for, until when, and whether they belong together."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ailab_dataproc.cluster.certificates import CA, CA_KEY, CERT, KEY, now
from ailab_dataproc.cluster.pem import read_certificates, read_key
from ailab_dataproc.errors import SettingsError, require

if TYPE_CHECKING:
    from cryptography import x509

SOON = 30  # days before its end that a certificate is told of


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate, and what is wrong with it."""

    file: str
    who: str  # its common name
    names: tuple[str, ...]  # hosts and addresses that it is for; none for a user
    until: str  # ISO 8601, UTC
    days: int  # that are left; below 0: since it expired
    fault: str = ""  # "it expired 3 days ago", …; empty: none

    @property
    def soon(self) -> bool:
        """Whether it ends within `SOON` days."""
        return 0 <= self.days < SOON


def check(folder: Path) -> Certificate:
    """The certificate of a folder whose ca.pem, cert.pem and key.pem belong together, and are good today.

    Raises:
        SettingsError: what is missing or wrong.
    """
    for name in (CA, CERT, KEY):
        if not (folder / name).is_file():
            raise SettingsError(
                f"{folder / name}: does not exist. Make certificates with `ailab-dataproc cluster certs`, "
                "or put those of your site there."
            )
    require("cryptography", "dask")
    found = describe(folder / CERT, read_certificates(folder / CA))
    if found.fault:
        raise SettingsError(
            f"{folder / CERT}: {found.fault}. Use three files that were made together, or make new ones with "
            "`ailab-dataproc cluster certs`."
        )
    return found


def show(folder: Path) -> list[Certificate]:
    """Every certificate in a folder: of the CA, of this machine or user, and those that were signed here."""
    require("cryptography", "dask")
    if not (folder / CA).is_file():
        raise SettingsError(f"{folder}: has no {CA}. Make one with `ailab-dataproc cluster certs`.")
    authorities = read_certificates(folder / CA)
    signed = (file for kind in ("machines", "users") for file in sorted(folder.glob(f"{kind}/*/{CERT}")))
    files = [folder / CA, folder / CERT, *signed]
    return [describe(file, authorities) for file in files if file.is_file()]


def describe(file: Path, authorities: Sequence[x509.Certificate]) -> Certificate:
    """What the certificate of a file says, and whether one of the authorities has signed it."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    found, *chain = read_certificates(file)
    common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    faults = _faults(file, found, [*authorities, *chain])
    return Certificate(
        file=str(file),
        who=str(common[0].value) if common else found.subject.rfc4514_string(),
        names=tuple(str(name.value) for name in names),
        until=found.not_valid_after_utc.isoformat(timespec="minutes"),
        days=_days(found),
        fault=next(faults, ""),
    )


def _faults(file: Path, found: x509.Certificate, signers: Sequence[x509.Certificate]) -> Iterator[str]:
    """What is wrong, the worst first."""
    left = _days(found)
    if left < 0:
        yield f"it expired {-left} day{'s' * (left != -1)} ago"
    if found.not_valid_before_utc > now():
        yield f"it is good from {found.not_valid_before_utc.isoformat(timespec='minutes')} on (is the clock right?)"
    if file.name != CA and not any(_signed_by(found, signer) for signer in signers):
        yield f"it was not signed by the {CA} beside it"
    key = file.with_name(CA_KEY if file.name == CA else KEY)
    if key.is_file():
        if read_key(key).public_key() != found.public_key():
            yield f"{key.name} is the key of another certificate"
        if key.stat().st_mode & 0o077:
            yield f"{key.name} can be read by others: chmod 600 {key}"


def _signed_by(found: x509.Certificate, signer: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        found.verify_directly_issued_by(signer)
    except (InvalidSignature, ValueError, TypeError):  # another key, another name, another kind of key
        return False
    return True


def _days(found: x509.Certificate) -> int:
    return (found.not_valid_after_utc - now()) // datetime.timedelta(days=1)
