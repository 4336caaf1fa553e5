"""The server that hosts share, as one of them sees it: found or not, slow, wrong, gone, back; and what it keeps."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from alertlog.board import HIGHEST, KEPT, LONGEST_LEASE, Board
from alertlog.clock import SystemClock
from alertlog.errors import FleetUnavailable
from alertlog.fleet import FIRST_WAIT, LONGEST_WAIT, Fleet
from alertlog.handover import LEASE, offer
from alertlog.link import BoundedSocket, Link
from alertlog.place import REDIS_URL
from alertlog.policy import HOUR, Pace
from alertlog.sharing import Handed, Holding, Offer, Share
from alertlog.testing import ManualClock
from alertlog.wire import Deadline
from tests.fleets import FINGERPRINT, NOW, Hosts, settle
from tests.redis_server import PASSWORD, Impostor, RedisServer, drip, free_port, mute, running_redis, say
from tests.servers import dead_port
from tests.stories import Recorder

KEY = "0a1b2c3d"
PACE = Pace(mails_per_hour=30)
SOON = 0.5
"""Seconds that a call may take in tests of slow servers."""


def an_offer(**changes: Any) -> Offer:
    return offer(Share(), replace(Holding(FINGERPRINT, "amber", 1, 0, 50, "CRITICAL", NOW, NOW, HOUR), **changes), NOW)


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    redis_server.empty()
    return redis_server


@pytest.fixture
def board(server: RedisServer) -> Iterator[Board]:
    board = a_board(server.url)
    yield board
    board.close()


def a_board(url: str, patience: float = SOON) -> Board:
    return Board(Link(url, REDIS_URL, SystemClock(), patience), KEY)


class Crew:
    """A fleet's member with what it needs, and what it has reported."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ
        self.clock = ManualClock()
        self.recorder = Recorder()
        self.fleet = Fleet(KEY, environ, self.recorder, self.clock, lambda: 0.0)

    def is_there(self) -> bool:
        answers = self.fleet.exchange([an_offer()])
        return answers is not None and len(answers) == 1

    @property
    def events(self) -> list[str]:
        return [told.name for told in self.recorder.events]


# Being a fleet, or not


def test_without_the_variable_there_is_no_fleet_and_no_event() -> None:
    crew = Crew({})
    assert crew.fleet.exchange([an_offer()]) is None
    assert crew.fleet.reserve(1, 15.0, PACE) is None
    crew.fleet.give_back(1, 15.0, PACE)
    crew.fleet.close()
    assert crew.events == []


def test_redis_is_not_imported_where_there_is_no_fleet() -> None:
    program = (
        "import sys, alertlog, alertlog.fleet; from alertlog.fleet import Fleet;"
        "Fleet('k', {}, None, None).exchange([]); sys.exit('redis' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_url_may_be_in_a_file(server: RedisServer, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{server.url}\n")
    crew = Crew({f"{REDIS_URL}_FILE": str(file)})
    assert crew.is_there()
    crew.fleet.close()


@pytest.mark.parametrize(
    "url",
    [
        "not a url",
        "http://127.0.0.1:6379",
        "redis://user:correct-horse",
        "redis://:correct-horse@127.0.0.1:correct-horse/0",
        "redis://:correct-horse@127.0.0.1:65536/0",
        "redis://:correct-horse@127.0.0.1/0?socket_timeout=correct-horse",
        "redis://:correct-horse@127.0.0.1/0?no_such_option=1",
        "redis://:correct-horse@exa mple\udcff/0",
    ],
)
def test_a_url_that_is_none_is_one_event_without_a_secret(url: str) -> None:
    crew = Crew({REDIS_URL: url})
    assert not crew.is_there()
    crew.clock.advance(HOUR)
    assert not crew.is_there()
    (event,) = crew.recorder.named("fleet_unavailable")
    assert event.fields["stage"] == "fleet"
    assert "correct-horse" not in repr(crew.recorder.events)


