"""`Authority`: the server's own certificate authority, and the certificate that it issues.

Clinics trust this authority and no other: a certificate of a public authority for the same name
is of no use to somebody in between. Keys are ECDSA P-256, which Flower's HTTP client and gRPC both
accept (gRPC refuses Ed25519 certificates). The authority lives ten years; a server certificate one,
and is renewed with the same key, so that one file changes and nothing can be half renewed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cairn_protocol.enrolment.token import HOST, LONGEST_HOST, authority_pin, grouped
from cairn_protocol.errors import InputError

AUTHORITY_DAYS: Final = 3650
CERTIFICATE_DAYS: Final = 365
RENEWAL_DAYS: Final = 60  # before its end, a certificate is called due
CLOCK_SLACK: Final = timedelta(minutes=5)  # a certificate is valid this long before it was made


@dataclass(frozen=True)
class Authority:
    """A key that may issue certificates, and its own certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, name: str, now: datetime) -> Self:
        """A new authority, called after the research team."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Cairn {name}"[:64])])
        builder = (
            _builder(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
        )
        return cls(key, builder.sign(key, SHA256()))

    @classmethod
    def load(cls, key: bytes, certificate: bytes) -> Self:
        """The authority in two PEM files.

        Raises:
            InputError: `input.authority-damaged`.
        """
        try:
            authority = cls(load_key(key), x509.load_pem_x509_certificate(certificate))
        except ValueError as error:
            raise _damaged(str(error)) from None
        if authority.key.public_key() != authority.certificate.public_key():
            raise _damaged("ca.key and ca.pem do not belong together")
        return authority

    def issue(
        self, hosts: Sequence[str], key: ec.EllipticCurvePrivateKey, now: datetime
    ) -> x509.Certificate:
        """A server certificate for names and addresses, valid a year from `now`.

        Raises:
            InputError: `input.host-invalid`.
        """
        names = [_general_name(host) for host in hosts]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
        mine = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        builder = (
            _builder(subject, self.certificate.subject, key.public_key(), now, CERTIFICATE_DAYS)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(mine.value),
                critical=False,
            )
        )
        return builder.sign(self.key, SHA256())

    @property
    def pem(self) -> bytes:
        """The authority's certificate, for clinics."""
        return pem(self.certificate)

    @property
    def fingerprint(self) -> str:
        """What two people compare over the telephone."""
        return authority_fingerprint(self.certificate)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key from the operating system's randomness."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS 8 in PEM, not encrypted: the folder's mode protects it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_key(data: bytes) -> ec.EllipticCurvePrivateKey:
    """The elliptic-curve key in a PEM file; ValueError where it is none."""
    key = load_pem_private_key(data, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic-curve key")
    return key


def pem(certificate: x509.Certificate) -> bytes:
    """`certificate` in PEM."""
    return certificate.public_bytes(Encoding.PEM)


def der(certificate: x509.Certificate) -> bytes:
    """`certificate` in DER."""
    return certificate.public_bytes(Encoding.DER)


def authority_fingerprint(certificate: x509.Certificate) -> str:
    """The pin that a token carries, in groups for people."""
    return grouped(authority_pin(der(certificate)))


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Names and addresses that a certificate is for."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        *names.get_values_for_type(x509.DNSName),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    )


def days_left(certificate: x509.Certificate, now: datetime) -> float:
    """Days until a certificate ends; negative: it has ended."""
    return (certificate.not_valid_after_utc - now) / timedelta(days=1)


def check_host(host: str) -> None:
    """Refuses what is neither a host's name nor an address.

    Raises:
        InputError: `input.host-invalid`.
    """
    _general_name(host)


def _general_name(host: str) -> x509.GeneralName:
    address = _address(host)
    if address is not None:
        return x509.IPAddress(address)
    if not HOST.fullmatch(host) or ":" in host or ".." in host or len(host) > LONGEST_HOST:
        raise InputError(
            f"{host!r} is neither the name nor the address of a machine",
            code="host-invalid",
            hint="for example --host cairn.example.org --host 192.0.2.7, without https:// or port",
        )
    return x509.DNSName(host)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    start = now.astimezone(UTC).replace(microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - CLOCK_SLACK)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _damaged(why: str) -> InputError:
    return InputError(
        "the certificate authority's files cannot be used",
        code="authority-damaged",
        why=why,
        hint="restore ca.key and ca.pem from a backup; clinics know this authority and no other",
    )
