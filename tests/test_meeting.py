"""Hosts that share their windows: each with its outbox and courier, over a real Redis and a real mail server."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from alertlog.database import Database
from alertlog.place import REDIS_URL
from alertlog.testing import Mail, MailServer
from tests.programs import PATIENCE, Site
from tests.redis_server import Impostor, RedisServer, Relay, free_port, mute, running_redis
from tests.stories import HOUR, OWNER, Story, alert, count, header, reasons, references, total

NAMES = ("amber", "beryl", "coral")
MESSAGE = "Disk full"
TIMES = (b"until", b"heard", b"mailed", b"at")


class Hosts:
    """Some hosts, whose clocks go together.

    Args:
        url: where they find the Redis that they share, if not where it is.
    """

    def __init__(
        self, folder: Path | None, server: MailServer, redis: RedisServer, number: int, url: str = "", **pace: float
    ) -> None:
        self.server = server
        self.redis = redis
        self.url = url or redis.url
        self.stories = []
        for name in NAMES[:number]:
            story = Story(folder / name / "alerts.sqlite3" if folder else None, server, None, **pace)
            story.environ |= {REDIS_URL: self.url}
            self.stories.append(story)

    def work(self, after: float = 0.0) -> None:
        """Each host's courier looks, `after` so many seconds."""
        self.wait(after)
        for story in self.stories:
            story.work()

    def work_for(self, seconds: float, each: float = 60.0) -> None:
        for _ in range(round(seconds / each)):
            self.work(each)

    def wait(self, seconds: float) -> None:
        """Time passes, on the server too."""
        for story in self.stories:
            story.clock.advance(seconds)
        with suppress(RedisError), closing(self.redis.client) as client:
            for key in client.keys("alertlog:*"):
                for field in client.hkeys(key) if seconds else ():
                    if field in TIMES or field.startswith((b"first:", b"last:")):
                        client.hincrby(key, field, round(-seconds * 1000))

    def alert(self, host: int, message: str = MESSAGE, *, times: int = 1, **changes: object) -> None:
        self.stories[host].alert(message, times=times, **{"host": NAMES[host], **changes})

    def end(self, host: int) -> None:
        self.stories[host].alert(MESSAGE, host=NAMES[host], resolved=True)

    def cut_off(self, host: int) -> None:
        """A process there is killed, and the next one does not reach Redis."""
        self._restart(host, f"redis://127.0.0.1:{free_port()}/0")

    def connect(self, host: int) -> None:
        """A process there is killed, and the next one reaches Redis again."""
        self._restart(host, self.url)

    def _restart(self, host: int, url: str) -> None:
        self.stories[host].environ[REDIS_URL] = url
        self.stories[host].restart()

    def silence(self, host: int, seconds: float) -> None:
        story = self.stories[host]
        with closing(story.outbox()) as outbox:
            known = alert(MESSAGE, story.clock).fingerprint
            outbox.mutes.add(known, story.clock.wall(), story.clock.wall() + seconds, "known")

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

    @property
    def left(self) -> int:
        """Incidents that any outbox still knows of, those too that are over."""
        number = 0
        for story in self.stories:
            if story.place is not None and story.place.exists():
                with closing(Database(story.place)) as database:
                    number += database.rows("SELECT count(*) FROM incident")[0][0]
        return number

    def events(self, name: str) -> list[int]:
        return [len(story.recorder.named(name)) for story in self.stories]

    def close(self) -> None:
        for story in self.stories:
            story.end()


@contextmanager
def fleet(
    folder: Path | None, server: MailServer, redis: RedisServer, number: int = 2, url: str = "", **pace: float
) -> Iterator[Hosts]:
    hosts = Hosts(folder, server, redis, number, url, **pace)
    try:
        yield hosts
    finally:
        hosts.close()


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
    with fleet(tmp_path, server, redis) as hosts:
        yield hosts


# One story