def test_a_url_that_is_none_names_the_variable() -> None:
    crew = Crew({REDIS_URL: "6379"})
    assert not crew.is_there()
    (event,) = crew.recorder.events
    assert event.fields["problems"].keys() == {REDIS_URL}
    assert event.fields["category"] == "refused"


def test_a_variable_and_its_file_at_once_are_one_event() -> None:
    crew = Crew({REDIS_URL: "redis://127.0.0.1", f"{REDIS_URL}_FILE": "/nowhere"})
    assert not crew.is_there()
    assert crew.recorder.events[0].fields["problems"].keys() == {REDIS_URL}


def test_without_the_extra_the_event_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    crew = Crew({REDIS_URL: "redis://127.0.0.1"})
    assert not crew.is_there()
    assert "alertlog[redis]" in crew.recorder.events[0].message


def test_a_client_that_cannot_be_imported_now_is_a_server_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "redis.py").write_text('raise RuntimeError("can\'t register atexit after shutdown")')
    monkeypatch.delitem(sys.modules, "redis", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    crew = Crew({REDIS_URL: "redis://127.0.0.1"})
    assert not crew.is_there()
    (event,) = crew.recorder.events
    assert "can't register atexit after shutdown" in event.message
    assert event.fields["category"] == "temporary"


# Out of reach, and back


def test_a_server_out_of_reach_is_one_event_until_it_was_there_again() -> None:
    with dead_port() as port:
        crew = Crew({REDIS_URL: f"redis://127.0.0.1:{port}"})
        for _ in range(5):
            assert not crew.is_there()
            crew.clock.advance(HOUR)
    (event,) = crew.recorder.named("fleet_unavailable")
    assert event.fields["category"] == "temporary"
    assert event.fields["retry_in_s"] == FIRST_WAIT


def test_it_is_tried_again_at_doubling_intervals() -> None:
    with Impostor(lambda _connection: None) as impostor:
        crew = Crew({REDIS_URL: impostor.url})
        waits: list[float] = []
        for _ in range(7):
            before = crew.clock.monotonic()
            while impostor.connections == len(waits):
                crew.clock.advance(0.5)
                assert not crew.is_there()
            waits.append(crew.clock.monotonic() - before)
    assert waits[1:] == [1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_WAIT]


def test_a_server_that_is_killed_and_comes_back_empty_is_rejoined_and_the_next_time_is_another_event() -> None:
    with running_redis() as server:
        crew = Crew({REDIS_URL: server.url})
        assert crew.is_there()
        for _ in range(2):
            server.kill()
            assert not crew.is_there()
            server.start()
            assert not crew.is_there()  # its time has not come
            crew.clock.advance(LONGEST_WAIT)
            assert crew.is_there()
        crew.fleet.close()
    assert crew.events == ["fleet_unavailable", "fleet_unavailable"]


def test_a_server_that_takes_connections_and_answers_nothing_is_given_up_in_time() -> None:
    with running_redis() as server:
        board = a_board(server.url)
        board.exchange([an_offer()], LEASE)
        server.signal(signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(FleetUnavailable, match=f"{server.host}:{server.port}"):
            board.exchange([an_offer()], LEASE)
        assert time.monotonic() - started < 20 * SOON
        server.signal(signal.SIGCONT)
        board.exchange([an_offer()], LEASE)
        board.close()


@pytest.mark.parametrize("behave", [mute, drip])
def test_a_slow_server_is_given_up_in_time_however_it_drips(behave: Callable[[socket.socket], None]) -> None:
    with Impostor(behave) as impostor:
        started = time.monotonic()
        with pytest.raises(FleetUnavailable):
            a_board(impostor.url).exchange([an_offer()], LEASE)
        assert time.monotonic() - started < 8.0  # an octet each 0.05 s would take it 10 s


def test_what_a_url_says_of_timeouts_does_not_lift_the_bound() -> None:
    with Impostor(mute) as impostor:
        url = f"{impostor.url}?socket_timeout=60&socket_connect_timeout=60"
        started = time.monotonic()
        with pytest.raises(FleetUnavailable):
            a_board(url).exchange([an_offer()], LEASE)
        assert time.monotonic() - started < 20.0


def test_hiredis_reads_in_time_too() -> None:
    deadline = Deadline(SystemClock(), SOON)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        bounded, buffer = BoundedSocket(ours, deadline), bytearray(8)
        theirs.sendall(b"+OK")
        assert bounded.recv_into(buffer) == 3
        with pytest.raises(TimeoutError):
            bounded.recv_into(buffer)
        bounded.settimeout(0)
        with pytest.raises((BlockingIOError, TimeoutError)):
            bounded.recv_into(buffer)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"$4\r\nnull\r\n",
        b"$2\r\n{}\r\n",
        b"$5\r\n[1,2]\r\n",
        b":5\r\n",
        b"$-1\r\n",
        b"$3\r\n{{{\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-MOVED 3999 127.0.0.1:6381\r\n",
    ],
)
def test_what_answers_nonsense_is_no_fleet(answer: bytes) -> None:
    with Impostor(say(answer)) as impostor:
        crew = Crew({REDIS_URL: impostor.url})
        assert not crew.is_there()
    assert crew.events == ["fleet_unavailable"]


