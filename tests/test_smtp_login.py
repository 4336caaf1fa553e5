"""Logging in: only where it is safe, in any characters, and no error gives the password away."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.clock import SystemClock
from alertlog.errors import DeliveryError, ServerUnavailable, SessionRefused
from alertlog.login import Credentials
from alertlog.smtp import Refusal, connect
from alertlog.testing import MailServer
from alertlog.wire import BoundedSocket, Deadline, dial
from tests.behaviours import Script, Step, dialogue
from tests.certificates import Authority
from tests.conversation import Conversation
from tests.servers import OFFERS_LOGIN, ScriptedServer
from tests.sessions import LETTER, PASSWORD, TO, everything_of, settings_for

CLOCK = SystemClock()
USER = "zoë@example.org"
CREDENTIALS = {"username": USER, "password": PASSWORD}


def offers(*mechanisms: str) -> str:
    return f"250-scripted.example\n250 AUTH {' '.join(mechanisms)}"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def auth_lines(server: ScriptedServer) -> list[bytes]:
    server.wait_for("end")
    return [line for line in server.received.split(b"\r\n") if line.startswith(b"AUTH")]


class Distant(BoundedSocket):
    """A connection to the test's server that seems to come from far away."""

    def getpeername(self) -> tuple[str, int]:
        return ("192.0.2.7", 25)


def dial_distant(host: str, port: int, deadline: Deadline) -> BoundedSocket:
    near = dial(host, port, deadline)
    distant = Distant(near.family, near.type, near.proto, near.detach())
    distant.deadline = deadline
    return distant


@pytest.mark.parametrize("password", ["geheim", PASSWORD, "пароль", "🔑" * 20, "\x01\x7f", " "])
def test_a_password_in_any_characters_logs_in(password: str) -> None:
    with MailServer("none", login=(USER, password)) as server:
        with connect(settings_for(server, username=USER, password=password), CLOCK) as session:
            session.send(LETTER, TO)
        (mail,) = server.wait_for(1)
    assert mail.login == USER


def test_a_password_that_is_not_utf_8_in_the_environment_is_sent_as_the_same_bytes() -> None:
    with ScriptedServer({"EHLO": offers("PLAIN")}) as server:
        connect(settings_for(server, username="ada", password="b\udcffse"), CLOCK).close()
        assert auth_lines(server) == [b"AUTH PLAIN " + base64.b64encode(b"\0ada\0b\xffse")]


def test_login_sends_name_and_password_when_each_is_asked_for() -> None:
    challenges = dialogue("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0 welcome")
    with ScriptedServer({"EHLO": offers("LOGIN"), "AUTH": challenges}) as server:
        connect(settings_for(server, **CREDENTIALS), CLOCK).close()
        server.wait_for("end")
        expected = f"AUTH LOGIN\r\n{encoded(USER)}\r\n{encoded(PASSWORD)}\r\nQUIT\r\n"
        assert server.received.endswith(expected.encode())


def test_cram_md5_answers_the_challenge_without_the_password() -> None:
    challenge = "<1896.697170952@scripted.example>"
    answers = dialogue(f"334 {encoded(challenge)}", "235 2.7.0 welcome")
    with ScriptedServer({"EHLO": offers("CRAM-MD5"), "AUTH": answers}) as server:
        connect(settings_for(server, **CREDENTIALS), CLOCK).close()
        server.wait_for("end")
        digest = hmac.new(PASSWORD.encode(), challenge.encode(), hashlib.md5).hexdigest()
        assert encoded(f"{USER} {digest}").encode() in server.received.split(b"\r\n")


