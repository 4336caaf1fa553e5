"""The public test kit does what its users' tests rely on."""

from __future__ import annotations

import gc
import logging
import smtplib
import socket
import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alertlog.testing import MailServer, ManualClock

if TYPE_CHECKING:
    from alertlog.settings import Transport

LOGIN = ("etl", "pässword")


def letter(subject: str = "Quota", text: str = ".a dot\n") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "alerts@example.org"
    message["To"] = "oncall@example.org"
    message.set_content(text)
    return message


def client(server: MailServer, host: str = "127.0.0.1") -> smtplib.SMTP:
    """A connection as a careful client makes it: encrypted if the server can, and verified."""
    if server.transport == "none":
        return smtplib.SMTP(host, server.port, timeout=10)
    context = ssl.create_default_context(cafile=server.ca_file)
    if server.transport == "ssl":
        return smtplib.SMTP_SSL(host, server.port, timeout=10, context=context)
    smtp = smtplib.SMTP(host, server.port, timeout=10)
    try:
        smtp.starttls(context=context)
    except BaseException:
        smtp.close()
        raise
    return smtp


class TestManualClock:
    def test_it_stands_still(self) -> None:
        clock = ManualClock(wall=5.0, monotonic=7.0)
        assert [clock.wall(), clock.monotonic()] == [clock.wall(), clock.monotonic()] == [5.0, 7.0]

    def test_advancing_moves_both_clocks_each_time(self) -> None:
        clock = ManualClock(wall=5.0, monotonic=7.0)
        clock.advance(1.5)
        clock.advance(0.5)
        assert (clock.wall(), clock.monotonic()) == (7.0, 9.0)

    def test_setting_the_calendar_leaves_intervals_alone(self) -> None:
        clock = ManualClock(wall=5.0, monotonic=7.0)
        clock.set_wall(1.0)
        clock.advance(1.0)
        assert (clock.wall(), clock.monotonic()) == (2.0, 8.0)

    def test_time_never_runs_backwards(self) -> None:
        clock = ManualClock()
        before = clock.monotonic()
        with pytest.raises(ValueError, match="forwards"):
            clock.advance(-1)
        assert clock.monotonic() == before


@pytest.mark.parametrize("transport", ["none", "starttls", "ssl"])
class TestTransports:
    def test_a_mail_is_recorded_with_its_envelope_and_its_bytes(self, transport: Transport) -> None:
        with MailServer(transport) as server:
            with client(server) as smtp:
                smtp.send_message(letter(), "bounce@example.org", ["a@example.org", "b@example.org"])
            (mail,) = server.wait_for(1)
        assert mail.sender == "bounce@example.org"
        assert mail.recipients == ("a@example.org", "b@example.org")
        assert mail.subject == "Quota"
        assert mail.text == ".a dot\n"
        assert mail.content.endswith(b"\r\n\r\n.a dot\r\n")
        assert mail.tls == (transport != "none")
        assert mail.login is None

    def test_a_login_is_demanded_and_recorded(self, transport: Transport) -> None:
        with MailServer(transport, login=LOGIN) as server:
            with client(server) as smtp:
                with pytest.raises(smtplib.SMTPSenderRefused, match="login first"):
                    smtp.send_message(letter())
                with pytest.raises(smtplib.SMTPAuthenticationError):
                    smtp.login("etl", "wrong")
                smtp.docmd("AUTH", "PLAIN AGV0bABww6Rzc3dvcmQ=")
                smtp.send_message(letter())
            (mail,) = server.wait_for(1)
        assert mail.login == "etl"

    def test_the_environment_says_how_to_reach_it(self, transport: Transport) -> None:
        with MailServer(transport, login=LOGIN) as server:
            environ = server.environ(prefix="REPORT_SMTP_")
            assert environ.pop("REPORT_SMTP_CA_FILE", "") == server.ca_file
            assert environ == {
                "REPORT_SMTP_HOST": "127.0.0.1",
                "REPORT_SMTP_PORT": str(server.port),
                "REPORT_SMTP_TRANSPORT": transport,
                "REPORT_SMTP_FROM": "alerts@example.org",
                "REPORT_SMTP_TO": "oncall@example.org",
                "REPORT_SMTP_USERNAME": "etl",
                "REPORT_SMTP_PASSWORD": "pässword",
            }

    def test_idle_clients_do_not_hold_up_the_end(self, transport: Transport) -> None:
        """A TLS server that closes in good manners waits half a minute for a client that says nothing."""
        with MailServer(transport) as server, client(server) as smtp:
            smtp.ehlo()
            server.stop()
            with pytest.raises(smtplib.SMTPServerDisconnected):
                smtp.noop()

    def test_a_silent_client_does_not_hold_up_the_end(self, transport: Transport) -> None:
        with MailServer(transport) as server:
            silent = socket.create_connection((server.host, server.port), 10)
            with silent, client(server) as smtp:
                smtp.noop()