def test_an_answer_that_fits_no_offer_is_no_answer(board: Board, server: RedisServer) -> None:
    server.client.set(f"alertlog:1:{{{KEY}:{FINGERPRINT}}}", "somebody else's")
    with pytest.raises(FleetUnavailable, match="WRONGTYPE"):
        board.exchange([an_offer()], LEASE)


# Ways in


def test_a_password_lets_in_and_a_wrong_one_is_told_without_it() -> None:
    with running_redis("--requirepass", PASSWORD) as server:
        at = f"{server.host}:{server.port}"
        crew = Crew({REDIS_URL: f"redis://:correct%2Fhorse%2Bbattery@{at}"})
        assert crew.is_there()
        crew.fleet.close()
        for user in (":wrong-horse", "somebody:wrong-horse", ""):
            crew = Crew({REDIS_URL: f"redis://{user}{'@' if user else ''}{at}"})
            assert not crew.is_there()
            assert "wrong-horse" not in repr(crew.recorder.events)


def test_a_password_that_the_server_repeats_is_not_shown() -> None:
    with Impostor(say(b"-ERR unknown command 'AUTH', with args beginning with: 'pw'\r\n")) as impostor:
        crew = Crew({REDIS_URL: f"redis://:pw@{impostor.host}:{impostor.port}"})
        assert not crew.is_there()
    assert "'pw'" not in crew.recorder.events[0].message


