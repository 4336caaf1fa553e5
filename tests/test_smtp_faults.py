"""Whatever a server does, an attempt ends in time, in a fitting error, with the connection closed or in step."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from alertlog.clock import SystemClock
from alertlog.errors import (
    DeadlineExceeded,
    DeliveryError,
    LetterRejected,
    OutcomeUnknown,
    ServerUnavailable,
    SessionRefused,
)
from alertlog.letter import Letter
from alertlog.smtp import Refusal, Session, connect
from alertlog.testing import ManualClock
from tests.behaviours import (
    PATIENCE,
    Behaviour,
    Script,
    Step,
    deaf,
    drip,
    drop,
    flood,
    reset,
    silence,
    slowly,
    then,
)
from tests.certificates import Authority
from tests.conversation import Conversation
from tests.servers import HOSTILE, OFFERS_LOGIN, OFFERS_STARTTLS, ScriptedServer
from tests.sessions import LETTER, SENDER, TO, eventually, settings_for

CLOCK = SystemClock()
SHORT = 0.4
"""Seconds of a wait that is meant to run out."""
STEPS = ("greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "dot")


def deliver(server: ScriptedServer, timeout: float = 10.0, clock: ManualClock | SystemClock = CLOCK) -> None:
    """One attempt, with a login, from the connection to the receipt."""
    settings = settings_for(server, timeout=timeout, username="ada", password="geheim")
    with connect(settings, clock) as session:
        session.send(LETTER, TO)


def failure_at(
    step: str, behaviour: Step, timeout: float = 10.0, clock: ManualClock | SystemClock = CLOCK
) -> DeliveryError:
    """What becomes of an attempt at a server that does so at that step."""
    with ScriptedServer({"EHLO": OFFERS_LOGIN, step: behaviour}) as server:
        with pytest.raises(DeliveryError) as caught:
            deliver(server, timeout, clock)
        server.wait_for(step)
    # A reset can be so early that the system tells of it when connecting.
    assert caught.value.stage in (("connect", "greeting") if step == "greeting" else (step.lower(),))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


# Silence and drips


@pytest.mark.parametrize("step", STEPS)
def test_silence_ends_with_the_time(step: str) -> None:
    # By this clock there is always time left for the next step; waiting is by the wall.
    error = failure_at(step, silence, SHORT, ManualClock())
    assert isinstance(error, OutcomeUnknown if step == "dot" else DeadlineExceeded)
    assert f"{SHORT} s" in str(error)


@pytest.mark.parametrize("step", STEPS)
def test_one_octet_a_second_ends_with_the_time(step: str) -> None:
    clock = ManualClock()
    dripping = slowly("250-" + "x" * 500, lambda: clock.advance(1))
    error = failure_at(step, dripping, 10.0, clock)
    assert isinstance(error, OutcomeUnknown if step == "dot" else DeadlineExceeded)


@pytest.mark.parametrize("step", ["greeting", "RCPT", "dot"])
def test_a_drip_ends_with_the_time_by_the_wall_clock(step: str) -> None:
    begun = time.monotonic()
    error = failure_at(step, drip("250-" + "x" * 500, 0.05), 1.0)
    assert time.monotonic() - begun < PATIENCE / 2
    assert isinstance(error, TimeoutError | OutcomeUnknown)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def pausing(conversation: Conversation) -> Callable[[], None]:
    return lambda: conversation.wait(0.05)


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("step", ["tls", "EHLO", "dot"])
@pytest.mark.parametrize("how", ["silence", "drip"])
def test_inside_tls_silence_and_drips_end_with_the_time_too(
    authority: Authority, step: str, implicit: bool, how: str
) -> None:
    context = authority.server()

    def dripping(conversation: Conversation) -> None:
        # One octet of a TLS record at a time: OpenSSL waits for the whole record within one call.
        inner: Step = (lambda c: c.shake_hands(context)) if step == "tls" else "250-" + "x" * 900
        slowly(inner, pausing(conversation))(conversation)

    behaviour: Behaviour = silence if how == "silence" else dripping
    offers: dict[str, list[Step]] = {} if implicit else {"EHLO": [OFFERS_STARTTLS, "250 scripted.example"]}
    if step == "EHLO" and not implicit:
        offers["EHLO"][1] = behaviour
    else:
        offers[step] = [behaviour]
    with ScriptedServer(offers, context, implicit=implicit) as server:
        settings = settings_for(
            server, transport="ssl" if implicit else "starttls", timeout=SHORT, ca_file=authority.ca_file
        )
        begun = time.monotonic()
        with pytest.raises(ServerUnavailable) as caught, connect(settings, ManualClock()) as session:
            session.send(LETTER, TO)
        assert time.monotonic() - begun < PATIENCE / 2
    assert isinstance(caught.value, OutcomeUnknown if step == "dot" else DeadlineExceeded)
    assert caught.value.stage == step.lower()


def test_inside_tls_one_record_for_each_octet_ends_with_the_time_too(authority: Authority) -> None:
    def octets(conversation: Conversation) -> None:
        for _ in range(500):
            conversation.wait(0.05)
            conversation.send(b"2")

    with ScriptedServer({"EHLO": octets}, authority.server(), implicit=True) as server:
        settings = settings_for(server, transport="ssl", timeout=1.0, ca_file=authority.ca_file)
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            connect(settings, CLOCK)
        assert time.monotonic() - begun < PATIENCE / 2
    assert caught.value.stage == "ehlo"


def test_a_server_that_stops_reading_in_the_content_holds_nobody() -> None:
    big = Letter("<1@example.org>", SENDER, b"x" * 70 + b"\r\n" * 1_000_000 + b"x" * 20_000_000)
    server = ScriptedServer({"EHLO": "250 scripted.example", "DATA": then("354 go ahead", deaf)})
    with server, connect(settings_for(server, timeout=SHORT), ManualClock()) as session:
        with pytest.raises(DeadlineExceeded) as caught:
            session.send(big, TO)
        assert not session.usable
    assert caught.value.stage == "data"


def test_silence_from_the_beginning_hints_at_a_server_that_waits_for_tls() -> None:
    assert "does this port want `ssl`" in str(failure_at("greeting", silence, SHORT, ManualClock()))


def test_the_time_of_the_first_letter_began_with_the_connection() -> None:
    clock = ManualClock()
    script: Script = {
        step: then(lambda _: clock.advance(4), reply)
        for step, reply in {"greeting": "220 hello", "MAIL": "250 ok", "RCPT": "250 ok"}.items()
    }
    with ScriptedServer(script) as server, connect(settings_for(server), clock) as session:
        with pytest.raises(DeadlineExceeded):
            session.send(LETTER, TO)
        assert not session.usable


def test_each_later_letter_has_the_whole_time_for_itself() -> None:
    clock = ManualClock()
    server = ScriptedServer({"MAIL": then(lambda _: clock.advance(8), "250 ok")})
    with server, connect(settings_for(server), clock) as session:
        for _ in range(4):
            clock.advance(1)
            assert session.send(LETTER, TO).accepted == TO


# Floods


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("line", ["250-" + "x" * 60, "250-", "x" * 60])
def test_a_flood_is_cut_off(step: str, line: str) -> None:
    error = failure_at(step, flood(line, 2**22))
    assert isinstance(error, OutcomeUnknown if step == "dot" else ServerUnavailable)


def test_256_mib_of_replies_take_neither_memory_nor_time() -> None:
    tracemalloc.start()
    try:
        error = failure_at("EHLO", flood("250-" + "x" * 60, 2**28))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "65,536 bytes" in str(error)
    assert peak < 8 * 2**20


def test_a_line_without_end_is_not_taken_for_the_500_that_smtplib_makes_of_it() -> None:
    error = failure_at("DATA", "550 " + "x" * 20_000)
    assert isinstance(error, ServerUnavailable)
    assert error.code is None


def test_long_replies_to_several_commands_do_not_add_up() -> None:
    long = "\n".join(["250-" + "x" * 60] * 900)
    script = {"EHLO": f"{long}\n250 SIZE 1000", "MAIL": f"{long}\n250 ok", "dot": f"{long}\n250 ok"}
    with ScriptedServer(script) as server, connect(settings_for(server), CLOCK) as session:
        assert len(session.peer.capabilities) == 900
        assert session.send(LETTER, TO).accepted == TO


# Drops


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("how", [drop, reset])
def test_a_connection_that_is_dropped_may_come_back(step: str, how: Behaviour) -> None:
    error = failure_at(step, how)
    assert isinstance(error, OutcomeUnknown if step == "dot" else ServerUnavailable)
    assert not isinstance(error, DeadlineExceeded)


@pytest.mark.parametrize("how", [drop, reset])
def test_a_connection_that_is_dropped_in_the_content_has_not_delivered_it(how: Behaviour) -> None:
    big = Letter("<1@example.org>", SENDER, b"x" * 20_000_000)
    server = ScriptedServer({"EHLO": "250 scripted.example", "DATA": then("354 go ahead", how)})
    with server, connect(settings_for(server), CLOCK) as session:
        with pytest.raises(ServerUnavailable) as caught:
            session.send(big, TO)
        assert not session.usable
    assert caught.value.stage == "data"
    assert not isinstance(caught.value, OutcomeUnknown)


def test_a_lost_reply_after_the_dot_says_that_the_mail_may_have_been_accepted() -> None:
    for behaviour, why in ((drop, "closed"), (silence, r"0.4 s \(SMTP_TIMEOUT_SECONDS\)")):
        with ScriptedServer({"dot": behaviour}) as server:
            with connect(settings_for(server, timeout=SHORT), ManualClock()) as session:
                with pytest.raises(OutcomeUnknown, match=f"no reply after the final dot.*{why}"):
                    session.send(LETTER, TO)
                assert not session.usable
            server.wait_for("end")
            assert server.contents == [LETTER.content.removesuffix(b"\r\n")]


# Replies


@pytest.mark.parametrize("step", STEPS)
def test_a_4xx_is_temporary_wherever_it_comes(step: str) -> None:
    error = failure_at(step, "451 4.3.0 not now")
    assert type(error) is ServerUnavailable
    assert (error.category, error.code) == ("temporary", 451)
    assert "4.3.0 not now" in str(error)


@pytest.mark.parametrize("step", STEPS)
def test_a_421_is_temporary_and_closes_the_session(step: str) -> None:
    error = failure_at(step, "421 4.3.2 shutting down")
    assert type(error) is ServerUnavailable
    assert error.code == 421


@pytest.mark.parametrize("step", STEPS)
def test_a_5xx_is_the_letters_fault_after_data_and_the_operators_to_repair_before(step: str) -> None:
    error = failure_at(step, "554 5.7.1 never")
    assert type(error) is (LetterRejected if step in ("DATA", "dot") else SessionRefused)
    assert (error.category, error.code) == ("permanent" if step in ("DATA", "dot") else "refused", 554)
    assert "5.7.1 never" in str(error)


@pytest.mark.parametrize("reply", ["HTTP/1.1 400 Bad Request", "", "25", "2x0 ok", "999 what", "100 wait", "-50 x"])
@pytest.mark.parametrize("step", STEPS)
def test_what_is_no_reply_breaks_the_session(step: str, reply: str) -> None:
    error = failure_at(step, reply)
    assert type(error) is (OutcomeUnknown if step == "dot" else ServerUnavailable)
    assert error.code is None


@pytest.mark.parametrize(
    ("step", "reply"),
    [
        ("greeting", "354 x"),
        ("EHLO", "334 x"),
        ("MAIL", "354 x"),
        ("RCPT", "354 x"),
        ("DATA", "250 x"),
        ("dot", "354 x"),
    ],
)
def test_a_reply_that_does_not_fit_its_command_breaks_the_session(step: str, reply: str) -> None:
    error = failure_at(step, reply)
    assert type(error) is (OutcomeUnknown if step == "dot" else ServerUnavailable)
    assert error.code == int(reply[:3])


def test_only_a_250_after_the_dot_is_taken_for_an_acceptance() -> None:
    assert type(failure_at("dot", "251 well")) is OutcomeUnknown


@pytest.mark.parametrize(
    ("replies", "kind", "code"),
    [
        (["550 5.1.1 unknown", "550 5.1.1 unknown"], SessionRefused, 550),
        (["451 4.7.1 later", "452 4.5.3 later"], ServerUnavailable, 451),
        (["550 5.1.1 unknown", "451 4.7.1 later"], ServerUnavailable, 451),
    ],
)
def test_if_nobody_is_accepted_the_error_tells_of_each_recipient(
    replies: list[str], kind: type[DeliveryError], code: int
) -> None:
    with ScriptedServer({"RCPT": [*replies, "250 ok"]}) as server:
        with connect(settings_for(server), CLOCK) as session:
            with pytest.raises(DeliveryError, match="no recipient was accepted") as caught:
                session.send(LETTER, TO)
            assert session.usable
            assert session.send(LETTER, TO).accepted == TO
        assert server.steps.count("DATA") == 1
    assert type(caught.value) is kind
    assert (caught.value.stage, caught.value.code) == ("rcpt", code)
    refused = vars(caught.value)["refused"]
    assert refused == tuple(
        Refusal(address, int(reply[:3]), reply[4:]) for address, reply in zip(TO, replies, strict=True)
    )
    assert all(address in str(caught.value) for address in TO)


def test_a_421_to_the_second_recipient_ends_the_session_for_the_first_too() -> None:
    with ScriptedServer({"RCPT": ["250 ok", "421 too many"]}) as server:
        with connect(settings_for(server), CLOCK) as session:
            with pytest.raises(ServerUnavailable) as caught:
                session.send(LETTER, TO)
            assert not session.usable
        server.wait_for("end")
        assert "DATA" not in server.steps
    assert (caught.value.stage, caught.value.code) == ("rcpt", 421)


# Going on after an error


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "dot"])
@pytest.mark.parametrize("reply", ["451 4.3.0 not now", "554 5.7.1 never"])
def test_a_refused_letter_leaves_a_session_for_the_next_one(step: str, reply: str) -> None:
    replies = [reply] * (2 if step == "RCPT" else 1)
    healthy = "354 go ahead" if step == "DATA" else "250 ok"
    with ScriptedServer({step: [*replies, healthy]}) as server:
        with connect(settings_for(server), CLOCK) as session:
            with pytest.raises(DeliveryError):
                session.send(LETTER, TO)
            assert session.usable
            assert session.send(LETTER, TO).accepted == TO
        assert server.connections == 1
        assert server.steps.count("RSET") == 1
        assert server.steps.index("RSET") > server.steps.index("MAIL")


@pytest.mark.parametrize("reply", ["421 bye", "451 no", "500 no", "354 no"])
def test_a_server_that_cannot_forget_a_refused_letter_is_left(reply: str) -> None:
    with ScriptedServer({"MAIL": "451 not now", "RSET": reply}) as server:
        with connect(settings_for(server), CLOCK) as session:
            with pytest.raises(ServerUnavailable):
                session.send(LETTER, TO)
            with pytest.raises(ServerUnavailable) as caught:
                session.send(LETTER, TO)
            assert not session.usable
        server.wait_for("end")
        assert server.steps.count("MAIL") == 1
    assert caught.value.stage == "rset"


@pytest.mark.parametrize("goodbye", [drop, then("421 4.4.2 idle for too long", drop), "421 4.4.2 idle"])
def test_a_session_that_the_server_has_ended_meanwhile_is_not_usable(goodbye: Step) -> None:
    clock = ManualClock()

    def later(conversation: Conversation) -> None:
        conversation.reply("250 ok")
        server.wait_for("the letter was sent")
        then(goodbye)(conversation)

    with ScriptedServer({"dot": later}) as server, connect(settings_for(server), clock) as session:
        session.send(LETTER, TO)
        assert session.usable
        server.note("the letter was sent")
        assert eventually(lambda: not session.usable)
        with pytest.raises(ServerUnavailable):
            session.send(LETTER, TO)


def test_a_new_session_is_usable_so_that_no_server_keeps_its_client_connecting_for_ever() -> None:
    server = ScriptedServer({"EHLO": then("250 scripted.example", drop)})
    with server, connect(settings_for(server), CLOCK) as session:
        server.wait_for("end")
        assert session.usable
        with pytest.raises(ServerUnavailable):
            session.send(LETTER, TO)
        assert not session.usable


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_server_gets_past_the_deadline_or_raises_anything_else(name: str) -> None:
    with ScriptedServer(HOSTILE[name]) as server:
        settings = settings_for(server, timeout=1.0)
        with pytest.raises(DeliveryError) as caught, connect(settings, CLOCK) as session:
            session.send(LETTER, TO)
    assert caught.value.stage
    assert str(caught.value)


class Interrupted(ManualClock):
    """A clock whose owner presses Ctrl-C, once told to."""

    now = False

    def monotonic(self) -> float:
        if self.now:
            raise KeyboardInterrupt
        return super().monotonic()


def test_an_interrupt_closes_the_connection_and_goes_on_as_itself() -> None:
    clock = Interrupted()

    def press(_conversation: Conversation) -> None:
        clock.now = True

    with ScriptedServer({"EHLO": then(press, "250 scripted.example")}) as server:
        with pytest.raises(KeyboardInterrupt):
            connect(settings_for(server), clock).send(LETTER, TO)
        server.wait_for("end")
    clock = Interrupted()
    with ScriptedServer() as server, connect(settings_for(server), clock) as session:
        clock.now = True
        with pytest.raises(KeyboardInterrupt):
            session.send(LETTER, TO)
        assert not session.usable
        server.wait_for("end")


def test_an_error_that_the_caller_is_handling_does_not_colour_ours() -> None:
    def attempt(server: ScriptedServer) -> Session:
        try:
            raise TimeoutError("the caller's own")
        except TimeoutError:
            return connect(settings_for(server), CLOCK)

    with ScriptedServer({"EHLO": drop}) as server, pytest.raises(ServerUnavailable) as caught:
        attempt(server)
    assert not isinstance(caught.value, DeadlineExceeded)


def test_a_name_of_a_socket_file_is_no_way_in(tmp_path: Path) -> None:
    with ScriptedServer() as server, pytest.raises(DeliveryError):
        connect(settings_for(server, host=str(tmp_path / "socket")), CLOCK)