class TestWithoutALogin:
    def test_none_is_offered_or_taken(self) -> None:
        with MailServer("none") as server, client(server) as smtp:
            smtp.ehlo()
            assert not smtp.has_extn("auth")
            assert smtp.docmd("AUTH", "PLAIN AGV0bABww6Rzc3dvcmQ=")[0] == 535

    def test_the_environment_names_no_user(self) -> None:
        with MailServer("none") as server:
            assert not {"SMTP_USERNAME", "SMTP_PASSWORD", "SMTP_CA_FILE"} & server.environ().keys()


class TestExtensions:
    def test_both_are_offered_by_default(self) -> None:
        with MailServer("none") as server, client(server) as smtp:
            smtp.ehlo()
            assert smtp.esmtp_features["size"] == "33554432"
            assert smtp.has_extn("smtputf8")

    @pytest.mark.parametrize("extensions", [[], ["SIZE"], ["SMTPUTF8"]])
    def test_only_those_that_are_named_are_offered(self, extensions: list[str]) -> None:
        with MailServer("none", extensions=extensions) as server, client(server) as smtp:
            smtp.ehlo()
            assert [name for name in ("SIZE", "SMTPUTF8") if smtp.has_extn(name)] == extensions

    def test_a_mail_larger_than_the_limit_is_refused_whether_it_was_announced_or_not(self) -> None:
        large = letter()
        large.set_content("x" * 60 + "\n" + ("y" * 60 + "\n") * 100)
        with MailServer("none", size_limit=3_000) as server:
            for server.extensions in (["SIZE"], []):
                with client(server) as smtp, pytest.raises(smtplib.SMTPResponseException) as refused:
                    smtp.send_message(large)
                assert refused.value.smtp_code == 552
            with client(server) as smtp:
                smtp.send_message(letter())
            assert len(server.mails) == 1


class TestTls:
    def test_starttls_is_required(self) -> None:
        with MailServer() as server, smtplib.SMTP(server.host, server.port, timeout=10) as smtp:
            smtp.ehlo()
            assert smtp.mail("a@example.org") == (530, b"Must issue a STARTTLS command first")

    @pytest.mark.parametrize("transport", ["starttls", "ssl"])
    def test_a_client_that_does_not_trust_the_ca_is_gone_and_the_next_is_served(
        self, transport: Transport, caplog: pytest.LogCaptureFixture
    ) -> None:
        with MailServer(transport) as server, MailServer(transport) as other:
            right, server.ca_file = server.ca_file, other.ca_file
            with pytest.raises(ssl.SSLCertVerificationError):
                client(server)
            server.ca_file = right
            with client(server) as smtp:
                smtp.send_message(letter())
            assert len(server.wait_for(1)) == 1
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

    def test_the_certificate_is_good_for_the_names_asked_for_only(self) -> None:
        with MailServer("ssl", names=["localhost"]) as server:
            client(server, "localhost").close()
            with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
                client(server)

    def test_the_ca_file_is_removed_at_the_end(self) -> None:
        with MailServer() as server:
            assert Path(server.ca_file).is_file()
        assert not Path(server.ca_file).parent.exists()


