"""Tokens: what a command's output says, for how long one is used again, and what becomes of it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.access import FixedToken, OAuthClient, TokenCommand
from alertlog.errors import SessionRefused
from alertlog.testing import ManualClock
from alertlog.tokens import KEPT, LONGEST, SOURCES, Fresh, Tokens, printed
from alertlog.wire import Deadline
from tests.test_xoauth2 import printing, runs
from tests.token_server import TokenServer, granted, refused

NOW = 1_795_572_727.0


def said(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize("output", [b"ya29.token", b"ya29.token\n", b"  ya29.token\r\n\r\n"])
def test_a_token_alone_is_one_that_does_not_say_how_long_it_is_good(output: bytes) -> None:
    assert printed(output, NOW) == Fresh("ya29.token", None)


@pytest.mark.parametrize("name", ["access_token", "accessToken", "token"])
def test_json_names_the_token(name: str) -> None:
    assert printed(said(**{name: "ya29.token", "tokenType": "Bearer"}), NOW) == Fresh("ya29.token", None)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"expires_in": 3599}, 3599.0),
        ({"expires_in": "3599"}, 3599.0),
        ({"expires_in": 0}, 0.0),
        ({"expires_in": -5}, 0.0),
        ({"expires_on": NOW + 60}, 60.0),
        ({"expires_on": str(int(NOW) - 60)}, 0.0),
        ({"expiry": datetime.fromtimestamp(NOW + 90, UTC).isoformat()}, 90.0),
        ({"expiry": datetime.fromtimestamp(NOW + 90, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}, 90.0),
        ({"expiry": datetime.fromtimestamp(NOW + 90, timezone(timedelta(hours=2))).isoformat()}, 90.0),
        ({"expiry": datetime.fromtimestamp(NOW + 90, UTC).replace(tzinfo=None).isoformat()}, 90.0),
        ({"expires_in": 10, "expiry": "2000-01-01T00:00:00Z"}, 10.0),
        ({"expiry": "tomorrow"}, None),
        ({"expiry": 12}, None),
        ({"expires_in": None}, None),
        ({"expires_in": "soon"}, None),
        ({"expires_in": 10**400}, None),
        ({"expires_in": float("nan")}, 0.0),
        ({"expiry": "0001-01-01T00:00:00+00:00"}, 0.0),
    ],
)
def test_json_says_for_how_long_it_is_good(fields: dict[str, object], seconds: float | None) -> None:
    assert printed(said(access_token="t", **fields), NOW) == Fresh("t", seconds)


@pytest.mark.parametrize(
    "output",
    [
        b"", b"\n", b"two words", b"a\nb", "é".encode(), b"\xff", b"x" * 20_000, b"{", b"{}",
        b'{"token": ' + b"[" * 50_000,
        said(access_token=""), said(access_token=1), said(token="a b"), said(error="invalid_grant"),
    ],
)  # fmt: skip
def test_anything_else_is_no_token(output: bytes) -> None:
    assert printed(output, NOW) is None


@given(output=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: f"{{{text}}}".encode()))
def test_whatever_a_command_prints_a_token_is_one_word_of_ascii_or_there_is_none(output: bytes) -> None:
    fresh = printed(output, NOW)
    assert fresh is None or (fresh.token.isascii() and len(fresh.token.split()) == 1)


# For how long


def had(tokens: Tokens, source: TokenCommand | OAuthClient | FixedToken, clock: ManualClock) -> str:
    return tokens.of(source, Deadline(clock, 20.0))


@pytest.mark.parametrize(
    ("output", "good"),
    [
        ("token", KEPT - 30),  # a tenth of the time before its end
        ('{"token": "t", "expires_in": 3600}', 3540),
        ('{"token": "t", "expires_in": 100}', 90),
        ('{"token": "t", "expires_in": 1e9}', LONGEST - 60),
        ('{"token": "t", "expires_in": 0}', 0),
    ],
)
def test_a_token_is_used_again_until_shortly_before_its_end(tmp_path: Path, output: str, good: float) -> None:
    clock = ManualClock()
    tokens, source = Tokens(clock), printing(tmp_path, output)
    had(tokens, source, clock)
    if good:
        clock.advance(good - 0.01)
        had(tokens, source, clock)
        assert runs(tmp_path) == 1
        clock.advance(0.01)
    had(tokens, source, clock)
    assert runs(tmp_path) == 2


def test_a_clock_that_is_set_changes_nothing_of_a_token_that_was_had(tmp_path: Path) -> None:
    clock = ManualClock(wall=NOW)
    tokens, source = Tokens(clock), printing(tmp_path, json.dumps({"token": "t", "expires_on": NOW + 3_600}))
    had(tokens, source, clock)
    for wall in (NOW + 86_400, NOW - 86_400):
        clock.set_wall(wall)
        had(tokens, source, clock)
    assert runs(tmp_path) == 1


def test_a_fixed_token_is_never_kept_and_there_is_no_other_one_after_a_refusal() -> None:
    clock = ManualClock()
    tokens = Tokens(clock)
    for text in ("one", "two"):
        assert had(tokens, FixedToken(text), clock) == text
        assert not tokens.forget(FixedToken(text))


def test_a_token_that_is_forgotten_is_had_anew_and_can_be_forgotten_once_more(tmp_path: Path) -> None:
    clock, learnt = ManualClock(), list[str]()
    tokens, source = Tokens(clock, learnt.append), printing(tmp_path, "one", "two")
    assert not tokens.forget(source)
    assert had(tokens, source, clock) == "one"
    assert tokens.forget(source)
    assert not tokens.forget(source)
    assert had(tokens, source, clock) == "two"
    assert learnt == ["one", "two"]


def test_sources_that_are_gone_leave_no_more_than_a_few_tokens_behind() -> None:
    clock = ManualClock()
    tokens = Tokens(clock)
    sources = [TokenCommand((sys.executable, "-S", "-c", f"print('token{n}')")) for n in range(SOURCES + 1)]
    for number, source in enumerate(sources):
        assert had(tokens, source, clock) == f"token{number}"
    assert list(tokens._kept) == sources[1:]


def test_tokens_show_themselves_in_no_repr(tmp_path: Path) -> None:
    clock = ManualClock()
    tokens = Tokens(clock)
    had(tokens, printing(tmp_path, "ya29"), clock)
    assert "ya29" not in repr(tokens._kept.values())
    assert "ya29" not in repr((FixedToken("ya29"), Fresh("ya29"), OAuthClient("u", "c", "ya29", "", "ya29")))


# Refresh tokens


def refreshing(server: TokenServer) -> OAuthClient:
    return OAuthClient(server.url, "etl", refresh_token="1//configured")


def test_a_refresh_token_that_the_server_replaces_is_replaced_while_the_process_lives() -> None:
    clock, learnt = ManualClock(), list[str]()
    tokens = Tokens(clock, learnt.append)
    answers = granted("one", refresh_token="1//next", expires_in=10), granted("two", expires_in=10)
    with TokenServer(*answers) as server:
        for _ in range(3):
            had(tokens, refreshing(server), clock)
            clock.advance(10)
        used = [form["refresh_token"] for form in server.requests]
    assert used == ["1//configured", "1//next", "1//next"]
    assert learnt == ["1//next", "one", "two", "two"]


def test_a_replaced_refresh_token_that_is_refused_gives_way_to_that_of_the_settings() -> None:
    clock = ManualClock()
    tokens = Tokens(clock)
    answers = granted("one", refresh_token="1//next", expires_in=10), refused("invalid_grant"), granted("two")
    with TokenServer(*answers) as server:
        had(tokens, refreshing(server), clock)
        clock.advance(10)
        with pytest.raises(SessionRefused, match="invalid_grant"):
            had(tokens, refreshing(server), clock)
        assert had(tokens, refreshing(server), clock) == "two"
        used = [form["refresh_token"] for form in server.requests]
    assert used == ["1//configured", "1//next", "1//configured"]


def test_what_a_source_left_behind_goes_with_its_token_and_the_others_stay() -> None:
    clock = ManualClock()
    tokens = Tokens(clock)
    with TokenServer(granted(refresh_token="1//next")) as server:
        sources = [OAuthClient(server.url, f"etl{n}", refresh_token="1//configured") for n in range(SOURCES + 1)]
        for source in sources[:SOURCES]:
            had(tokens, source, clock)
        assert tokens.forget(sources[0])
        had(tokens, sources[0], clock)  # and so is newer than the second one
        had(tokens, sources[SOURCES], clock)
        assert list(tokens._kept) == list(tokens._refresh) == [*sources[2:SOURCES], sources[0], sources[SOURCES]]
        count = len(server.requests)
        for kept in tokens._kept:
            had(tokens, kept, clock)
        assert len(server.requests) == count


def test_sources_whose_tokens_were_refused_leave_no_more_than_a_few_refresh_tokens_behind() -> None:
    clock = ManualClock()
    tokens = Tokens(clock)
    with TokenServer(granted(refresh_token="1//next")) as server:
        sources = [OAuthClient(server.url, f"etl{n}", refresh_token="1//configured") for n in range(SOURCES + 1)]
        for source in sources:
            had(tokens, source, clock)
            assert tokens.forget(source)
    assert list(tokens._refresh) == sources[1:]


def test_a_refresh_token_that_comes_with_client_credentials_is_left_alone() -> None:
    clock = ManualClock()
    tokens = Tokens(clock)
    with TokenServer(granted("one", refresh_token="1//next", expires_in=10)) as server:
        for _ in range(2):
            had(tokens, OAuthClient(server.url, "etl", "s3cr3t"), clock)
            clock.advance(10)
        assert [form["grant_type"] for form in server.requests] == ["client_credentials"] * 2


@pytest.mark.parametrize("token", ["two words", "", "a\r\nRCPT"])
def test_what_a_token_server_gives_that_is_no_token_is_refused(token: str) -> None:
    clock = ManualClock()
    with TokenServer(granted(token)) as server, pytest.raises(SessionRefused, match="is no token"):
        had(Tokens(clock), refreshing(server), clock)
