"""Asking a token server: what is sent, whom it is sent to, and what each answer means. All of it ends in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alertlog.access import OAuthClient
from alertlog.clock import SystemClock
from alertlog.errors import DeadlineExceeded, DeliveryError, ServerUnavailable, SessionRefused
from alertlog.oauth import Answer, request, seconds_of
from alertlog.wire import REPLY_LIMIT, Deadline
from tests.behaviours import silence
from tests.certificates import Authority, self_signed
from tests.servers import ScriptedServer, dead_port
from tests.sessions import everything_of
from tests.test_smtp_login import dial_distant
from tests.token_server import Exchange, TokenServer, granted, refused

SECRET = "s3cr3t-of-the-client"
REFRESH = "1//refresh-me"


def client(url: str, **changes: str) -> OAuthClient:
    return OAuthClient(**{"url": url, "client_id": "etl", "client_secret": SECRET, **changes})


def ask(source: OAuthClient, seconds: float = 20.0) -> Answer:
    return request(source, source.refresh_token, Deadline(SystemClock(), seconds))


def failure(server: TokenServer, **changes: str) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        ask(client(server.url, **changes))
    shown = everything_of(caught.value.with_traceback(None))  # as `connect` raises it
    assert SECRET not in shown
    assert REFRESH not in shown
    assert caught.value.stage == "token"
    return caught.value


def test_client_credentials_are_sent_in_the_body_of_one_post() -> None:
    with TokenServer(granted("ya29", expires_in=60)) as server:
        assert ask(client(server.url, scope="https://outlook.office365.com/.default")) == Answer("ya29", 60.0)
        assert server.paths == ["/tenant/token?version=2"]
        assert server.requests == [
            {
                "grant_type": "client_credentials",
                "client_id": "etl",
                "client_secret": SECRET,
                "scope": "https://outlook.office365.com/.default",
            }
        ]


@pytest.mark.parametrize(
    ("end", "target"), [("", "/"), ("/", "/"), ("?a=1", "/?a=1"), ("/t", "/t"), ("/t?a=1", "/t?a=1")]
)
def test_the_request_goes_to_the_path_and_the_query_of_the_url(end: str, target: str) -> None:
    with TokenServer(granted()) as server:
        ask(client(f"http://127.0.0.1:{server.server_address[1]}{end}"))
        assert server.paths == [target]


def test_without_a_scope_none_is_sent() -> None:
    with TokenServer(granted()) as server:
        ask(client(server.url))
        assert "scope" not in server.requests[0]


@pytest.mark.parametrize("secret", [SECRET, ""])
def test_a_refresh_token_is_sent_with_the_secret_of_the_client_if_it_has_one(secret: str) -> None:
    with TokenServer(granted(refresh_token="1//next")) as server:
        answer = ask(client(server.url, client_secret=secret, refresh_token=REFRESH))
        assert answer.refresh_token == "1//next"
        (form,) = server.requests
    expected = {"grant_type": "refresh_token", "client_id": "etl", "refresh_token": REFRESH}
    assert form == expected | ({"client_secret": secret} if secret else {})


def test_the_scope_that_is_granted_may_be_another_one_and_the_time_may_be_missing() -> None:
    answer = {"access_token": "ya29", "token_type": "Bearer", "scope": "less"}
    with TokenServer(answer) as server:
        assert ask(client(server.url, scope="more")) == Answer("ya29", None)


def test_over_https_the_certificate_is_verified_with_the_private_ca_if_there_is_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with TokenServer(granted("ya29"), tls=authority.server()) as server:
        assert ask(client(server.url, ca_file=authority.ca_file)).token == "ya29"
        error = failure(server)
    assert isinstance(error, SessionRefused)
    assert "certificate of the token server 127.0.0.1 is not trusted" in str(error)
    assert len(server.requests) == 1


def test_a_certificate_for_another_name_gets_no_secret(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with TokenServer(granted(), tls=authority.server("login.example.org")) as server:
        assert isinstance(failure(server, ca_file=authority.ca_file), SessionRefused)
    with TokenServer(granted(), tls=self_signed(tmp_path)) as server:
        assert isinstance(failure(server), SessionRefused)
    assert server.requests == []


def test_over_http_the_secret_goes_to_no_address_beyond_this_machine_whatever_the_name_says() -> None:
    with TokenServer(granted()) as server:
        source = client(server.url.replace("127.0.0.1", "localhost"))
        with pytest.raises(SessionRefused, match="localhost is not on this machine") as caught:
            request(source, REFRESH, Deadline(SystemClock(), 20.0), dial_distant)
        assert ask(source).token == "ya29.granted"
        assert len(server.paths) == 1
    assert caught.value.stage == "token"
    assert SECRET not in everything_of(caught.value.with_traceback(None))


def test_over_https_the_token_server_is_anywhere(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with TokenServer(granted("ya29"), tls=authority.server()) as server:
        source = client(server.url, ca_file=authority.ca_file)
        assert request(source, "", Deadline(SystemClock(), 20.0), dial_distant).token == "ya29"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("3599", 3599.0), (12.5, 12.0), (-5, 0.0), (None, None)],  # oauthlib makes whole seconds of them
)
def test_for_how_long_a_token_is_good_may_be_a_text_and_is_never_less_than_nothing(said: Any, seconds: Any) -> None:
    with TokenServer(granted("ya29", expires_in=said)) as server:
        assert ask(client(server.url)) == Answer("ya29", seconds)


@pytest.mark.parametrize(
    ("said", "seconds"), [("3599", 3599.0), ("soon", None), ([], None), pytest.param(10**400, None, id="huge")]
)
def test_so_is_what_a_parser_has_left_as_it_was(said: Any, seconds: Any) -> None:
    assert seconds_of(said) == seconds


# What an answer means

NOT_JSON: Any = b"<html>Sign in</html>"


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (refused("invalid_client", "AADSTS7000215: wrong secret", 401), SessionRefused, "401, invalid_client: AADSTS"),
        (refused("invalid_grant", "expired or revoked"), SessionRefused, "invalid_grant: expired or revoked"),
        (refused("invalid_scope"), SessionRefused, "invalid_scope:"),
        (refused("unheard_of", "?"), SessionRefused, "unheard_of: ?"),
        (refused("invalid_client", status=200), SessionRefused, "HTTP 200, invalid_client"),
        (refused("temporarily_unavailable", "in a minute"), ServerUnavailable, "temporarily_unavailable: in a minute"),
        (refused("server_error", status=500), ServerUnavailable, "HTTP 500"),
        ((503, NOT_JSON), ServerUnavailable, "HTTP 503"),
        ((429, refused("slow_down")[1]), ServerUnavailable, "HTTP 429, slow_down"),
        ((429, NOT_JSON), ServerUnavailable, "HTTP 429"),
        ((404, NOT_JSON), SessionRefused, "HTTP 404"),
        ((400, granted()), SessionRefused, "HTTP 400"),
        ((200, NOT_JSON), SessionRefused, "HTTP 200"),
        ((200, b"\xff\xfe"), SessionRefused, "makes no sense (UnicodeDecodeError)"),
        ((200, [1, 2]), SessionRefused, "makes no sense"),
        ((200, {"access_token": "x", "expires_in": "soon"}), SessionRefused, "makes no sense"),
        ((200, {"error": ["x"]}), SessionRefused, "HTTP 200"),
        (refused("invalid_client", f"you sent {SECRET} and {REFRESH}"), SessionRefused, "[redacted] and [redacted]"),
    ],
)
def test_an_answer_without_a_token_is_later_or_the_operators_to_repair(
    answer: Any, kind: type[Exception], text: str
) -> None:
    with TokenServer(answer) as server:
        error = failure(server, refresh_token=REFRESH)
    assert type(error) is kind
    assert text in str(error)


def test_a_redirect_is_not_followed() -> None:
    with TokenServer(granted()) as other:
        elsewhere = other.url

        def redirect(exchange: Exchange) -> None:
            exchange.give(307, b"", Location=elsewhere)

        with TokenServer(redirect) as server:
            assert isinstance(failure(server), SessionRefused)
        assert other.requests == []


def test_a_server_that_is_not_there_may_come_back() -> None:
    with dead_port() as port, pytest.raises(ServerUnavailable, match="can't be reached: Connection refused"):
        ask(client(f"http://127.0.0.1:{port}/"))


def test_a_server_whose_name_is_not_known_may_be_known_later() -> None:
    with pytest.raises(ServerUnavailable, match="can't be reached"):
        ask(client("https://login.invalid/token"))


@pytest.mark.parametrize("answer", ["220 mail.example.org ESMTP", "HTTP/1.1 abc"])
def test_what_speaks_no_http_is_no_token_server(answer: str) -> None:
    with ScriptedServer({"greeting": answer}) as server, pytest.raises(ServerUnavailable, match="does not speak HTTP"):
        ask(client(f"http://127.0.0.1:{server.port}/"))


def test_a_ca_file_that_is_gone_is_named() -> None:
    with pytest.raises(SessionRefused, match=r"cannot be loaded \(/nowhere/ca\.pem\): No such file"):
        ask(client("https://127.0.0.1:1/", ca_file="/nowhere/ca.pem"))


# Bounds


def test_a_server_that_keeps_silent_is_left_at_the_deadline() -> None:
    server = ScriptedServer({"greeting": silence})
    with server, pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.3 s"):
        ask(client(f"http://127.0.0.1:{server.port}/"), 0.3)


@pytest.mark.parametrize("secure", [False, True])
def test_a_server_that_drips_is_left_at_the_deadline(tmp_path: Path, secure: bool) -> None:
    authority = Authority(tmp_path)

    def drip(exchange: Exchange) -> None:
        exchange.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not exchange.server.stopped.wait(0.02):
            exchange.wfile.write(b"x")

    with TokenServer(drip, tls=authority.server() if secure else None) as server, pytest.raises(DeadlineExceeded):
        ask(client(server.url, ca_file=authority.ca_file), 0.4)


@pytest.mark.parametrize("promised", [1 << 62, 1 << 70, REPLY_LIMIT + 1])
def test_no_room_is_made_for_what_an_answer_only_promises(promised: int) -> None:
    def boast(exchange: Exchange) -> None:
        exchange.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n{}" % promised)

    with TokenServer(boast) as server:
        error = failure(server)
    assert type(error) is ServerUnavailable
    assert "IncompleteRead" in str(error)


def test_an_answer_in_chunks_is_read_to_its_end() -> None:
    def in_chunks(exchange: Exchange) -> None:
        exchange.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b'{"access_token": "ya29",', b' "token_type": "Bearer"}', b""):
            exchange.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

    with TokenServer(in_chunks) as server:
        assert ask(client(server.url)) == Answer("ya29", None)


def test_an_answer_without_an_end_is_not_read_to_its_end() -> None:
    def flood(exchange: Exchange) -> None:
        exchange.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not exchange.server.stopped.is_set():
            exchange.wfile.write(b"x" * REPLY_LIMIT)

    with TokenServer(flood) as server:
        assert isinstance(failure(server), ServerUnavailable)