class TestRefusals:
    def test_a_refused_recipient_gets_its_reply_and_the_others_the_mail(self) -> None:
        with MailServer("none", refusals={"gone@example.org": "550 5.1.1 no such user"}) as server:
            with client(server) as smtp:
                refused = smtp.sendmail("a@example.org", ["b@example.org", "gone@example.org"], "hello")
            (mail,) = server.wait_for(1)
        assert refused == {"gone@example.org": (550, b"5.1.1 no such user")}
        assert mail.recipients == ("b@example.org",)

    def test_the_data_reply_decides_whether_a_mail_is_kept_and_may_change(self) -> None:
        with MailServer("none", data_reply="451 4.3.0 later") as server, client(server) as smtp:
            with pytest.raises(smtplib.SMTPDataError, match="later"):
                smtp.send_message(letter())
            assert server.mails == []
            server.data_reply = "250 2.0.0 now"
            smtp.send_message(letter())
            assert [mail.subject for mail in server.mails] == ["Quota"]


class TestWaiting:
    def test_waiting_in_vain_names_what_did_come(self) -> None:
        with MailServer("none") as server:
            with client(server) as smtp:
                smtp.send_message(letter("First"))
            with pytest.raises(TimeoutError, match=r"1 of 2 mails within 0.01 s: \['First'\]"):
                server.wait_for(2, timeout=0.01)

    def test_connections_are_told_apart(self) -> None:
        with MailServer("none") as server:
            for _ in range(2):
                with client(server) as smtp:
                    smtp.send_message(letter())
                    smtp.send_message(letter())
            assert [mail.connection for mail in server.wait_for(4)] == [1, 1, 2, 2]
            assert server.connections == 2


class TestOutage:
    def test_it_comes_back_on_the_same_port_with_its_mails(self) -> None:
        with MailServer() as server:
            with client(server) as smtp:
                smtp.send_message(letter("Before"))
            port = server.port
            server.stop()
            server.stop()
            with pytest.raises(ConnectionRefusedError):
                client(server)
            server.start()
            server.start()
            with client(server) as smtp:
                smtp.send_message(letter("After"))
            assert [mail.subject for mail in server.wait_for(2)] == ["Before", "After"]
            assert server.port == port

    def test_a_port_taken_meanwhile_is_an_error_that_leaves_nothing_open(self) -> None:
        with MailServer("none") as server:
            server.stop()
            with socket.create_server((server.host, server.port)), pytest.raises(OSError, match="in use"):
                server.start()
            server.start()
            client(server).close()
        gc.collect()


class TestMail:
    def test_parts_that_are_not_there_are_empty(self) -> None:
        with MailServer("none") as server, client(server) as smtp:
            smtp.sendmail("a@example.org", "b@example.org", b"Content-Type: image/png\r\n\r\n")
            (mail,) = server.wait_for(1)
        assert (mail.subject, mail.text, mail.html) == ("", "", "")

    def test_both_parts_of_an_alternative_are_at_hand(self) -> None:
        message = letter(text="plain\n")
        message.add_alternative("<p>rich</p>\n", subtype="html")
        with MailServer("none") as server, client(server) as smtp:
            smtp.send_message(message)
            (mail,) = server.wait_for(1)
        assert (mail.text, mail.html) == ("plain\n", "<p>rich</p>\n")


def test_a_fault_of_the_server_itself_is_a_451_that_names_it() -> None:
    with MailServer("none") as server, client(server) as smtp:
        server.refusals = None  # type: ignore[assignment]
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="AttributeError"):
            smtp.send_message(letter())
