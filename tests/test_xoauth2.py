"""Logging in by a token: shown as Google and Microsoft ask for it, had anew when it is refused, never given away."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from alertlog.access import FixedToken, OAuthClient, TokenCommand
from alertlog.clock import SystemClock
from alertlog.errors import DeadlineExceeded, ServerUnavailable, SessionRefused
from alertlog.login import LINE_LIMIT
from alertlog.settings import SmtpSettings
from alertlog.smtp import connect
from alertlog.testing import MailServer
from alertlog.tokens import Tokens
from tests.certificates import Authority
from tests.conversation import Conversation, HangUp
from tests.programs import Server, Site, address
from tests.servers import OFFERS_LOGIN, OFFERS_STARTTLS, Script, ScriptedServer
from tests.sessions import LETTER, TO, everything_of, settings_for
from tests.stories import RunningClock, Story
from tests.token_server import TokenServer, granted, refused
from tests.xoauth2 import USER, Xoauth2

CLOCK = SystemClock()
TOKEN = "ya29.a0AfB_byC-token"
OFFERS_XOAUTH2 = "250-x.example\n250 AUTH XOAUTH2"
LONG = "EwBIA8l6BAAU" + "x" * 2_000


def xoauth2(server: ScriptedServer, source: Any = FixedToken(TOKEN), **changes: Any) -> SmtpSettings:  # noqa: B008
    return settings_for(server, username=USER, auth="xoauth2", token_source=source, **changes)


def printing(folder: Path, *outputs: str) -> TokenCommand:
    """A command that prints one of these after the other, the last one again and again."""
    program = folder / "command.py"
    program.write_text(
        "import pathlib, sys\n"
        "count = pathlib.Path(sys.argv[1])\n"
        "number = int(count.read_text()) if count.exists() else 0\n"
        "count.write_text(str(number + 1))\n"
        "print(sys.argv[2:][min(number, len(sys.argv) - 3)])\n"
    )
    return TokenCommand((sys.executable, "-S", str(program), str(folder / "count"), *outputs))


def runs(folder: Path) -> int:
    return int((folder / "count").read_text())


@pytest.mark.parametrize(("token", "inline"), [(TOKEN, True), (LONG, False)])
def test_a_token_logs_in_with_the_command_or_where_that_would_be_too_long_when_it_is_asked_for(
    token: str, inline: bool
) -> None:
    login = Xoauth2(token)
    with ScriptedServer(login.script) as server:
        with connect(xoauth2(server, FixedToken(token)), CLOCK) as session:
            assert session.send(LETTER, TO).accepted == TO
        assert (login.shown, login.inline) == ([token], [inline])
        commands = [line for line in server.received.split(b"\r\n") if line.startswith(b"AUTH")]
        assert all(len(line) <= LINE_LIMIT for line in commands)


def test_a_token_logs_in_inside_tls(tmp_path: Path) -> None:
    authority, login = Authority(tmp_path), Xoauth2(TOKEN)
    with ScriptedServer(login.script, authority.server(), implicit=True) as server:
        settings = xoauth2(server, transport="ssl", ca_file=authority.ca_file)
        connect(settings, CLOCK).close()
    assert login.shown == [TOKEN]


def test_the_challenge_of_a_refusal_is_answered_with_an_empty_line_and_its_reason_is_told() -> None:
    login = Xoauth2()
    with ScriptedServer(login.script) as server:
        with pytest.raises(SessionRefused, match=r"535 5\.7\.8 not accepted .*https://mail\.google\.com/") as caught:
            connect(xoauth2(server), CLOCK)
        server.wait_for("end")
        assert server.received.endswith(b"\r\n\r\n")
    assert (caught.value.stage, caught.value.code) == ("auth", 535)
    assert len(login.shown) == 1, "a fixed token is shown once"
    assert TOKEN not in everything_of(caught.value)


@pytest.mark.parametrize("challenge", ["not base64!", "eyJz"])
def test_a_challenge_that_makes_no_sense_does_not_hide_the_refusal(challenge: str) -> None:
    def refuse(conversation: Conversation) -> None:
        conversation.reply(f"334 {challenge}")
        conversation.read_line()
        conversation.reply("535 5.7.3 unsuccessful")

    server = ScriptedServer({"EHLO": OFFERS_XOAUTH2, "AUTH": refuse})
    with server, pytest.raises(SessionRefused, match=r"535 5\.7\.3 unsuccessful"):
        connect(xoauth2(server), CLOCK)


def test_a_long_token_is_not_sent_to_a_server_that_does_not_ask_for_it() -> None:
    with ScriptedServer({"EHLO": OFFERS_XOAUTH2, "AUTH": "454 4.7.0 later"}) as server:
        with pytest.raises(ServerUnavailable, match="454"):
            connect(xoauth2(server, FixedToken(LONG)), CLOCK)
        assert LONG.encode()[:30] not in server.received


def test_a_token_that_the_server_repeats_is_in_no_part_of_the_error() -> None:
    def echo(conversation: Conversation) -> None:
        conversation.reply(f"535-5.7.8 {conversation.heard.decode()}\n535 and {TOKEN}")

    server = ScriptedServer({"EHLO": OFFERS_XOAUTH2, "AUTH": echo})
    with server, pytest.raises(SessionRefused, match=r"AUTH XOAUTH2 \[redacted\] and \[redacted\]") as caught:
        connect(xoauth2(server), CLOCK)
    assert TOKEN not in everything_of(caught.value)


def test_where_xoauth2_is_not_offered_no_other_way_is_tried_and_the_offer_is_told() -> None:
    with ScriptedServer({"EHLO": OFFERS_LOGIN}) as server:
        with pytest.raises(SessionRefused, match="no login by XOAUTH2; it offers PLAIN, LOGIN"):
            connect(xoauth2(server), CLOCK)
        server.wait_for("end")
        assert "AUTH" not in server.steps


@pytest.mark.parametrize("chosen", ["plain", "login", "cram-md5"])
def test_a_mechanism_that_is_chosen_is_the_only_one_that_is_tried(chosen: str) -> None:
    offer = {"EHLO": "250-x.example\n250 AUTH CRAM-MD5 LOGIN PLAIN", "AUTH": "504 5.5.4 not that one"}
    with ScriptedServer(offer) as server:
        with pytest.raises(SessionRefused, match="504"):
            connect(settings_for(server, username="ada", password="geheim", auth=chosen), CLOCK)
        server.wait_for("end")
        assert server.received.count(b"AUTH ") == 1
        assert f"AUTH {chosen.upper()}".encode() in server.received


# From a command


def test_a_command_is_run_once_for_as_long_as_its_token_is_good(tmp_path: Path) -> None:
    login, clock = Xoauth2("first", "second"), RunningClock()
    tokens = Tokens(clock)
    source = printing(tmp_path, '{"access_token": "first", "expires_in": 600}', "second")
    with ScriptedServer(login.script) as server:
        for after in (0.0, 0.0, 530.0, 20.0):
            clock.advance(after)
            connect(xoauth2(server, source), clock, tokens=tokens).close()
    assert login.shown == ["first", "first", "first", "second"]
    assert runs(tmp_path) == 2


def test_after_a_refusal_a_command_is_run_again_once_in_the_same_attempt(tmp_path: Path) -> None:
    login, learnt = Xoauth2("new"), list[str]()
    tokens = Tokens(CLOCK, learnt.append)
    with ScriptedServer(login.script) as server:
        connect(xoauth2(server, printing(tmp_path, "old", "new")), CLOCK, tokens=tokens).close()
        connect(xoauth2(server, printing(tmp_path, "old", "new")), CLOCK, tokens=tokens).close()
    assert login.shown == ["old", "new", "new"]
    assert learnt == ["old", "new"]


def test_a_command_whose_second_token_is_refused_too_is_not_run_a_third_time(tmp_path: Path) -> None:
    login, tokens = Xoauth2(), Tokens(CLOCK)
    source = printing(tmp_path, "one", "two", "three", "four")
    with ScriptedServer(login.script) as server:
        for expected in (["one", "two"], ["one", "two", "three", "four"]):
            with pytest.raises(SessionRefused, match="535"):
                connect(xoauth2(server, source), CLOCK, tokens=tokens)
            assert login.shown == expected, "a refused token is not shown again later"


@pytest.mark.parametrize("reply", ["454 4.7.0 try later", "504 5.5.4 no such mechanism"])
def test_what_is_no_refusal_of_a_token_does_not_run_the_command_again(tmp_path: Path, reply: str) -> None:
    with ScriptedServer({"EHLO": OFFERS_XOAUTH2, "AUTH": reply}) as server:
        with pytest.raises((ServerUnavailable, SessionRefused), match=reply[:3]):
            connect(xoauth2(server, printing(tmp_path, "one", "two")), CLOCK)
        assert server.connections == 1
    assert runs(tmp_path) == 1


def test_without_a_token_the_mail_server_is_not_even_reached(tmp_path: Path) -> None:
    with ScriptedServer() as server:
        with pytest.raises(SessionRefused, match="prints neither a token nor JSON") as caught:
            connect(xoauth2(server, printing(tmp_path, "")), CLOCK)
        assert server.connections == 0
    assert caught.value.stage == "token"


def test_a_command_that_hangs_is_bounded_by_the_deadline_of_the_attempt() -> None:
    hanging = TokenCommand((sys.executable, "-S", "-c", "import threading; threading.Event().wait()"))
    with ScriptedServer() as server, pytest.raises(DeadlineExceeded, match="did not end in time") as caught:
        connect(xoauth2(server, hanging, timeout=0.3), CLOCK)
    assert caught.value.stage == "token"


# From a token server


def client(server: TokenServer, **changes: str) -> OAuthClient:
    return OAuthClient(**{"url": server.url, "client_id": "etl", "client_secret": "s3cr3t-of-the-client", **changes})


def test_a_token_comes_from_a_token_server_and_is_used_until_it_expires() -> None:
    login, clock = Xoauth2("first", "second"), RunningClock()
    tokens = Tokens(clock)
    with TokenServer(granted("first"), granted("second")) as issuer, ScriptedServer(login.script) as server:
        for after in (0.0, 3_500.0, 50.0):
            clock.advance(after)
            connect(xoauth2(server, client(issuer)), clock, tokens=tokens).close()
        assert login.shown == ["first", "first", "second"]
        assert len(issuer.requests) == 2


def test_after_a_refusal_the_token_server_is_asked_again_once() -> None:
    login = Xoauth2("good")
    with TokenServer(granted("revoked"), granted("good")) as issuer, ScriptedServer(login.script) as server:
        connect(xoauth2(server, client(issuer)), CLOCK).close()
        assert login.shown == ["revoked", "good"]


def test_another_secret_of_the_client_asks_for_another_token() -> None:
    login, tokens = Xoauth2("first", "second"), Tokens(CLOCK)
    with TokenServer(granted("first"), granted("second")) as issuer, ScriptedServer(login.script) as server:
        connect(xoauth2(server, client(issuer)), CLOCK, tokens=tokens).close()
        connect(xoauth2(server, client(issuer, client_secret="rotated")), CLOCK, tokens=tokens).close()
        assert [form["client_secret"] for form in issuer.requests] == ["s3cr3t-of-the-client", "rotated"]
    assert login.shown == ["first", "second"]


# Through the courier


def story(place: Path, server: Server, **environ: str) -> Story:
    told = Story(place / "alerts.sqlite3", None, RunningClock())
    told.environ |= address(server) | {"SMTP_AUTH": "xoauth2", "SMTP_USERNAME": USER, **environ}
    return told


def test_a_token_file_that_is_rotated_is_read_at_the_next_connection(tmp_path: Path) -> None:
    file, login = tmp_path / "token", Xoauth2("first", "second")
    file.write_text("first\n")
    with ScriptedServer(login.script) as server:
        told = story(tmp_path, server, SMTP_TOKEN_FILE=str(file))
        told.alert("Disk a full")
        told.work()
        file.write_text("second\n")
        told.alert("Disk b full")
        told.work(1)
        assert login.shown == ["first", "second"]
        assert len(server.contents) == 2


def test_a_password_that_is_rotated_in_its_file_logs_in_at_the_next_connection(tmp_path: Path) -> None:
    file = tmp_path / "password"
    with MailServer("none", login=("etl", "the first")) as server:
        told = story(tmp_path, server, SMTP_AUTH="plain", SMTP_USERNAME="etl", SMTP_PASSWORD_FILE=str(file))
        for number, password in enumerate(("the first", "the second"), 1):
            file.write_text(password)
            server.login = ("etl", password)
            told.alert(f"Disk {password} full")
            told.work(1)
            assert len(server.mails) == number
    assert told.recorder.named("smtp_send_failed") == []


@pytest.mark.parametrize("rotated", ["second", ""])
def test_a_second_connection_of_a_round_reads_the_secret_anew(tmp_path: Path, rotated: str) -> None:
    """Where it can't be read just now, the one before it is shown, which may be good."""
    file, login = tmp_path / "token", Xoauth2("first", "second")
    file.write_text("first")

    def rotate(conversation: Conversation) -> None:
        file.write_text(rotated) if rotated else file.unlink()
        conversation.reply("250 ok")
        raise HangUp

    with ScriptedServer({**login.script, "dot": [rotate, "250 ok"]}) as server:
        told = story(tmp_path, server, SMTP_TOKEN_FILE=str(file))
        told.alert("Disk a full")
        told.alert("Disk b full")
        told.work()
        assert login.shown == ["first", rotated or "first"]
        assert len(server.contents) == 2