def test_a_unix_socket_is_a_way_in(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with running_redis("--unixsocket", str(path)):
        crew = Crew({REDIS_URL: f"unix://{path}"})
        assert crew.is_there()
        crew.fleet.close()
    crew = Crew({REDIS_URL: f"unix://{path}"})
    assert not crew.is_there()
    assert str(path) in crew.recorder.events[0].message


def test_tls_is_a_way_in_for_those_who_know_the_certificate(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    strange = authority.issue_cert("elsewhere.example")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    for name, made in (("right", certificate), ("wrong", strange)):
        made.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    for name in ("right", "wrong"):
        options = ("--tls-cert-file", f"{tmp_path}/{name}.pem", "--tls-key-file", f"{tmp_path}/{name}.pem")
        with running_redis(*options, "--tls-ca-cert-file", f"{tmp_path}/ca.pem", "--tls-auth-clients", "no") as server:
            server.client.config_set("tls-port", port := free_port())
            for ca, let_in in (("ca", name == "right"), ("other", False)):
                crew = Crew({REDIS_URL: f"rediss://{server.host}:{port}?ssl_ca_certs={tmp_path}/{ca}.pem"})
                assert crew.is_there() is let_in
                crew.fleet.close()


# What is kept on the server


def test_all_keys_go_by_themselves_and_those_of_one_call_have_one_hash_tag(server: RedisServer) -> None:
    with Hosts(server, 3) as fleet:
        for host in fleet.hosts:
            host.log(2, NOW)
            host.share(NOW)
        fleet.board.ration(1, PACE, 15.0, limits=False)
        settle(fleet.hosts, NOW)
    keys = [key.decode() for key in server.client.keys("*")]
    tags = {key[key.index("{") + 1 : key.index("}")] for key in keys}
    assert tags == {KEY, f"{KEY}:{FINGERPRINT}"}
    assert all(0 < server.client.ttl(key) <= KEPT for key in keys)


def test_a_cluster_runs_the_scripts() -> None:
    with running_redis("--cluster-enabled", "yes") as server:
        server.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        server.wait_until(lambda client: "ok" in str(client.execute_command("CLUSTER INFO")["cluster_state"]))
        with Hosts(server, 3) as fleet:
            for host in fleet.hosts:
                host.log(2, NOW)
                host.share(NOW)
            settle(fleet.hosts, NOW)
            assert fleet.told == 6
            assert fleet.board.ration(2, PACE, 15.0, limits=False).granted == 2


def test_many_incidents_are_one_round_trip_and_the_server_may_have_forgotten_the_script(
    board: Board, server: RedisServer
) -> None:
    offers = [an_offer(fingerprint=f"{number:016x}") for number in range(200)]
    for _ in range(2):
        answers = board.exchange(offers, LEASE)
        assert [answer.teller for answer in answers] == [said.share.member for said in offers]
        server.client.script_flush()


def test_texts_may_be_anything_and_numbers_large(board: Board) -> None:
    said = an_offer(
        host='a"b\n\ud800€', levelname="\udcff" * 300, thread="<ü@b>", level=10**30, first=-1e300, last=-1e300
    )
    (answer,) = board.exchange([said], LEASE)
    assert (answer.hosts, answer.levelname, answer.thread) == (('a"b??€',), "?" * 200, "")
    assert answer.level == HIGHEST - 1


def test_ages_arrive_as_they_were_sent(board: Board) -> None:
    teller, member = Share(), Share()
    holding = Holding(FINGERPRINT, "amber", 1, 0, 50, "CRITICAL", NOW - 900, NOW - 300, HOUR, 2, NOW - 600, "<a@b>")
    handing = replace(member, story=teller.member, handed=(Handed(teller.member, 3),))
    board.exchange([offer(teller, holding, NOW), offer(handing, holding, NOW)], LEASE)
    # Some more, at a later time: the first of them is still the first one of all.
    later = replace(holding, first=NOW - 100, last=NOW - 50)
    more = replace(handing, handed=(Handed(teller.member, 5),))
    answers = board.exchange([offer(more, later, NOW), offer(teller, holding, NOW)], LEASE)
    parcel = answers[1].offered[member.member]
    assert parcel.count == 5
    assert parcel.first_age == pytest.approx(900, abs=5)
    assert parcel.last_age == pytest.approx(50, abs=5)
    assert [(answer.mails, answer.thread) for answer in answers] == [(2, "<a@b>")] * 2
    assert answers[0].mailed_age == pytest.approx(600, abs=5)
    assert answers[0].lease == pytest.approx(LEASE, abs=5)
    board.exchange([offer(handing, holding, NOW)], LEASE)  # an old word, late
    (answer,) = board.exchange([offer(teller, holding, NOW)], LEASE)
    assert answer.offered[member.member].count == 5
    assert answer.offered[member.member].last_age == pytest.approx(50, abs=5)


def test_a_lease_is_believed_up_to_a_limit(board: Board) -> None:
    (answer,) = board.exchange([an_offer()], 10 * LONGEST_LEASE)
    assert answer.lease == LONGEST_LEASE


@pytest.mark.parametrize("field", ["mails", "told:ab"])
@pytest.mark.parametrize("number", [b"-1", b"1e300", b"nan", b"inf"])
def test_a_count_that_cannot_be_is_no_answer(board: Board, server: RedisServer, field: str, number: bytes) -> None:
    board.exchange([an_offer()], LEASE)
    server.client.hset(f"alertlog:1:{{{KEY}:{FINGERPRINT}}}", field, number)
    with pytest.raises(FleetUnavailable):
        board.exchange([an_offer()], LEASE)


def test_what_stands_for_a_thread_is_a_message_id_or_nothing(board: Board, server: RedisServer) -> None:
    board.exchange([an_offer()], LEASE)
    for text, thread in (("<a.1@b.example>", "<a.1@b.example>"), ("<a@b>\r\nBcc: x@y", ""), ("<a@b><c@d>", "")):
        server.client.hset(f"alertlog:1:{{{KEY}:{FINGERPRINT}}}", "thread", text)
        (answer,) = board.exchange([an_offer()], LEASE)
        assert answer.thread == thread


# The ration


def test_the_ration_is_one_for_all_hosts(server: RedisServer) -> None:
    crews = [Crew({REDIS_URL: server.url}) for _ in range(3)]
    granted = []
    for crew in crews:
        ration = crew.fleet.reserve(7, PACE.burst, PACE)
        assert ration is not None
        granted.append(ration.granted)
        crew.fleet.close()
    assert granted == [7, 7, 1]


def test_what_is_given_back_is_there_again_but_never_more_than_the_burst(board: Board) -> None:
    assert board.ration(15, PACE, 15.0, limits=False).granted == 15
    assert board.ration(1, PACE, 15.0, limits=False).granted == 0
    board.ration(-4, PACE, 15.0, limits=False)
    assert board.ration(5, PACE, 15.0, limits=False).granted == 4
    board.ration(-100, PACE, 15.0, limits=False)
    assert board.ration(0, PACE, 15.0, limits=False).tokens == PACE.burst


def test_the_ration_fills_up_at_its_pace(board: Board, server: RedisServer) -> None:
    board.ration(15, PACE, 15.0, limits=False)
    (key,) = server.client.keys("*:mails")
    server.client.hincrby(key, "at", -1200 * 1000)
    assert board.ration(0, PACE, 15.0, limits=False).tokens == pytest.approx(5.0, abs=0.1)


def test_a_server_that_has_forgotten_the_ration_believes_the_host(board: Board, server: RedisServer) -> None:
    board.ration(12, PACE, 15.0, limits=False)
    server.empty()
    assert board.ration(15, PACE, 3.2, limits=False).granted == 3
    server.empty()
    assert board.ration(15, PACE, -1.0, limits=False).granted == 0


def test_a_host_that_has_mailed_alone_leaves_no_more_than_it_has_left_itself(server: RedisServer) -> None:
    crew = Crew({REDIS_URL: server.url})
    assert crew.fleet.reserve(0, 15.0, PACE) is not None
    crew.environ[REDIS_URL] = ""
    crew.fleet.close()
    assert crew.fleet.reserve(4, 15.0, PACE) is None  # and it mails as its own ration allows
    crew.environ[REDIS_URL] = server.url
    assert crew.fleet.reserve(15, 11.0, PACE).granted == 11  # type: ignore[union-attr]
    crew.fleet.give_back(11, 11.0, PACE)
    assert crew.fleet.reserve(0, 2.0, PACE).tokens == pytest.approx(11.0, abs=0.1)  # type: ignore[union-attr]
    crew.fleet.close()


# Killed in the middle


def test_four_hosts_tell_every_alert_once_over_a_server_that_is_killed_and_restarted_in_the_middle() -> None:
    with running_redis() as server, Hosts(server, 4) as fleet:
        for turn in range(40):
            now = NOW + turn
            if turn in (8, 24):
                server.kill()
            if turn in (16, 32):
                server.start()
            away = 8 <= turn < 16 or 24 <= turn < 32
            for host in fleet.hosts:
                host.log(1 + turn % 3, now)
                host.share(now, "unreachable" if away else "none")
                host.tell(now)
                fleet.check()
        settle(fleet.hosts, NOW + 60)
        assert fleet.told == fleet.raised
        assert fleet.mails[-1].total == fleet.raised
        assert [mail.reason for mail in fleet.mails].count("opening") == 1
