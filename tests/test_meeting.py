"""Hosts that share their windows: each with its outbox and courier, over a real Redis and a real mail server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from alertlog.fleet import VARIABLE
from alertlog.testing import Mail, MailServer
from tests.redis_server import RedisServer
from tests.stories import HOUR, Story, count, header, references, total

NAMES = ("amber", "beryl", "coral")


class Hosts:
    """Some hosts, whose clocks go together."""

    def __init__(self, folder: Path, server: MailServer, redis: RedisServer, number: int, **pace: float) -> None:
        self.server = server
        self.redis = redis
        self.stories = []
        for name in NAMES[:number]:
            story = Story(folder / name / "alerts.sqlite3", server, **pace)
            story.environ |= {VARIABLE: redis.url}
            self.stories.append(story)

    def work(self, after: float = 0.0) -> None:
        for story in self.stories:
            story.work(after)

    def alert(self, host: int, message: str = "Disk full", *, times: int = 1, **changes: object) -> None:
        self.stories[host].alert(message, times=times, **{"host": NAMES[host], **changes})

    def end_leases(self) -> None:
        """As after fifteen seconds without a word from anybody."""
        with closing(self.redis.client) as client:
            for key in client.keys("*"):
                if client.hexists(key, "until"):
                    client.hset(key, "until", 0)

    @property
    def mails(self) -> list[Mail]:
        """Each mail once, however often it came."""
        return list({header(mail, "Message-ID"): mail for mail in self.server.mails}.values())

    @property
    def told(self) -> int:
        return sum(map(count, self.mails))

    @property
    def raised(self) -> int:
        return sum(story.raised for story in self.stories)

    def events(self, name: str) -> int:
        return sum(len(story.recorder.named(name)) for story in self.stories)

    def close(self) -> None:
        for story in self.stories:
            story.end()


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer("none") as server:
        yield server


@pytest.fixture
def redis(redis_server: RedisServer) -> RedisServer:
    redis_server.empty()
    return redis_server


@pytest.fixture
def two(tmp_path: Path, server: MailServer, redis: RedisServer) -> Iterator[Hosts]:
    hosts = Hosts(tmp_path, server, redis, 2)
    yield hosts
    hosts.close()


def test_two_hosts_open_one_incident_and_the_follow_up_has_the_exact_total_and_their_names(two: Hosts) -> None:
    two.alert(0, times=3)
    two.alert(1, times=4)
    two.work()
    (opening,) = two.mails
    assert (count(opening), total(opening)) == (3, 3)
    two.alert(1, times=5)
    two.work(1)
    two.work(300)
    opening, follow_up = two.mails
    assert (count(follow_up), total(follow_up)) == (9, 12)
    assert references(follow_up) == header(opening, "Message-ID")
    assert "amber, beryl" in follow_up.text
    two.work(HOUR)
    two.work(1)
    assert two.told == two.raised == 12
    assert len(two.mails) == 2
    assert two.events("fleet_unavailable") == 0