def test_a_token_that_was_refused_and_then_rotated_opens_the_gate_at_once(tmp_path: Path) -> None:
    file, login = tmp_path / "token", Xoauth2("second")
    file.write_text("first")
    with ScriptedServer(login.script) as server:
        told = story(tmp_path, server, SMTP_TOKEN_FILE=str(file))
        told.alert()
        told.work()
        told.work(1)
        assert (login.shown, server.contents) == (["first"], [])
        file.write_text("second")
        told.work(1)
        assert len(server.contents) == 1
    assert "first" not in repr(told.recorder.named("smtp_send_failed")[0].message)


def test_the_courier_keeps_a_token_over_its_rounds_and_learns_it(tmp_path: Path) -> None:
    login = Xoauth2("first")
    source = printing(tmp_path, "first", "second")
    with ScriptedServer(login.script) as server:
        told = story(tmp_path, server, SMTP_TOKEN_COMMAND=shlex.join(source.words))
        for disk in "ab":
            told.alert(f"Disk {disk} full")
            told.work(1)
        assert login.shown == ["first", "first"]
        assert told.learnt == ["first"]


def test_a_token_server_that_refuses_is_the_operators_to_repair_and_its_event_has_no_secret(tmp_path: Path) -> None:
    login, secret = Xoauth2(), "s3cr3t-of-the-client"
    problem = refused("invalid_client", f"AADSTS7000215: {secret} is not valid", 401)
    with TokenServer(problem) as issuer, ScriptedServer(login.script) as server:
        oauth = {"TOKEN_URL": issuer.url, "CLIENT_ID": "etl", "CLIENT_SECRET": secret}
        told = story(tmp_path, server, **{f"SMTP_OAUTH_{name}": value for name, value in oauth.items()})
        told.alert()
        told.work()
        told.work(600)
        assert len(issuer.requests) == 1
        assert server.connections == 0
    (failed,) = told.recorder.named("smtp_send_failed")
    assert (failed.fields["category"], failed.fields["stage"]) == ("refused", "token")
    assert "AADSTS7000215: [redacted] is not valid" in failed.message
    assert secret not in repr(told.recorder.events)


