"""What is read of a certificate is what stands in it, and nothing that a peer sends does any harm."""

from __future__ import annotations

import datetime
import ipaddress

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from alertlog.certificate import SHOWN, Certificate, read_certificate

BEGIN = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(
    *names: str, subject: str = "mail.example.org", issuer: str = "An Authority", organisation: str = "", years: int = 1
) -> bytes:
    def named(text: str, *more: x509.NameAttribute[str]) -> x509.Name:
        return x509.Name([*more, x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [*more])

    by = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] if organisation else []
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer, *by))
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN.replace(year=BEGIN.year + years))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(_general, names))), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _general(name: str) -> x509.GeneralName:
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


WHOLE = certificate("mx.example.org", "192.0.2.7", organisation="Hoster Ltd")


def read(der: bytes) -> Certificate:
    found = read_certificate(der)
    assert found is not None
    return found


def test_it_says_for_whom_by_whom_and_from_when_to_when() -> None:
    found = read(certificate("mx.example.org", "192.0.2.7", "2001:db8::7", "a@example.org", organisation="Hoster Ltd"))
    assert found.names == ("mx.example.org", "192.0.2.7", "2001:db8::7")
    assert found.issuer == "Hoster Ltd, An Authority"
    assert (found.begins, found.ends) == (BEGIN.timestamp(), BEGIN.replace(year=2027).timestamp())


def test_one_that_lists_no_names_is_for_its_common_name() -> None:
    assert read(certificate()).names == ("mail.example.org",)
    assert read(certificate(subject="")).names == ()


def test_one_that_does_not_name_who_vouches_for_it_is_read_too() -> None:
    assert read(certificate(issuer="")).issuer == ""


def test_an_end_after_2049_is_written_otherwise_and_read_as_well() -> None:
    assert read(certificate(years=30)).ends == BEGIN.replace(year=2056).timestamp()


def test_of_very_many_names_some_are_kept() -> None:
    names = [f"host{number}.example.org" for number in range(200)]
    assert read(certificate(*names)).names == tuple(names[:SHOWN])


def test_a_name_in_other_letters_is_read_and_can_do_nothing_to_a_terminal() -> None:
    assert read(certificate(issuer="Autorité \x1b[2J de confiance")).issuer.startswith("Autorité")
    assert "\x1b" not in read(certificate(issuer="Autorité \x1b[2J de confiance")).issuer


def test_what_the_test_authority_issues_is_read_too() -> None:
    issued = trustme.CA().issue_cert("mail.example.org", "127.0.0.1").cert_chain_pems[0].bytes()
    der = x509.load_pem_x509_certificate(issued).public_bytes(serialization.Encoding.DER)
    assert set(read(der).names) == {"mail.example.org", "127.0.0.1"}


def test_an_old_one_without_a_version_is_read_too() -> None:
    version = b"\xa0\x03\x02\x01\x02"
    whole = bytearray(WHOLE)
    at = whole.index(version)
    del whole[at : at + len(version)]
    for length in (2, 6):  # of the certificate, and of what is signed in it
        size = int.from_bytes(whole[length : length + 2], "big") - len(version)
        whole[length : length + 2] = size.to_bytes(2, "big")
    assert read(bytes(whole)) == read(WHOLE)


@pytest.mark.parametrize("der", [b"", b"0", b"0\x80", b"0\x03abc", b"\x30\x84\xff\xff\xff\xff", b"text"])
def test_what_is_no_certificate_is_nothing(der: bytes) -> None:
    assert read_certificate(der) is None


@given(st.binary())
def test_any_octets_are_read_or_are_nothing(der: bytes) -> None:
    read_certificate(der)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), st.integers(0, len(WHOLE)))
def test_a_certificate_that_is_damaged_anywhere_does_no_harm(position: int, octet: int, length: int) -> None:
    read_certificate((WHOLE[:position] + bytes([octet]) + WHOLE[position + 1 :])[:length])
