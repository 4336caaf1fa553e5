"""TLS: nothing is said to a server that is not verified, nor over a connection whose STARTTLS was taken away."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from alertlog.clock import SystemClock
from alertlog.errors import DeliveryError, ServerUnavailable, SessionRefused
from alertlog.settings import Transport
from alertlog.smtp import connect
from alertlog.testing import MailServer
from alertlog.tls import Tls, tls_context
from alertlog.wire import BoundedSocket, Deadline, dial
from tests.behaviours import Behaviour, Script, drop, reset
from tests.certificates import Authority, encrypted_key, self_signed
from tests.conversation import Conversation
from tests.servers import OFFERS_STARTTLS, ScriptedServer
from tests.sessions import LETTER, PASSWORD, TO, settings_for
from tests.test_smtp_login import dial_distant

CLOCK = SystemClock()
CREDENTIALS = {"username": "ada", "password": PASSWORD}
ENCRYPTED: tuple[Transport, ...] = ("starttls", "ssl")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


def tls_server(transport: Transport, tls: ssl.SSLContext, script: Script | None = None) -> ScriptedServer:
    """A server that wants a login, after STARTTLS or with TLS from the first byte."""
    inside = "250-scripted.example\n250 AUTH PLAIN"
    ehlo = [OFFERS_STARTTLS, inside] if transport == "starttls" else [inside]
    return ScriptedServer({"EHLO": ehlo, **(script or {})}, tls, implicit=transport == "ssl")


def assert_nothing_was_said(server: ScriptedServer, transport: Transport) -> None:
    """The server has seen no more than what STARTTLS needs in the clear."""
    server.wait_for("end")
    assert "AUTH" not in server.received.decode("latin-1")
    assert not {"AUTH", "MAIL", "RCPT", "DATA"} & set(server.steps)
    assert server.steps.count("EHLO") == (1 if transport == "starttls" else 0)


@pytest.mark.parametrize("transport", ENCRYPTED)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_of_the_configured_ca_is_accepted(authority: Authority, transport: Transport, host: str) -> None:
    with tls_server(transport, authority.server()) as server:
        settings = settings_for(server, transport=transport, host=host, ca_file=authority.ca_file, **CREDENTIALS)
        with connect(settings, CLOCK) as session:
            assert session.send(LETTER, TO).accepted == TO
            assert session.peer.tls == "TLSv1.3"
            assert session.peer.transport == transport
            assert session.peer.capabilities == ("AUTH PLAIN",)


@pytest.mark.parametrize("transport", ENCRYPTED)
@pytest.mark.parametrize("fault", ["wrong CA", "no CA", "wrong name", "expired", "self-signed"])
def test_nothing_is_said_to_a_server_that_is_not_verified(
    authority: Authority, stranger: Authority, tmp_path: Path, transport: Transport, fault: str
) -> None:
    context, ca_file = authority.server(), authority.ca_file
    if fault == "wrong CA":
        ca_file = stranger.ca_file
    elif fault == "no CA":
        ca_file = ""
    elif fault == "wrong name":
        context = authority.server("other.example.org", "192.0.2.1")
    elif fault == "expired":
        context = authority.expired()
    else:
        context = self_signed(tmp_path)
    with tls_server(transport, context) as server:
        settings = settings_for(server, transport=transport, ca_file=ca_file, **CREDENTIALS)
        with pytest.raises(SessionRefused, match="certificate is not trusted: ") as caught:
            connect(settings, CLOCK)
        assert_nothing_was_said(server, transport)
    assert (caught.value.stage, caught.value.category) == ("tls", "refused")


def test_a_certificate_for_the_address_is_none_for_the_name(authority: Authority) -> None:
    with tls_server("ssl", authority.server("127.0.0.1")) as server:
        settings = settings_for(server, transport="ssl", host="localhost", ca_file=authority.ca_file)
        with pytest.raises(SessionRefused, match="localhost"):
            connect(settings, CLOCK)


@pytest.mark.parametrize("host", ["mail.example.org", "MAIL.example.org"])
def test_the_name_that_is_verified_is_the_configured_one_however_it_is_dialled(authority: Authority, host: str) -> None:
    with tls_server("starttls", authority.server("mail.example.org")) as server:

        def relay(_host: str, _port: int, deadline: Deadline) -> BoundedSocket:
            return dial(server.host, server.port, deadline)

        settings = settings_for(server, transport="starttls", host=host, ca_file=authority.ca_file)
        connect(settings, CLOCK, dial=relay).close()


@pytest.mark.parametrize("transport", ENCRYPTED)
def test_tls_older_than_1_2_is_refused(authority: Authority, transport: Transport) -> None:
    with tls_server(transport, authority.outdated_protocol()) as server:
        settings = settings_for(server, transport=transport, ca_file=authority.ca_file, **CREDENTIALS)
        with pytest.raises(SessionRefused, match="no TLS with") as caught:
            connect(settings, CLOCK)
        assert_nothing_was_said(server, transport)
    assert caught.value.stage == "tls"


def test_tls_1_2_is_accepted(authority: Authority) -> None:
    context = authority.server()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with tls_server("starttls", context) as server:
        settings = settings_for(server, transport="starttls", ca_file=authority.ca_file)
        with connect(settings, CLOCK) as session:
            assert session.peer.tls == "TLSv1.2"


# STARTTLS


@pytest.mark.parametrize("variable", ["", "SMTP_TRANSPORT"])
def test_a_server_that_does_not_offer_starttls_gets_nothing(authority: Authority, variable: str) -> None:
    with ScriptedServer({"EHLO": "250-scripted.example\n250 AUTH PLAIN"}) as server:
        settings = settings_for(
            server, transport="starttls", ca_file=authority.ca_file, unset_transport=variable, **CREDENTIALS
        )
        with pytest.raises(SessionRefused, match="does not offer STARTTLS") as caught:
            connect(settings, CLOCK)
        server.wait_for("end")
        assert server.steps == ["greeting", "EHLO", "end"]
    assert caught.value.stage == "starttls"
    assert ("SMTP_TRANSPORT" in str(caught.value)) == bool(variable)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("454 4.7.0 not now", ServerUnavailable),
        ("501 5.5.4 no", SessionRefused),
        ("502 5.5.1 no", SessionRefused),
        ("250 yes, but not now", ServerUnavailable),
    ],
)
def test_a_refused_starttls_is_not_gone_without(reply: str, kind: type[DeliveryError]) -> None:
    with ScriptedServer({"EHLO": OFFERS_STARTTLS, "STARTTLS": reply}) as server:
        settings = settings_for(server, transport="starttls", unset_transport="SMTP_TRANSPORT", **CREDENTIALS)
        with pytest.raises(kind, match=r"STARTTLS.*set SMTP_TRANSPORT") as caught:
            connect(settings, CLOCK)
        server.wait_for("end")
        assert server.steps == ["greeting", "EHLO", "STARTTLS", "end"]
    assert (caught.value.stage, caught.value.code) == ("starttls", int(reply[:3]))


def test_replies_injected_before_the_handshake_are_not_believed(authority: Authority) -> None:
    # As in CVE-2011-0411: who sits on the line adds to the plain text what would be read as said inside TLS.
    injected = "220 go ahead\n250-evil.example\n250 AUTH LOGIN"
    with tls_server("starttls", authority.server(), {"STARTTLS": injected}) as server:
        settings = settings_for(server, transport="starttls", ca_file=authority.ca_file, **CREDENTIALS)
        with connect(settings, CLOCK) as session:
            assert session.peer.capabilities == ("AUTH PLAIN",)
            assert session.send(LETTER, TO).accepted == TO
        server.wait_for("end")
        assert server.steps.count("EHLO") == 2


def test_what_a_server_offered_before_the_handshake_is_forgotten(authority: Authority) -> None:
    offers = ["250-scripted.example\n250-STARTTLS\n250-SIZE 1\n250 AUTH PLAIN", "250 scripted.example"]
    with ScriptedServer({"EHLO": offers}, authority.server()) as server:
        settings = settings_for(server, transport="starttls", ca_file=authority.ca_file)
        with connect(settings, CLOCK) as session:
            assert session.peer.capabilities == ()
            assert session.send(LETTER, TO).accepted == TO


@pytest.mark.parametrize("behaviour", [drop, reset])
@pytest.mark.parametrize("transport", ENCRYPTED)
def test_a_connection_lost_in_the_handshake_may_come_back(
    authority: Authority, transport: Transport, behaviour: Behaviour
) -> None:
    with tls_server(transport, authority.server(), {"tls": behaviour}) as server:
        settings = settings_for(server, transport=transport, ca_file=authority.ca_file)
        with pytest.raises(ServerUnavailable) as caught:
            connect(settings, CLOCK)
    # A reset can be so early that the system tells of it when connecting.
    assert caught.value.stage in (("connect", "tls") if transport == "ssl" else ("tls",))


def test_a_connection_found_broken_before_the_handshake_is_closed() -> None:
    broken = BoundedSocket()
    tls = Tls(tls_context(), "localhost", Deadline(CLOCK, 10))
    with pytest.raises(ConnectionResetError):
        tls.wrap_socket(broken)
    assert broken.fileno() == -1


def test_a_server_that_does_not_speak_tls_at_all_is_told_from_a_bad_certificate(authority: Authority) -> None:
    with ScriptedServer() as server:
        settings = settings_for(server, transport="ssl", ca_file=authority.ca_file)
        with pytest.raises(SessionRefused, match="does this port want `starttls`") as caught:
            connect(settings, CLOCK)
    assert caught.value.stage == "tls"


def test_garbage_instead_of_a_handshake_is_the_operators_to_repair(authority: Authority) -> None:
    def garbage(conversation: Conversation) -> None:
        conversation.read()
        conversation.send(b"220 ready when you are\r\n" * 9)

    with tls_server("starttls", authority.server(), {"tls": garbage}) as server:
        settings = settings_for(server, transport="starttls", ca_file=authority.ca_file)
        with pytest.raises(SessionRefused, match="no TLS with") as caught:
            connect(settings, CLOCK)
    assert caught.value.stage == "tls"


# Moved over from SMTPHandler


def test_on_a_loopback_address_a_program_that_moved_over_goes_on_without_tls() -> None:
    with ScriptedServer({"EHLO": OFFERS_STARTTLS}) as server:
        settings = settings_for(server, host="localhost", transport="starttls", plain_on_loopback=True)
        with connect(settings, CLOCK) as session:
            assert session.peer.transport == "none"
            assert session.send(LETTER, TO).accepted == TO
        server.wait_for("end")
        assert "STARTTLS" not in server.steps


def test_credentials_want_starttls_on_a_loopback_address_too() -> None:
    with ScriptedServer({"EHLO": "250-scripted.example\n250 AUTH PLAIN"}) as server:
        settings = settings_for(server, transport="starttls", plain_on_loopback=True, **CREDENTIALS)
        with pytest.raises(SessionRefused, match="STARTTLS"):
            connect(settings, CLOCK)


def test_elsewhere_a_program_that_moved_over_gets_starttls_or_nothing() -> None:
    with ScriptedServer() as server:
        settings = settings_for(server, transport="starttls", plain_on_loopback=True)
        with pytest.raises(SessionRefused, match="STARTTLS"):
            connect(settings, CLOCK, dial=dial_distant)


# Files


def test_a_client_certificate_is_shown_to_a_server_that_wants_one(authority: Authority) -> None:
    with tls_server("starttls", authority.wants_client_certificate()) as server:
        settings = settings_for(
            server, transport="starttls", ca_file=authority.ca_file, client_certificate=authority.client()
        )
        with connect(settings, CLOCK) as session:
            assert session.send(LETTER, TO).accepted == TO


@pytest.mark.parametrize("transport", ENCRYPTED)
def test_a_server_that_wants_a_client_certificate_refuses_who_has_none(
    authority: Authority, transport: Transport
) -> None:
    with tls_server(transport, authority.wants_client_certificate()) as server:
        settings = settings_for(server, transport=transport, ca_file=authority.ca_file)
        with pytest.raises(SessionRefused, match=r"no TLS with.*certificate required"):
            connect(settings, CLOCK)


def test_one_file_may_hold_both_key_and_certificate(authority: Authority, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text("".join(Path(name).read_text() for name in authority.client()))
    tls_context(authority.ca_file, ("", str(both)))


def test_a_key_that_wants_a_password_is_refused_and_nobody_is_asked(authority: Authority, tmp_path: Path) -> None:
    _key_file, certificate_file = authority.client()
    with ScriptedServer() as server:
        settings = settings_for(server, transport="ssl", client_certificate=(encrypted_key(tmp_path), certificate_file))
        with pytest.raises(SessionRefused, match=r"encrypted\.key") as caught:
            connect(settings, CLOCK)
    assert caught.value.stage == "tls"


@pytest.mark.parametrize("transport", ENCRYPTED)
@pytest.mark.parametrize("content", [None, "", "no certificate at all", "folder"])
def test_a_ca_file_that_cannot_be_used_is_named(tmp_path: Path, transport: Transport, content: str | None) -> None:
    path = tmp_path / "private-ca.pem"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    with ScriptedServer({"EHLO": OFFERS_STARTTLS}) as server:
        settings = settings_for(server, transport=transport, ca_file=str(path))
        with pytest.raises(SessionRefused, match=r"private-ca\.pem") as caught:
            connect(settings, CLOCK)
    assert caught.value.stage == "tls"
    assert caught.value.__context__ is None


def test_a_context_is_kept_until_its_ca_file_changes(authority: Authority, stranger: Authority, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(Path(authority.ca_file).read_bytes())
    first = tls_context(str(path))
    assert tls_context(str(path)) is first
    path.write_bytes(Path(stranger.ca_file).read_bytes())
    os.utime(path, (1, 1))
    assert tls_context(str(path)) is not first


def test_a_ca_file_that_is_repaired_is_read_again(authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("not yet")
    with tls_server("ssl", authority.server()) as server:
        settings = settings_for(server, transport="ssl", ca_file=str(path))
        with pytest.raises(SessionRefused):
            connect(settings, CLOCK)
        path.write_bytes(Path(authority.ca_file).read_bytes())
        connect(settings, CLOCK).close()


def test_the_systems_authorities_stay_trusted_beside_a_private_one(authority: Authority) -> None:
    private = len(tls_context(authority.ca_file).get_ca_certs())
    assert private == len(tls_context().get_ca_certs()) + 1


@pytest.mark.parametrize("transport", ENCRYPTED)
def test_a_real_server_is_not_trusted_by_default(transport: Transport) -> None:
    with MailServer(transport) as server:
        settings = settings_for(server, transport=transport)
        with pytest.raises(SessionRefused, match="certificate is not trusted"):
            connect(settings, CLOCK)
        assert server.mails == []
