"""Sixty-four real processes on four hosts: an outbox for those of each host, and one Redis for the hosts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from alertlog.place import REDIS_URL
from alertlog.testing import MailServer
from tests.fleets import NAMES
from tests.programs import PATIENCE, Site, told
from tests.redis_server import RedisServer, running_redis
from tests.stories import count, header, reasons, total

WORKERS = 16
"""Processes on each host."""
TIMES = 20
"""How often each of them raises a trouble in one go."""
IN_A_GO = len(NAMES) * WORKERS * TIMES

# The parent imports what its workers need, as a preloading server does, and they end as children of multiprocessing
# do: sixty-four imports and sixty-four ends of an interpreter would take longer than all else. What belongs to a
# machine and not to a process, its name, is the one thing here that is not real.
HOST = """
    import socket
    import redis
    import alertlog.board, alertlog.delivery, alertlog.link, alertlog.rounds, alertlog.smtp, pythonjsonlogger.json

    name, workers, times, goes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    socket.gethostname = lambda: name
    gates = [(os.pipe(), os.pipe()) for _ in goes]


    def work():
        for (_, ours), _ in gates:
            os.close(ours)
        listen()
        for troubles, ((gate, _), (_, word)) in zip(goes, gates):
            os.read(gate, 1)  # returns once the parent has closed the gate, or is gone
            for number in range(times if troubles else 0):
                for kind in troubles.split():
                    log.critical("%s: call %d of %s", kind, number, name, extra={"alert": kind})
                if number in (times // 2, times - 1):
                    os.write(word, b".")
                time.sleep(0.01)
        logging.shutdown()
        os._exit(0)


    signal.alarm(60)  # whatever hangs
    for _ in range(workers):
        if os.fork() == 0:
            signal.alarm(60)
            work()
    for troubles, ((_, ours), (words, _)) in zip(goes, gates):
        sys.stdin.readline()
        os.close(ours)
        for word in ("half", "done") if troubles else ():
            for _ in range(workers):
                os.read(words, 1)
            print(word, flush=True)
    sys.exit(max(os.wait()[1] for _ in range(workers)))
"""


class Fleet:
    """Four hosts, each a parent and its workers, which go on together each time they are told to."""

    def __init__(self, hosts: Sequence[subprocess.Popen[str]]) -> None:
        self._hosts = hosts

    def begin(self) -> None:
        """Let all workers raise what their next go is about, all at the same time."""
        for host in self._hosts:
            assert host.stdin is not None
            host.stdin.write("\n")
            host.stdin.flush()

    def reach(self, word: str) -> None:
        """Wait until the workers of all hosts are half through with it, or done."""
        for host in self._hosts:
            assert host.stdout is not None
            assert host.stdout.readline() == f"{word}\n"

    def go(self) -> None:
        self.begin()
        self.reach("half")
        self.reach("done")

    def leave(self, last: str) -> list[str]:
        """Let one host after the other end; return what each has written to stderr."""
        hosts = dict(zip(NAMES, self._hosts, strict=True))
        errors = []
        for name in sorted(NAMES, key=lambda name: name == last):
            _, error = hosts[name].communicate("\n", timeout=PATIENCE)
            assert hosts[name].returncode == 0
            errors.append(error)
        return errors


@contextmanager
def four_hosts(folder: Path, server: MailServer, redis: RedisServer, *goes: str) -> Iterator[Fleet]:
    """Start them: in each go all workers raise these kinds of trouble, and then they end."""
    with ExitStack() as stack:
        hosts = []
        for name in NAMES:
            (folder / name).mkdir()
            site = Site(folder / name, server, **{REDIS_URL: redis.url}).unmeasured()
            hosts.append(stack.enter_context(site.running(HOST, name, str(WORKERS), str(TIMES), *goes, "")))
        yield Fleet(hosts)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as server:
        yield server


def opened(server: MailServer, kind: str) -> list[str]:
    """The hosts that have opened an incident of this kind, one for each mail."""
    mails = [mail for mail in server.mails if header(mail, "X-Alertlog-Kind") == kind]
    return [mail.subject.rpartition(" of ")[2] for mail in mails if reasons([mail]) == ["opening"]]


def members(client: Any) -> list[int]:
    """How many hosts take part in each incident that Redis knows."""
    desks = [client.hkeys(key) for key in client.keys("*") if client.hexists(key, "story")]
    return [sum(field.startswith(b"host:") for field in fields) for fields in desks]


def test_sixty_four_workers_on_four_hosts_open_one_incident_and_the_next_mail_has_the_exact_total(
    tmp_path: Path, server: MailServer, redis_server: RedisServer
) -> None:
    redis_server.empty()
    with four_hosts(tmp_path, server, redis_server, "quota", "quota") as fleet:
        fleet.go()
        server.wait_for(1, timeout=30)
        fleet.go()
        (teller,) = opened(server, "quota")
        errors = fleet.leave(last=teller)
    assert reasons(server.mails) == ["opening", "closing"]
    opening, closing = server.mails
    assert count(opening) + count(closing) == total(closing) == 2 * IN_A_GO
    assert f"etl on {', '.join(NAMES)}" in closing.text
    assert "fleet_unavailable" not in "".join(errors)


def test_what_sixty_four_workers_raise_is_told_exactly_once_over_a_redis_that_is_killed_and_comes_back_empty(
    tmp_path: Path, server: MailServer
) -> None:
    goes = ("quota", "quota", "prices", "quota prices")
    with running_redis() as redis, four_hosts(tmp_path, server, redis, *goes) as fleet:
        fleet.go()
        redis.wait_until(lambda client: members(client) == [len(NAMES)])
        fleet.begin()
        fleet.reach("half")
        redis.kill()
        fleet.reach("done")
        fleet.go()
        while len(opened(server, "prices")) < len(NAMES):  # rather a mail from each host than none
            server.wait_for(len(server.mails) + 1, timeout=30)
        fleet.begin()
        fleet.reach("half")
        redis.start()
        fleet.reach("done")
        redis.wait_until(lambda client: members(client) == [len(NAMES)] * 2)
        errors = fleet.leave(last=NAMES[0])
    assert sorted(opened(server, "prices")) == list(NAMES)
    assert told(server.mails) == 5 * IN_A_GO
    assert [error.count('"fleet_unavailable"') for error in errors] == [1] * len(NAMES)