@pytest.mark.parametrize("durable", [True, False])
def test_two_hosts_open_one_incident_and_the_follow_up_has_the_exact_total_and_their_names(
    tmp_path: Path, server: MailServer, redis: RedisServer, durable: bool
) -> None:
    with fleet(tmp_path if durable else None, server, redis) as two:
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
        assert "9 more alerts since the last mail, 12 in all" in follow_up.text
        assert "shop on amber, beryl" in follow_up.text
        two.work_for(2 * HOUR)
        assert two.told == two.raised == 12
        assert len(two.mails) == 2
        assert two.events("fleet_unavailable") == [0, 0]
        two.alert(1)
        two.work(1)
        assert reasons(two.mails) == ["opening", "follow-up", "opening"]


def test_nothing_is_left_of_an_incident_four_hours_after_its_end(two: Hosts) -> None:
    two.alert(0)
    two.alert(1)
    two.work()
    two.work_for(7 * HOUR, each=600)
    assert two.left == 0
    assert two.told == two.raised


def test_what_one_host_reports_the_end_of_is_told_by_the_host_that_opened_it_and_is_over_for_both(two: Hosts) -> None:
    two.alert(0)
    two.alert(1)
    two.work()
    two.end(1)
    two.work(1)
    two.work(1)
    two.work(1)
    assert reasons(two.mails) == ["opening", "resolved"]
    assert [count(mail) for mail in two.mails] == [1, 1]
    two.alert(1)
    two.work(1)
    assert reasons(two.mails) == ["opening", "resolved", "opening"]


def test_a_higher_level_on_another_host_is_mailed_at_once(two: Hosts) -> None:
    two.alert(0, level=40, levelname="ERROR")
    two.alert(1, level=40, levelname="ERROR")
    two.work()
    two.work(1)
    two.alert(1, level=50)
    two.work(1)
    two.work(1)
    assert reasons(two.mails) == ["opening", "follow-up"]
    assert "CRITICAL" in two.mails[1].text
    assert two.told == two.raised


def test_where_the_host_that_opened_is_gone_another_goes_on_in_its_thread(two: Hosts, redis: RedisServer) -> None:
    two.alert(0)
    two.alert(1)
    two.work()
    two.work(6)
    two.stories[0].end()
    two.wait(301)
    two.alert(1, times=2)
    two.stories[1].work()
    opening, follow_up = two.mails
    assert references(follow_up) == header(opening, "Message-ID")
    assert (count(follow_up), total(follow_up)) == (2, 3)  # the fourth is for the other one to tell
    two.stories[0].begin()
    two.work_for(2 * HOUR)
    assert two.told == two.raised


def test_where_it_is_gone_before_its_first_mail_another_opens(two: Hosts, redis: RedisServer) -> None:
    two.stories[0].environ["SMTP_PORT"] = str(free_port())
    two.alert(0)
    two.stories[0].work()  # it is the first one, and can't send
    two.alert(1)
    two.stories[1].work()
    assert two.mails == []
    two.stories[0].end()
    for _ in range(6):
        two.wait(10)
        two.stories[1].work()
    assert reasons(two.mails) == ["opening"]


def test_a_host_that_cannot_send_leaves_it_to_another_with_all_that_it_has(two: Hosts) -> None:
    two.stories[0].environ["SMTP_PORT"] = str(free_port())
    two.alert(0)
    two.work()
    two.alert(0, times=4)
    two.alert(1)
    two.work(6)
    two.work_for(2 * HOUR, each=100)
    assert "".join(mail.text for mail in two.mails).count("shop on amber, beryl")
    two.stories[0].environ["SMTP_PORT"] = str(two.server.port)
    two.work_for(5 * HOUR, each=300)
    assert two.told == two.raised == 6


def test_a_host_that_leaves_takes_what_was_handed_to_it_meanwhile_and_tells_it(two: Hosts) -> None:
    two.alert(0)
    two.work()
    two.work(1)
    two.alert(1, times=3)
    two.stories[1].work(1)
    two.stories[0].leave()
    two.stories[1].leave()
    assert reasons(two.mails) == ["opening", "closing"]
    assert two.told == two.raised == total(two.mails[1])


def test_what_a_host_tells_as_it_leaves_is_in_the_totals_of_the_others(two: Hosts) -> None:
    two.alert(0)
    two.alert(1)
    two.work()
    two.alert(0, times=3)
    two.stories[0].leave()
    two.alert(1, times=5)
    two.stories[1].leave()
    assert reasons(two.mails) == ["opening", "closing", "closing"]
    assert two.told == two.raised == total(two.mails[2])


