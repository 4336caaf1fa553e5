"""Real servers: Postfix and Exim take a letter over STARTTLS with a login, and deliver it as it was written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from alertlog.alert import Alert, Incident
from alertlog.clock import SystemClock
from alertlog.draft import Draft
from alertlog.errors import SessionRefused
from alertlog.letter import Letter, Wording, compose
from alertlog.settings import Mailbox, SmtpSettings, read_smtp
from alertlog.smtp import connect
from tests.real_server import RealServer

MESSAGE = "Quota épuisé : 100 of 100 calls used\n.a line that begins with a dot\n<b>no markup</b>"


@pytest.fixture(params=["postfix", "exim"])
def server(request: pytest.FixtureRequest) -> RealServer:
    found: RealServer = request.getfixturevalue(request.param)
    return found


def settings_for(server: RealServer, mailboxes: tuple[str, ...] = ("operator",)) -> SmtpSettings:
    return read_smtp(
        {
            "SMTP_HOST": server.host,
            "SMTP_PORT": str(server.port),
            "SMTP_TRANSPORT": "starttls",
            "SMTP_USERNAME": server.username,
            "SMTP_PASSWORD": server.password,
            "SMTP_CA_FILE": server.ca_file,
            "SMTP_FROM": "Portfolio ETL <etl@pipeline.example>",
            "SMTP_TO": ", ".join(map(server.address, mailboxes)),
        }
    )


def letter_to(recipients: tuple[Mailbox, ...], message_id: str) -> Letter:
    alert = Alert("00c0ffee00c0ffee", "quota", 50, "CRITICAL", "portfolio_etl", MESSAGE, created=1_767_225_600.0)
    incident = Incident(1, alert.fingerprint, "quota", 50, "CRITICAL", 1e9, 1e9, 1, 0, 0, "", alert)
    draft = Draft(message_id, alert.created, "opening", (incident,))
    wording = Wording("portfolio-etl", "[{service}] {summary}", {"quota": "[ETL] API quota alert"}, "en")
    return compose(draft, wording, Mailbox("etl@pipeline.example", "Portfolio ETL"), recipients)


def test_a_letter_arrives_in_the_mailbox_as_it_was_written(server: RealServer) -> None:
    settings = settings_for(server)
    message_id = "<arrives@pipeline.example>"
    letter = letter_to(settings.recipients, message_id)

    with connect(settings, SystemClock()) as session:
        receipt = session.send(letter, [server.address("operator")])

    assert receipt.message_id == message_id
    assert receipt.accepted == (server.address("operator"),)
    assert receipt.refused == ()
    assert receipt.reply.startswith("250") or "queued as" in receipt.reply
    mail = server.wait_for("operator", message_id)
    assert mail["Subject"] == "[ETL] API quota alert"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Alertlog-Kind"] == "quota"
    assert mail["X-Alertlog-Fingerprint"] == "00c0ffee00c0ffee"
    assert mail["Return-Path"] == "<etl@pipeline.example>"
    assert "ESMTPSA" in mail["Received"].upper(), "neither TLS nor the login may be missing"
    text = mail.get_body(("plain",))
    assert text is not None
    assert MESSAGE in text.get_content().replace("\r\n", "\n")


def test_several_letters_go_over_one_connection(server: RealServer) -> None:
    settings = settings_for(server)
    wanted = [f"<one-of-{number}@pipeline.example>" for number in range(3)]

    with connect(settings, SystemClock()) as session:
        for message_id in wanted:
            session.send(letter_to(settings.recipients, message_id), [server.address("operator")])

    for message_id in wanted:
        server.wait_for("operator", message_id)


def test_an_unknown_recipient_is_named_and_the_other_gets_the_mail(server: RealServer) -> None:
    settings = settings_for(server, ("nobody-here", "second"))
    message_id = "<partly@pipeline.example>"

    with connect(settings, SystemClock()) as session:
        receipt = session.send(
            letter_to(settings.recipients, message_id),
            [server.address("nobody-here"), server.address("second")],
        )

    assert receipt.accepted == (server.address("second"),)
    (refusal,) = receipt.refused
    assert (refusal.address, refusal.code) == (server.address("nobody-here"), 550)
    assert not refusal.temporary
    server.wait_for("second", message_id)


def test_a_wrong_password_is_refused_and_not_repeated_in_the_error(server: RealServer) -> None:
    settings = replace(settings_for(server), password="not the password")

    with pytest.raises(SessionRefused) as caught, connect(settings, SystemClock()):
        pass

    assert caught.value.code == 535
    assert caught.value.category == "refused"
    assert "not the password" not in str(caught.value)


def test_nothing_is_said_to_a_server_whose_certificate_another_authority_signed(
    server: RealServer, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(str(stranger))
    settings = replace(settings_for(server), ca_file=str(stranger))

    with pytest.raises(SessionRefused) as caught, connect(settings, SystemClock()):
        pass

    assert caught.value.category == "refused"
    assert caught.value.code is None
