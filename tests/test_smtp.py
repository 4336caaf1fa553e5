"""One SMTP session that goes well: the three transports, several letters, envelopes, receipts, the goodbye."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.clock import SystemClock
from alertlog.errors import DeadlineExceeded, LetterRejected, ServerUnavailable, SessionRefused
from alertlog.letter import Letter
from alertlog.settings import Transport
from alertlog.smtp import Peer, Receipt, Refusal, connect
from alertlog.testing import MailServer, ManualClock
from alertlog.wire import Address, BoundedSocket, Deadline, dial, ehlo_name, first_to_answer, is_loopback
from tests.servers import ScriptedServer, dead_port, swallowing_port
from tests.sessions import LETTER, SENDER, SETTINGS, TO, settings_for

CLOCK = SystemClock()
SMTPUTF8 = "250-scripted.example\n250-8BITMIME\n250 SMTPUTF8"


def deliver(server: ScriptedServer | MailServer, recipients: Sequence[str] = TO, letter: Letter = LETTER) -> Receipt:
    with connect(settings_for(server), CLOCK) as session:
        return session.send(letter, recipients)


def commands(server: ScriptedServer, verb: bytes) -> list[bytes]:
    server.wait_for("end")
    return [line for line in server.received.split(b"\r\n") if line.startswith(verb)]


@pytest.mark.parametrize("transport", ["none", "starttls", "ssl"])
def test_each_transport_delivers_with_and_without_encryption_as_it_says(transport: Transport) -> None:
    with MailServer(transport, login=("ada", "geheim")) as server:
        settings = settings_for(server, transport=transport, ca_file=server.ca_file, username="ada", password="geheim")
        with connect(settings, CLOCK) as session:
            receipt = session.send(LETTER, TO)
            peer = session.peer
        (mail,) = server.wait_for(1)

    assert receipt == Receipt(LETTER.message_id, TO, (), "250 2.0.0 accepted")
    assert (mail.sender, mail.recipients, mail.login) == (SENDER, TO, "ada")
    assert mail.content == LETTER.content
    assert mail.tls == (transport != "none")
    assert (peer.host, peer.port, peer.address, peer.transport) == (
        server.host,
        server.port,
        "127.0.0.1",
        transport,
    )
    assert peer.tls == ("" if transport == "none" else "TLSv1.3")


def test_the_peer_tells_its_greeting_and_what_it_offers() -> None:
    with ScriptedServer() as server, connect(settings_for(server), CLOCK) as session:
        assert session.peer == Peer(
            server.host,
            server.port,
            "127.0.0.1",
            "none",
            "",
            "scripted.example ESMTP",
            ("SIZE 10000000", "8BITMIME"),
        )
        assert session.peer.size_limit == 10_000_000


@pytest.mark.parametrize("offer", ["SIZE", "SIZE 0", "SIZE many", "SIZE " + "9" * 5_000, "8BITMIME"])
def test_a_server_that_names_no_sensible_size_takes_any_letter(offer: str) -> None:
    server = ScriptedServer({"EHLO": f"250-scripted.example\n250 {offer}"})
    with server, connect(settings_for(server), CLOCK) as session:
        assert session.peer.size_limit == 0
        assert session.send(LETTER, TO).accepted == TO


def test_several_letters_go_over_one_connection() -> None:
    with MailServer("none") as server:
        with connect(settings_for(server), CLOCK) as session:
            for number in range(3):
                session.send(Letter(f"<{number}@example.org>", SENDER, LETTER.content), TO)
                assert session.usable
        mails = server.wait_for(3)
    assert [mail.connection for mail in mails] == [1, 1, 1]


def test_one_refused_recipient_does_not_keep_the_mail_from_the_other() -> None:
    with MailServer("none", refusals={TO[0]: "550 5.1.1 no such user"}) as server:
        receipt = deliver(server)
        (mail,) = server.wait_for(1)
    assert mail.recipients == TO[1:]
    assert receipt.accepted == TO[1:]
    assert receipt.refused == (Refusal(TO[0], 550, "5.1.1 no such user"),)
    assert not receipt.refused[0].temporary


def test_a_recipient_put_off_is_temporary_and_the_other_gets_the_mail() -> None:
    with MailServer("none", refusals={TO[1]: "451 4.7.1 greylisted"}) as server:
        receipt = deliver(server)
    assert receipt.accepted == TO[:1]
    assert receipt.refused == (Refusal(TO[1], 451, "4.7.1 greylisted"),)
    assert receipt.refused[0].temporary


@pytest.mark.parametrize("code", [250, 251, 252])
def test_any_2xx_to_a_recipient_means_that_it_was_taken(code: int) -> None:
    with ScriptedServer({"RCPT": f"{code} fine"}) as server:
        assert deliver(server).accepted == TO


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org\nRCPT TO:<eve@example.org>",
        "ada@example.org\x00",
        "ada @example.org",
        "ada@example.org\u2028",
        "ada\u00a0b@example.org",
        "ada@example.org> SIZE=1 <x",
        "ada\udce9@example.org",
        "ada\x85@example.org",
        "ada",
        "@example.org",
        "ada@",
        "ada@eve@example.org>",
        "",
        "a" * 250 + "@example.org",
    ],
)
def test_an_address_that_cannot_be_sent_is_refused_whole_and_the_others_get_the_mail(address: str) -> None:
    with ScriptedServer() as server:
        receipt = deliver(server, [address, *TO])
        assert commands(server, b"RCPT") == [b"RCPT TO:<%s>" % name.encode() for name in TO]
    assert receipt.accepted == TO
    assert [(refusal.address, refusal.code) for refusal in receipt.refused] == [(address, 553)]


@given(address=st.text(st.characters(), max_size=30))
def test_no_recipient_ends_its_own_command(address: str) -> None:
    with ScriptedServer({"EHLO": SMTPUTF8}) as server:
        receipt = deliver(server, [address, TO[0]])
        sent = commands(server, b"RCPT")
    assert len(sent) == len(receipt.accepted)
    assert sent[0] == b"RCPT TO:<%s>" % receipt.accepted[0].encode()


def test_a_non_ascii_recipient_is_refused_here_where_the_server_lacks_smtputf8() -> None:
    with ScriptedServer() as server:
        receipt = deliver(server, ["zoë@example.org", TO[0]])
        assert b"SMTPUTF8" not in commands(server, b"MAIL")[0]
    (refusal,) = receipt.refused
    assert (refusal.address, refusal.code, refusal.temporary) == ("zoë@example.org", 553, False)
    assert "SMTPUTF8" in refusal.text
    assert receipt.accepted == TO[:1]


def test_a_non_ascii_recipient_is_sent_in_utf_8_where_the_server_offers_smtputf8() -> None:
    with ScriptedServer({"EHLO": SMTPUTF8}) as server:
        receipt = deliver(server, ["zoë@example.org", TO[0]])
        assert commands(server, b"MAIL") == [b"MAIL FROM:<etl@example.org> SMTPUTF8"]
        assert commands(server, b"RCPT")[0] == "RCPT TO:<zoë@example.org>".encode()
    assert receipt.accepted == ("zoë@example.org", TO[0])


def test_smtputf8_and_size_are_not_asked_for_where_not_needed_or_not_offered() -> None:
    with ScriptedServer({"EHLO": SMTPUTF8}) as server:
        deliver(server)
        assert commands(server, b"MAIL") == [b"MAIL FROM:<etl@example.org>"]
    with ScriptedServer() as server:
        deliver(server)
        assert commands(server, b"MAIL") == [b"MAIL FROM:<etl@example.org> SIZE=%d" % len(LETTER.content)]


@pytest.mark.parametrize("sender", ["etl@example.org>\r\nRSET", "", "zoë@example.org"])
def test_a_sender_that_cannot_be_sent_is_the_operators_to_repair(sender: str) -> None:
    with ScriptedServer() as server:
        with connect(settings_for(server), CLOCK) as session:
            with pytest.raises(SessionRefused, match="sender") as caught:
                session.send(Letter("<1@example.org>", sender, b"x\r\n"), TO)
            assert session.usable
        assert commands(server, b"MAIL") == []
    assert caught.value.stage == "mail"


def test_a_letter_larger_than_the_server_takes_is_rejected_without_asking_it() -> None:
    with ScriptedServer({"EHLO": "250-scripted.example\n250 SIZE 20"}) as server:
        with connect(settings_for(server), CLOCK) as session:
            with pytest.raises(LetterRejected, match="20") as caught:
                session.send(LETTER, TO)
            assert session.usable
        assert commands(server, b"MAIL") == []
    assert (caught.value.stage, caught.value.code) == ("mail", 552)


@pytest.mark.parametrize(
    ("content", "on_the_wire"),
    [
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb"),
        (b".\r\n..\r\n", b"..\r\n..."),
        (b"a\n.\nMAIL FROM:<eve@example.org>\n", b"a\r\n..\r\nMAIL FROM:<eve@example.org>"),
        (b"a\r.\rb", b"a\r\n..\r\nb"),
        (b"a\r\r\n.\r\n", b"a\r\n\r\n.."),
        (b"no line end", b"no line end"),
        (b"", b""),
    ],
)
def test_no_content_can_end_itself_early(content: bytes, on_the_wire: bytes) -> None:
    with ScriptedServer() as server:
        deliver(server, letter=Letter("<1@example.org>", SENDER, content))
        server.wait_for("end")
        assert server.contents == [on_the_wire]
        assert server.steps.count("MAIL") == 1


def test_the_reply_in_the_receipt_is_one_line_of_printable_text_of_bounded_length() -> None:
    with ScriptedServer({"dot": "250-2.0.0 ok\x1b[2J\u202e\n250 " + "x" * 5_000}) as server:
        reply = deliver(server).reply
    assert reply.startswith("250 2.0.0 ok [2J x")
    assert reply.isprintable()
    assert len(reply) < 400


def test_quit_is_said_and_its_answer_is_not_waited_for() -> None:
    with ScriptedServer({"QUIT": lambda conversation: conversation.wait(20)}) as server:
        clock = ManualClock()
        session = connect(settings_for(server), clock)
        session.close()
        server.wait_for("QUIT")
        assert not session.usable
        session.close()
        assert server.steps.count("QUIT") == 1


def test_a_closed_session_sends_nothing_more() -> None:
    with ScriptedServer() as server:
        session = connect(settings_for(server), CLOCK)
        session.close()
        with pytest.raises(ServerUnavailable):
            session.send(LETTER, TO)
        server.wait_for("end")
        assert "MAIL" not in server.steps


def test_a_letter_without_recipients_goes_nowhere() -> None:
    with ScriptedServer() as server, connect(settings_for(server), CLOCK) as session:
        with pytest.raises(SessionRefused, match="no recipient") as caught:
            session.send(LETTER, [])
        assert (caught.value.stage, caught.value.code) == ("rcpt", None)
        assert session.send(LETTER, TO).accepted == TO


@pytest.mark.parametrize(
    "changes",
    [
        {"host": ""},
        {"host": "x" * 300},
        {"host": "x." * 150},
        {"host": "mail example.org"},
        {"host": "mail.example.org\r\nEHLO"},
        {"host": "mail\0.example.org"},
        {"host": ".example.org"},
        {"port": 0},
        {"port": -1},
        {"port": 65_536},
        {"timeout": 0.0},
        {"timeout": -1.0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
    ],
)
def test_settings_that_the_system_would_misread_are_refused(changes: dict[str, Any]) -> None:
    with ScriptedServer() as server:
        with pytest.raises(SessionRefused) as caught:
            connect(settings_for(server, **changes), CLOCK)
        assert server.connections == 0
    assert caught.value.stage == "connect"


def test_port_65536_plus_n_does_not_reach_port_n() -> None:
    with ScriptedServer() as server:
        with pytest.raises(SessionRefused):
            connect(settings_for(server, port=server.port + 65_536), CLOCK)
        assert server.connections == 0


def test_a_port_where_nobody_listens_is_a_server_that_may_come_back() -> None:
    with dead_port() as port, pytest.raises(ServerUnavailable, match=f"127.0.0.1:{port}.*refused") as caught:
        connect(replace(SETTINGS, port=port), CLOCK)
    assert caught.value.stage == "connect"


def test_a_name_that_nobody_knows_is_a_server_that_may_come_back() -> None:
    with pytest.raises(ServerUnavailable) as caught:
        connect(replace(SETTINGS, host="no-such-host.invalid"), CLOCK)
    assert caught.value.stage == "connect"


def address_of(port: int) -> Address:
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))


def test_of_several_addresses_the_first_that_answers_is_taken() -> None:
    with dead_port() as dead, ScriptedServer() as server:
        addresses = [address_of(dead), address_of(server.port), address_of(dead)]
        with first_to_answer(addresses, Deadline(CLOCK, 10)) as sock:
            assert sock.getpeername()[1] == server.port


def test_an_address_that_swallows_packets_leaves_time_for_the_others() -> None:
    with swallowing_port() as silent, ScriptedServer() as server:
        sock = first_to_answer([address_of(silent), address_of(server.port)], Deadline(CLOCK, 2))
        assert sock.getpeername()[1] == server.port
        sock.close()


def test_addresses_that_all_swallow_packets_use_up_the_time_together() -> None:
    with swallowing_port() as silent:
        begun = CLOCK.monotonic()
        with pytest.raises(TimeoutError):
            first_to_answer([address_of(silent)] * 4, Deadline(CLOCK, 0.8))
        assert 0.7 < CLOCK.monotonic() - begun < 10


def test_a_server_that_cannot_be_reached_in_time_is_named() -> None:
    with (
        swallowing_port() as silent,
        pytest.raises(DeadlineExceeded, match="the attempt to connect") as caught,
    ):
        connect(replace(SETTINGS, port=silent, timeout=0.3), CLOCK)
    assert caught.value.stage == "connect"


def test_the_time_that_a_name_took_to_resolve_counts() -> None:
    clock = ManualClock()
    deadline = Deadline(clock, 10)
    clock.advance(10)
    with ScriptedServer() as server:
        with pytest.raises(TimeoutError):
            dial("localhost", server.port, deadline)
        assert server.connections == 0


def test_a_session_can_be_dialled_by_other_means() -> None:
    with ScriptedServer() as server:

        def relay(_host: str, _port: int, deadline: Deadline) -> BoundedSocket:
            return dial(server.host, server.port, deadline)

        with connect(settings_for(server, host="mail.example.org", port=25), CLOCK, dial=relay) as session:
            assert session.peer.host == "mail.example.org"


def test_ehlo_names_a_host_that_others_can_understand() -> None:
    with ScriptedServer() as server:
        deliver(server)
        (command,) = commands(server, b"ehlo")
    assert command.decode() == f"ehlo {ehlo_name(socket.gethostname(), '127.0.0.1')}"


@pytest.mark.parametrize(
    ("host_name", "address", "introduced_as"),
    [
        ("etl.example.org", "192.0.2.1", "etl.example.org"),
        ("0f3c9a1b", "172.17.0.2", "[172.17.0.2]"),
        ("localhost.localdomain", "192.0.2.1", "[192.0.2.1]"),
        ("host", "fe80::1%eth0", "[IPv6:fe80::1]"),
        ("bad name.example.org", "192.0.2.1", "[192.0.2.1]"),
        ("bäd.example.org", "192.0.2.1", "[192.0.2.1]"),
        ("under_score.example.org", "192.0.2.1", "[192.0.2.1]"),
    ],
)
def test_a_machine_without_a_full_name_introduces_itself_by_address(
    host_name: str, address: str, introduced_as: str
) -> None:
    assert ehlo_name(host_name, address) == introduced_as


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_a_loopback_address_is_known_in_every_form(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "::", "0.0.0.0", "::ffff:10.0.0.1", "fe80::1%eth0"])
def test_other_addresses_are_not_a_loopback(address: str) -> None:
    assert not is_loopback(address)