def test_a_mute_is_of_one_host_and_what_it_covers_is_told_there_when_it_ends(two: Hosts) -> None:
    two.alert(0)
    two.work()
    two.silence(0, 1000)
    two.alert(0, times=2)
    two.work(6)
    two.alert(1, times=3)
    two.work(6)
    two.work_for(600)
    assert [count(mail) for mail in two.mails] == [1, 3]
    two.work_for(2 * HOUR)
    assert two.told == two.raised == 6


def test_a_purge_takes_with_it_what_that_host_has_and_no_more(two: Hosts) -> None:
    two.alert(0)
    two.alert(1, times=2)
    two.work()
    two.work(1)
    with closing(two.stories[0].outbox()) as outbox:
        incidents = outbox.incidents.all()
        lost = sum(incident.untold for incident in incidents)
        outbox.remove(incidents)
    two.work_for(2 * HOUR)
    assert two.told + lost == two.raised


# Redis


def test_while_redis_is_away_each_host_goes_on_by_itself_and_says_so_once_each_time(
    tmp_path: Path, server: MailServer
) -> None:
    with running_redis() as redis, fleet(tmp_path, server, redis) as two:
        two.alert(0)
        two.alert(1)
        two.work()
        two.work(6)
        for outage in (1, 2):
            redis.kill()
            two.alert(0, f"Outage {outage}")
            two.alert(1, f"Outage {outage}")
            two.alert(1)
            two.work_for(300)
            assert reasons(two.mails).count("opening") == 1 + 2 * outage
            assert two.events("fleet_unavailable") == [outage, outage]
            redis.start()
            two.work_for(300)
        (event, _) = two.stories[0].recorder.named("fleet_unavailable")
        assert event.fields["stage"] == "fleet"
        two.alert(0, "Afterwards")
        two.alert(1, "Afterwards")
        two.work_for(5 * HOUR, each=300)
        assert [mail.text.splitlines()[0] for mail in two.mails].count("Afterwards") == 2  # opening and closing
        assert two.told == two.raised


def test_while_redis_stays_away_what_is_over_is_forgotten_all_the_same(tmp_path: Path, server: MailServer) -> None:
    with running_redis() as redis, fleet(tmp_path, server, redis) as two:
        two.alert(0)
        two.alert(1)
        two.work()
        two.work(6)
        redis.kill()
        two.work(1)
        two.work(1)  # too early to ask again
        two.work_for(9 * HOUR, each=600)
        assert two.left == 0
        assert two.told == two.raised
        assert two.events("fleet_unavailable") == [1, 1]


def test_a_redis_that_stops_answering_holds_a_round_for_seconds_only_and_costs_no_count(
    tmp_path: Path, server: MailServer
) -> None:
    with running_redis() as redis, fleet(tmp_path, server, redis) as two:
        two.alert(0)
        two.alert(1)
        two.work()
        two.work(6)
        redis.signal(signal.SIGSTOP)
        two.alert(0, "Other trouble")
        two.alert(1, times=2)
        two.work(1)
        assert reasons(two.mails) == ["opening", "opening"]
        assert two.events("fleet_unavailable") == [1, 1]
        redis.signal(signal.SIGCONT)
        two.work_for(5 * HOUR, each=300)
        assert two.told == two.raised


def test_a_redis_that_has_forgotten_all_costs_no_count_and_no_second_opening(two: Hosts, redis: RedisServer) -> None:
    two.alert(0)
    two.alert(1)
    two.work()
    redis.empty()
    two.alert(1, times=3)
    two.work(1)
    redis.empty()
    two.work_for(2 * HOUR)
    assert reasons(two.mails).count("opening") == 1
    assert two.told == two.raised


def test_what_a_teller_that_has_closed_never_took_is_told_by_its_own_host_when_that_leaves_at_the_latest(
    two: Hosts, redis: RedisServer
) -> None:
    two.silence(1, 60)
    two.alert(0)
    two.alert(1)
    two.work_for(60, each=6)  # at last it promises its alert to the other one
    redis.empty()  # which has not looked yet
    two.cut_off(1)
    two.work_for(1.5 * HOUR)  # both are quiet, and close
    redis.empty()  # that the teller takes no more is forgotten too
    two.connect(1)
    two.stories[1].work()
    two.stories[0].work(61)  # it says so again
    assert two.told < two.raised
    two.stories[1].leave()
    assert two.told == two.raised


