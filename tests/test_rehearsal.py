"""A look at the server without a letter: it goes the way of a letter, tells of each step, and leaves nothing behind."""

from __future__ import annotations

import ssl

import pytest

from alertlog.clock import SystemClock
from alertlog.errors import DeadlineExceeded, LetterRejected, ServerUnavailable, SessionRefused
from alertlog.opening import Peer
from alertlog.receipts import Refusal
from alertlog.settings import Transport
from alertlog.smtp import connect
from tests.behaviours import Script, drop, silence
from tests.certificates import Authority
from tests.servers import OFFERS_STARTTLS, ScriptedServer
from tests.sessions import LETTER, SENDER, TO, settings_for

CLOCK = SystemClock()
OFFERS_LOGIN = "250-scripted.example\n250-SIZE 10000\n250 AUTH PLAIN"


class Seen:
    """All that is told on the way."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, Peer]] = []
        self.answers: list[tuple[str, Refusal | None]] = []

    def step(self, name: str, peer: Peer) -> None:
        self.steps.append((name, peer))

    def answer(self, address: str, refusal: Refusal | None) -> None:
        self.answers.append((address, refusal))

    @property
    def names(self) -> list[str]:
        return [name for name, _peer in self.steps]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize(
    ("transport", "steps"),
    [
        ("starttls", ["greeting", "ehlo", "tls", "ehlo", "auth"]),
        ("ssl", ["tls", "greeting", "ehlo", "auth"]),
    ],
)
def test_each_step_of_the_way_is_told_with_what_is_known_by_then(
    authority: Authority, transport: Transport, steps: list[str]
) -> None:
    script: Script = {"EHLO": [OFFERS_STARTTLS, OFFERS_LOGIN] if transport == "starttls" else OFFERS_LOGIN}
    seen = Seen()
    with ScriptedServer(script, authority.server(), implicit=transport == "ssl") as server:
        settings = settings_for(
            server, transport=transport, ca_file=authority.ca_file, username="ada", password="a secret"
        )
        with connect(settings, CLOCK, watch=seen.step) as session:
            peer = session.peer
    assert seen.names == steps
    known = dict(seen.steps)
    assert known["greeting"].greeting == "scripted.example ESMTP"
    assert known["ehlo"].capabilities == ("SIZE 10000", "AUTH PLAIN")
    assert (known["tls"].tls, known["tls"].transport) == ("TLSv1.3", transport)
    assert known["tls"].cipher.startswith("TLS_")
    assert ssl.DER_cert_to_PEM_cert(known["tls"].certificate).startswith("-----BEGIN CERTIFICATE-----")
    assert known["tls"].login == ""
    assert known["auth"] == peer
    assert peer.login == "PLAIN"
    assert "certificate" not in repr(peer)


def test_a_rehearsal_asks_for_sender_and_recipients_and_takes_them_back() -> None:
    seen = Seen()
    with ScriptedServer({"RCPT": ["250 ok", "550 5.1.1 no such user", "250 ok"]}) as server:
        with connect(settings_for(server), CLOCK, watch=seen.step) as session:
            session.rehearse(SENDER, TO, 50_000, seen.answer)
            assert session.send(LETTER, TO[:1]).accepted == TO[:1]
        server.wait_for("end")
        verbs = server.steps
        assert b"SIZE=50000" in server.received
    assert seen.names == ["greeting", "ehlo"]
    assert seen.answers == [(SENDER, None), (TO[0], None), (TO[1], Refusal(TO[1], 550, "5.1.1 no such user"))]
    assert verbs[2:6] == ["MAIL", "RCPT", "RCPT", "RSET"]
    assert verbs.count("DATA") == 1


def test_a_server_that_takes_no_letter_of_that_size_is_not_asked() -> None:
    seen = Seen()
    with ScriptedServer() as server:
        with connect(settings_for(server), CLOCK) as session, pytest.raises(LetterRejected, match="takes 10,000,000"):
            session.rehearse(SENDER, TO, 10_000_001, seen.answer)
        server.wait_for("end")
        assert "MAIL" not in server.steps
    assert seen.answers == []


@pytest.mark.parametrize(
    ("script", "kind", "told"),
    [
        ({"MAIL": "550 5.7.1 not you"}, SessionRefused, 0),
        ({"MAIL": "451 4.3.0 later"}, ServerUnavailable, 0),
        ({"RCPT": drop}, ServerUnavailable, 1),
        ({"RCPT": silence}, DeadlineExceeded, 1),
        ({"RSET": "500 5.5.1 what"}, ServerUnavailable, 3),
    ],
)
def test_a_rehearsal_fails_as_a_letter_would(script: Script, kind: type[Exception], told: int) -> None:
    seen = Seen()
    with ScriptedServer(script) as server:
        settings = settings_for(server, timeout=0.3 if script.get("RCPT") is silence else 10.0)
        with connect(settings, CLOCK) as session, pytest.raises(kind):
            session.rehearse(SENDER, TO, 1_000, seen.answer)
    assert len(seen.answers) == told
