"""PEM files of certificates and keys: read with a sentence for what is wrong, written once and for one person."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ailab_dataproc.errors import InvalidRequest, SettingsError, StorageFailed

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes


def read_certificates(file: Path) -> list[x509.Certificate]:
    """The certificates of a file, the one that it is for first.

    Raises:
        SettingsError: it can't be read, or holds none.
    """
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(_content(file))
    except ValueError as error:
        raise SettingsError(f"{file}: holds no certificate in PEM, such as openssl writes. Put it there again.") from (
            error
        )


def read_key(file: Path) -> CertificateIssuerPrivateKeyTypes:
    """The private key of a file.

    Raises:
        SettingsError: it can't be read, is locked by a password, or is none.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = load_pem_private_key(_content(file), password=None)
    except TypeError as error:
        raise SettingsError(
            f"{file}: is locked by a password, which Dask can't ask for. "
            f"Unlock it: openssl pkey -in {file} -out {file}.new"
        ) from error
    except ValueError as error:
        raise SettingsError(f"{file}: holds no private key in PEM, such as openssl writes. Put it there again.") from (
            error
        )
    if not hasattr(found, "sign"):
        raise SettingsError(
            f"{file}: holds a {type(found).__name__}, wanted a key that signs, such as one of EC or RSA."
        )
    return cast("CertificateIssuerPrivateKeyTypes", found)


def refuse_existing(folder: Path, names: tuple[str, ...]) -> None:
    """Raise `InvalidRequest` where one of the files is there already."""
    there = [name for name in names if os.path.lexists(folder / name)]
    if there:
        raise InvalidRequest(
            f"{folder}: found {' and '.join(there)}, and nothing is overwritten. Use them, or move them away to make "
            "new ones (--show tells how long they are good for)."
        )


def make_private(folder: Path) -> None:
    """Make a folder that its owner alone can read; one with something in it stays as it is."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not any(folder.iterdir()):
        folder.chmod(0o700)


def write_certificate(file: Path, certificate: x509.Certificate) -> None:
    """Write it for everybody to read."""
    from cryptography.hazmat.primitives.serialization import Encoding

    with writing(file.parent):
        _write(file, certificate.public_bytes(Encoding.PEM), 0o644)


def write_pair(
    folder: Path, names: tuple[str, str], certificate: x509.Certificate, key: CertificateIssuerPrivateKeyTypes
) -> list[Path]:
    """Write a certificate, and its key for the owner alone; both or none."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    files = [folder / name for name in names]
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with writing(folder):
        _write(files[1], secret, 0o600)
        try:
            _write(files[0], certificate.public_bytes(Encoding.PEM), 0o644)
        except BaseException:
            files[1].unlink()
            raise
    return files


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """What the system says against writing to a folder becomes one sentence."""
    try:
        yield
    except FileExistsError as error:  # another command was quicker
        raise InvalidRequest(f"{error.filename}: is there already, and nothing is overwritten.") from error
    except OSError as error:
        raise StorageFailed(f"{folder}: can't be written ({error.strerror}). Name another folder.") from error


def _write(file: Path, content: bytes, mode: int) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as out:
            os.fchmod(out.fileno(), mode)  # whatever the umask is
            out.write(content)
    except BaseException:
        file.unlink()
        raise


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{file}: can't be read ({error.strerror}). Ask its owner for it.") from error