def test_a_teller_that_closes_while_redis_is_away_says_so_once_it_is_back(tmp_path: Path, server: MailServer) -> None:
    with running_redis() as redis, fleet(tmp_path, server, redis) as two:
        two.alert(0)
        two.work()
        two.work(6)
        two.alert(1)
        two.stories[1].work(1)  # it promises its alert to the other one
        redis.kill()  # which has not looked yet
        two.alert(0)
        two.stories[0].leave()
        redis.start()
        two.stories[0].begin()
        two.work_for(300)
        assert reasons(two.mails) == ["opening", "closing", "follow-up"]
        assert two.told == two.raised


@pytest.mark.parametrize("seed", range(12))
def test_whatever_fails_each_alert_is_told_once(
    tmp_path: Path, server: MailServer, redis: RedisServer, seed: int
) -> None:
    chance = random.Random(seed)
    with Relay(redis) as relay, fleet(tmp_path, server, redis, chance.choice((2, 3)), relay.url) as hosts:
        for _ in range(40):
            Accident(hosts, relay, redis, chance).happen()
        relay.losing = 0
        for story in hosts.stories:
            story.environ |= {"SMTP_PORT": str(server.port), REDIS_URL: relay.url}
        hosts.work_for(600)
        hosts.work_for(12 * HOUR, each=600)
        assert hosts.told == hosts.raised
        assert hosts.left == 0
        assert "courier" not in {told.fields.get("stage") for story in hosts.stories for told in story.recorder.events}


class Accident:
    """Something that can happen to a host, drawn by lot."""

    def __init__(self, hosts: Hosts, relay: Relay, redis: RedisServer, chance: random.Random) -> None:
        self._hosts = hosts
        self._relay = relay
        self._redis = redis
        self._chance = chance
        self._host = chance.randrange(len(hosts.stories))
        self._story = hosts.stories[self._host]

    def happen(self) -> None:
        often = (self.alert,) * 6 + (self.work,) * 8 + (self.all_work,) * 3
        seldom = (self.kill, self.leave, self.smtp, self.forget, self.lose, self.end, self.away, self.mute)
        self._chance.choice((*often, *seldom))()

    def alert(self) -> None:
        level = self._chance.choice((30, 40, 50))
        self._hosts.alert(self._host, times=self._chance.randint(1, 5), level=level)

    def work(self) -> None:
        self._hosts.wait(self._chance.choice((0, 1, 6, 20, 60, 300)))
        self._story.work()

    def all_work(self) -> None:
        self._hosts.work(self._chance.choice((0, 1, 6, 60, 300)))

    def kill(self) -> None:
        self._story.intake.write_counts()
        self._story.restart()

    def leave(self) -> None:
        self._story.leave()
        self._story.begin()

    def smtp(self) -> None:
        there = str(self._hosts.server.port)
        self._story.environ["SMTP_PORT"] = str(free_port()) if self._story.environ["SMTP_PORT"] == there else there

    def forget(self) -> None:
        self._redis.empty()

    def lose(self) -> None:
        self._relay.losing = self._chance.randint(1, 2)

    def end(self) -> None:
        self._hosts.end(self._host)

    def away(self) -> None:
        """For less than four hours, all in all: alerts under way that nobody acknowledges are then told again."""
        self._story.environ[REDIS_URL] = f"redis://127.0.0.1:{free_port()}/0"
        self.kill()
        self._story.work(1)
        self._story.environ[REDIS_URL] = self._relay.url

    def mute(self) -> None:
        self._hosts.silence(self._host, self._chance.choice((10, 2000)))


# The ration


def test_the_ration_holds_for_the_fleet_and_what_it_holds_back_is_one_digest(
    tmp_path: Path, server: MailServer, redis: RedisServer
) -> None:
    with fleet(tmp_path, server, redis, 3, mails_per_hour=8) as hosts:
        for number in range(4):
            for host in range(3):
                hosts.alert(host, f"Disk {number} of {host} full")
                hosts.stories[host].work(5)
        assert len(hosts.mails) == 4
        hosts.work_for(HOUR)
        assert len(hosts.mails) <= 8
        assert "digest" in reasons(hosts.mails)
        hosts.work_for(5 * HOUR, each=300)
        assert hosts.told == hosts.raised


