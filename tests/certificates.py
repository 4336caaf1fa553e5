"""Certificates, good ones and bad ones, and the server's side of TLS that uses them."""

from __future__ import annotations

import datetime
import ssl
import warnings
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAMES = ("127.0.0.1", "localhost", "mail.example.org")
DAY = datetime.timedelta(days=1)


class Authority:
    """A CA of our own, its certificate in a file."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.ca_file = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    def server(self, *names: str) -> ssl.SSLContext:
        """A server's context with a certificate for these names, by default for NAMES."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or NAMES)).configure_cert(context)
        return context

    def expired(self) -> ssl.SSLContext:
        now = datetime.datetime.now(datetime.UTC)
        return self.between(now - 9 * DAY, now - DAY)

    def between(self, begin: datetime.datetime, end: datetime.datetime) -> ssl.SSLContext:
        """A context with a certificate that is valid between two times."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*NAMES, not_before=begin, not_after=end).configure_cert(context)
        return context

    def outdated_protocol(self) -> ssl.SSLContext:
        """A context that speaks TLS 1.1 at most."""
        context = self.server()
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        return context

    def wants_client_certificate(self) -> ssl.SSLContext:
        context = self.server()
        context.verify_mode = ssl.CERT_REQUIRED
        self._ca.configure_trust(context)
        return context

    def client(self) -> tuple[str, str]:
        """The names of a key file and a certificate file for a client."""
        issued = self._ca.issue_cert("client.example.org")
        key_file, certificate_file = self._folder / "client.key", self._folder / "client.pem"
        issued.private_key_pem.write_to_path(str(key_file))
        issued.cert_chain_pems[0].write_to_path(str(certificate_file))
        return str(key_file), str(certificate_file)


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate that nobody vouches for but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.org")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives = [x509.DNSName(host) for host in NAMES[1:]]
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "self-signed.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + plain_key(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def plain_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def encrypted_key(folder: Path) -> str:
    """The name of a key file that cannot be read without its password."""
    key = ec.generate_private_key(ec.SECP256R1())
    path = folder / "encrypted.key"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"its password"),
        )
    )
    return str(path)