# Whole programs


def test_a_program_logs_in_by_client_credentials_over_starttls_and_nothing_that_it_writes_has_a_token(
    tmp_path: Path,
) -> None:
    authority, secret, old, token = Authority(tmp_path), "s3cr3t-of-the-client", "EwBYA8l6BAAU-revoked", LONG
    login = Xoauth2(token)
    script: Script = {**login.script, "EHLO": [OFFERS_STARTTLS, "250-x.example\n250 AUTH XOAUTH2"] * 3}
    issuer = TokenServer(granted(old), granted(token), tls=authority.server())
    with issuer, ScriptedServer(script, authority.server()) as server:
        site = Site(
            tmp_path,
            server,
            SMTP_TRANSPORT="starttls",
            SMTP_CA_FILE=authority.ca_file,
            SMTP_AUTH="xoauth2",
            SMTP_USERNAME=USER,
            SMTP_OAUTH_TOKEN_URL=issuer.url,
            SMTP_OAUTH_CLIENT_ID="etl",
            SMTP_OAUTH_CLIENT_SECRET=secret,
        )
        done = site.run(f"""\
            listen()
            log.critical("Disk full")
            logging.shutdown()
            log.critical("who sees %s or %s?", "{secret}", "{token}")
            """)
        (content, another) = server.contents
        assert login.shown == [old, token, token]
    assert done.status == 0
    assert [event["event"] for event in done.events if event["level"] != "INFO"] == []
    written = done.stderr + done.stdout + content.decode() + another.decode()
    assert [secret_one for secret_one in (secret, old, token) if secret_one in written] == []
    assert "who sees [redacted] or [redacted]?" in written