def test_what_was_reserved_and_not_accepted_is_given_back(two: Hosts, redis: RedisServer) -> None:
    two.alert(0)
    two.stories[0].environ["SMTP_PORT"] = str(free_port())
    two.work()
    with closing(redis.client) as client:
        (key,) = client.keys("*:mails")
        assert float(client.hget(key, "tokens")) == 15


def test_a_ration_that_cannot_be_asked_for_holds_nothing_back(two: Hosts, redis: RedisServer) -> None:
    with closing(redis.client) as client:
        client.set(f"alertlog:1:{{{OWNER.key}}}:mails", "what nobody can count")
    two.alert(0)
    two.work()
    assert reasons(two.mails) == ["opening"]
    assert two.events("fleet_unavailable") == [1, 0]


# Processes


def test_programs_on_two_hosts_are_one_fleet(tmp_path: Path, server: MailServer, redis: RedisServer) -> None:
    program = """
        import logging, logging.config, sys
        logging.config.dictConfig({
            "version": 1,
            "handlers": {"alerts": {"class": "alertlog.AlertHandler"}},
            "root": {"handlers": ["alerts"]},
        })
        for line in sys.stdin:
            logging.critical("Quota used up")
            logging.root.handlers[0].flush()
            print("done", flush=True)
    """
    folders = [tmp_path / name for name in NAMES[:2]]
    for folder in folders:
        folder.mkdir()
    first, second = (Site(folder, server, **{REDIS_URL: redis.url}) for folder in folders)
    with first.running(program) as one, second.running(program) as other:
        for process in (one, other, other, one):
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"
        assert reasons(server.mails) == ["opening"]
        for process in (other, one):  # the one that opened leaves last
            process.communicate("", timeout=PATIENCE)
    assert reasons(server.mails) == ["opening", "closing"]
    assert [count(mail) for mail in server.mails] == [1, 3]
    assert header(server.mails[1], "X-Alertlog-Total") == "4"


def test_what_a_program_logs_last_of_all_is_shared_and_mailed_before_it_is_gone(
    tmp_path: Path, server: MailServer, redis: RedisServer
) -> None:
    """Redis is imported then, by the courier, while the interpreter shuts down."""
    for name in NAMES[:2]:
        (tmp_path / name).mkdir()
        site = Site(tmp_path / name, server, **{REDIS_URL: redis.url})
        names = site.run("listen()\nlog.critical('Disk full')\n").names
        assert {"smtp_send_failed", "fleet_unavailable"}.isdisjoint(names)
    assert reasons(server.mails) == ["opening", "closing"]
    assert references(server.mails[1]) == header(server.mails[0], "Message-ID")
    assert total(server.mails[1]) == 2


# Locks and files


def test_what_memory_holds_while_the_file_is_out_of_reach_is_not_shared(two: Hosts, redis: RedisServer) -> None:
    place = two.stories[0].place
    assert place is not None
    place.mkdir(parents=True)
    two.alert(0)
    two.work()
    assert reasons(two.mails) == ["opening"]
    with closing(redis.client) as client:
        assert client.keys("*:mails")
        assert len(client.keys("*")) == 1
    place.rmdir()
    two.alert(0)
    two.work_for(2 * HOUR)
    assert two.told == two.raised == 2


def test_a_fork_does_not_wait_for_redis(tmp_path: Path, server: MailServer, redis: RedisServer) -> None:
    heard = threading.Event()

    def listen(connection: object) -> None:
        heard.set()
        mute(connection)  # type: ignore[arg-type]

    with Impostor(listen) as impostor, fleet(tmp_path, server, redis, 1, impostor.url) as hosts:
        hosts.alert(0)
        thread = threading.Thread(target=hosts.work)
        thread.start()
        assert heard.wait(PATIENCE)
        rounds = hosts.stories[0].rounds
        assert rounds is not None
        assert rounds.before_fork()
        assert thread.is_alive()
        rounds.after_fork()
        thread.join(PATIENCE)
        assert reasons(hosts.mails) == ["opening"]