def test_inside_tls_the_simplest_mechanism_comes_first(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    script = {"EHLO": offers("CRAM-MD5", "LOGIN", "PLAIN")}
    with ScriptedServer(script, authority.server(), implicit=True) as server:
        settings = settings_for(server, transport="ssl", ca_file=authority.ca_file, **CREDENTIALS)
        connect(settings, CLOCK).close()
        assert auth_lines(server)[0].startswith(b"AUTH PLAIN ")


def test_in_the_clear_the_mechanism_that_hides_the_password_comes_first() -> None:
    script: Script = {"EHLO": offers("PLAIN", "LOGIN", "CRAM-MD5"), "AUTH": dialogue("334 ", "235 welcome")}
    with ScriptedServer(script) as server:
        connect(settings_for(server, **CREDENTIALS), CLOCK).close()
        assert auth_lines(server) == [b"AUTH CRAM-MD5"]


@pytest.mark.parametrize("code", [504, 534, 538])
def test_a_mechanism_that_the_server_does_not_have_after_all_gives_way_to_the_next(code: int) -> None:
    script = {"EHLO": offers("LOGIN", "PLAIN"), "AUTH": [f"{code} not this one", "235 welcome"]}
    with ScriptedServer(script) as server:
        # In the clear and without CRAM-MD5, PLAIN comes before LOGIN.
        connect(settings_for(server, username="ada", password="geheim"), CLOCK, dial).close()
        assert [line.split()[1] for line in auth_lines(server)] == [b"PLAIN", b"LOGIN"]


def test_a_refused_password_is_tried_once_only() -> None:
    with ScriptedServer({"EHLO": OFFERS_LOGIN, "AUTH": "535 5.7.8 no"}) as server:
        with pytest.raises(SessionRefused, match=r"535 5\.7\.8 no") as caught:
            connect(settings_for(server, **CREDENTIALS), CLOCK)
        assert len(auth_lines(server)) == 1
        assert "QUIT" not in server.steps
    assert (caught.value.stage, caught.value.code, caught.value.category) == ("auth", 535, "refused")


def test_a_login_that_is_refused_for_now_may_work_later() -> None:
    with ScriptedServer({"EHLO": OFFERS_LOGIN, "AUTH": "454 4.7.0 try later"}) as server:
        with pytest.raises(ServerUnavailable) as caught:
            connect(settings_for(server, **CREDENTIALS), CLOCK)
        server.wait_for("end")
    assert (caught.value.stage, caught.value.code) == ("auth", 454)


def test_an_endless_dialogue_is_no_login() -> None:
    server = ScriptedServer({"EHLO": OFFERS_LOGIN, "AUTH": "334 tell me more"})
    with server, pytest.raises(ServerUnavailable) as caught:
        connect(settings_for(server, **CREDENTIALS), CLOCK)
    assert (caught.value.stage, caught.value.code) == ("auth", 334)


@pytest.mark.parametrize("offer", ["250 scripted.example", offers("XOAUTH2"), offers("PLAINER")])
def test_nothing_is_sent_unauthenticated_where_a_login_is_configured_but_not_offered(offer: str) -> None:
    with ScriptedServer({"EHLO": offer}) as server:
        with pytest.raises(SessionRefused, match="PLAIN, LOGIN") as caught:
            connect(settings_for(server, **CREDENTIALS), CLOCK)
        server.wait_for("end")
        assert server.steps == ["greeting", "EHLO", "end"]
    assert caught.value.stage == "auth"


def test_the_old_way_to_offer_a_login_is_understood() -> None:
    with ScriptedServer({"EHLO": "250-scripted.example\n250 AUTH=PLAIN"}) as server:
        connect(settings_for(server, **CREDENTIALS), CLOCK).close()
        assert len(auth_lines(server)) == 1


def test_without_credentials_no_login_is_tried() -> None:
    with ScriptedServer({"EHLO": OFFERS_LOGIN}) as server:
        connect(settings_for(server), CLOCK).close()
        assert auth_lines(server) == []


def test_no_credentials_go_in_the_clear_to_another_machine() -> None:
    with ScriptedServer({"EHLO": OFFERS_LOGIN}) as server:
        with pytest.raises(SessionRefused, match="without TLS") as caught:
            connect(settings_for(server, **CREDENTIALS), CLOCK, dial=dial_distant)
        server.wait_for("end")
        assert auth_lines(server) == []
        assert USER.encode() not in server.received
    assert caught.value.stage == "auth"


def test_credentials_go_in_the_clear_to_another_machine_where_the_deployer_allows_it() -> None:
    with ScriptedServer({"EHLO": OFFERS_LOGIN}) as server:
        settings = settings_for(server, insecure_login=True, **CREDENTIALS)
        connect(settings, CLOCK, dial=dial_distant).close()
        assert len(auth_lines(server)) == 1


def test_mail_without_a_login_goes_in_the_clear_to_another_machine() -> None:
    with ScriptedServer() as server, connect(settings_for(server), CLOCK, dial=dial_distant) as session:
        assert session.send(LETTER, TO).accepted == TO


@pytest.mark.parametrize("wrong", ["ge\0heim", "\ud800heim"])
@pytest.mark.parametrize("where", ["username", "password"])
def test_credentials_that_cannot_be_sent_are_refused_without_showing_them(where: str, wrong: str) -> None:
    with ScriptedServer({"EHLO": OFFERS_LOGIN}) as server:
        with pytest.raises(SessionRefused) as caught:
            connect(settings_for(server, **{**CREDENTIALS, where: wrong}), CLOCK)
        assert auth_lines(server) == []
    assert "heim" not in str(caught.value)
    assert where == "username" or "heim" not in everything_of(caught.value)


def test_a_challenge_that_makes_no_sense_is_the_operators_to_repair() -> None:
    script: Script = {"EHLO": offers("CRAM-MD5"), "AUTH": dialogue("334 A", "235 welcome")}
    with ScriptedServer(script) as server:
        with pytest.raises(SessionRefused, match="AUTH is not possible") as caught:
            connect(settings_for(server, **CREDENTIALS), CLOCK)
        server.wait_for("end")
    assert PASSWORD not in everything_of(caught.value)


# What a server echoes


def echo(conversation: Conversation) -> None:
    conversation.reply(f"535-5.7.8 you sent {conversation.heard.decode()}\n535 in one line")


ECHOES: dict[str, Step] = {
    "the password": f"535 wrong password {PASSWORD}!",
    "the password in base64": f"535 wrong: {encoded(PASSWORD)}",
    "the password in base64 without padding": f"535 wrong: <{encoded(PASSWORD).rstrip('=')}>",
    "name and password in base64": f"535 wrong: {encoded(f'{USER}:{PASSWORD}')}",
    "PLAIN's response": f"535 wrong: {encoded(f'{chr(0)}{USER}{chr(0)}{PASSWORD}')}",
    "PLAIN's response, decoded": f"535 wrong: {USER}{chr(0)}{PASSWORD}",
    "PLAIN's response with an identity": f"535 {encoded(f'{USER}{chr(0)}{USER}{chr(0)}{PASSWORD}')}",
    "the whole command": echo,
}


def assert_hidden(text: str, secret: str = PASSWORD) -> None:
    assert secret not in text
    for offset in range(3):
        # Without the characters at both ends, which depend on what stands beside the secret.
        word = base64.b64encode(b"x" * offset + secret.encode() + b"xxx").decode()
        assert word[4 : len(word) - 8] not in text


@pytest.mark.parametrize("echoed", ECHOES)
def test_a_password_that_the_server_repeats_is_in_no_part_of_the_error(echoed: str) -> None:
    server = ScriptedServer({"EHLO": OFFERS_LOGIN, "AUTH": ECHOES[echoed]})
    with server, pytest.raises(SessionRefused) as caught:
        connect(settings_for(server, **CREDENTIALS), CLOCK)
    text = everything_of(caught.value)
    assert "535" in text
    assert_hidden(text)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_what_login_sends_is_in_no_error_if_the_server_repeats_it() -> None:
    def echo_all(conversation: Conversation) -> None:
        dialogue("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6")(conversation)
        conversation.read_line()
        echo(conversation)

    server = ScriptedServer({"EHLO": offers("LOGIN"), "AUTH": echo_all})
    with server, pytest.raises(SessionRefused, match=r"you sent \[redacted\]") as caught:
        connect(settings_for(server, **CREDENTIALS), CLOCK)
    assert_hidden(everything_of(caught.value))


def test_the_answer_to_cram_md5_is_in_no_error_if_the_server_repeats_it() -> None:
    def echo_digest(conversation: Conversation) -> None:
        conversation.reply(f"334 {encoded('<1@scripted.example>')}")
        conversation.read_line()
        echo(conversation)

    server = ScriptedServer({"EHLO": offers("CRAM-MD5"), "AUTH": echo_digest})
    with server, pytest.raises(SessionRefused, match=r"you sent \[redacted\] in one line") as caught:
        connect(settings_for(server, **CREDENTIALS), CLOCK)
    digest = hmac.new(PASSWORD.encode(), b"<1@scripted.example>", hashlib.md5).hexdigest()
    assert_hidden(everything_of(caught.value), digest)


def test_a_password_repeated_anywhere_later_is_hidden_too() -> None:
    script = {
        "greeting": f"220 hello, {PASSWORD}",
        "EHLO": f"{OFFERS_LOGIN}".replace("250-scripted.example", f"250-scripted.example\n250-X-{PASSWORD}"),
        "RCPT": ["250 ok", f"550 not with {PASSWORD}"],
        "dot": f"250 {PASSWORD} queued",
    }
    with ScriptedServer(script) as server, connect(settings_for(server, **CREDENTIALS), CLOCK) as session:
        receipt = session.send(LETTER, TO)
        assert PASSWORD not in f"{session.peer} {receipt} {session!r}"
    assert receipt.reply == "250 [redacted] queued"
    assert receipt.refused == (Refusal(TO[1], 550, "not with [redacted]"),)


def test_a_wrong_password_at_a_real_server_is_refused() -> None:
    with MailServer("none", login=(USER, "another")) as server, pytest.raises(SessionRefused) as caught:
        connect(settings_for(server, **CREDENTIALS), CLOCK)
    assert (caught.value.stage, caught.value.code) == ("auth", 535)
    assert_hidden(everything_of(caught.value))


@given(
    password=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    before=st.binary(max_size=5),
    after=st.binary(max_size=5),
)
def test_no_base64_word_around_a_password_survives(password: str, before: bytes, after: bytes) -> None:
    word = base64.b64encode(before + password.encode() + after)
    shown = Credentials("ada", password).redact(b"535 (" + word + b")")
    # A password of one or two octets has no four characters of its own in base64.
    assert word not in shown or len(password.encode()) < 3


@given(text=st.binary(max_size=200))
def test_what_has_no_secret_in_it_is_left_as_it_is(text: bytes) -> None:
    assert Credentials("", "").redact(text) == text


def test_credentials_do_not_show_themselves() -> None:
    assert PASSWORD not in repr(Credentials(USER, PASSWORD))


def test_every_error_of_a_session_is_one_of_this_library() -> None:
    with ScriptedServer({"EHLO": OFFERS_LOGIN, "AUTH": echo}) as server, pytest.raises(DeliveryError):
        connect(settings_for(server, **CREDENTIALS), CLOCK)
