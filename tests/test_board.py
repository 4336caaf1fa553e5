"""What the script makes of words about a story: who can end it, what outlives what, and what a late word changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from alertlog.board import Board
from alertlog.clock import SystemClock
from alertlog.handover import HOSTS, LEASE, offer
from alertlog.link import Link
from alertlog.sharing import Answer, Handed, Holding, Share
from tests.fleets import FINGERPRINT, NOW
from tests.redis_server import RedisServer

HOUR = 3600.0
DESK = f"alertlog:1:{{0a1b2c3d:{FINGERPRINT}}}"


@dataclass
class Desk:
    """One incident's keys, and the means to speak of it in any host's name."""

    board: Board
    client: Any

    def say(self, member: str, story: str = "", **changes: Any) -> Answer:
        holding = Holding(FINGERPRINT, member, 1, 0, 40, "ERROR", NOW, NOW, HOUR)
        shares = {name: changes.pop(name) for name in ("asked", "handed", "taken") if name in changes}
        share = replace(Share(member, story), **shares)
        (answer,) = self.board.exchange([offer(share, replace(holding, **changes), NOW)], LEASE)
        return answer

    def field(self, name: str) -> int:
        return int(self.client.hget(DESK, name) or 0)

    def set(self, name: str, value: int) -> None:
        self.client.hset(DESK, name, value)

    def is_closed(self, member: str) -> bool:
        return bool(self.client.hexists(f"{DESK}:{member}", "final"))


@pytest.fixture
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    """The story of `ab` is told by `ab`; `cd` takes part in it."""
    redis_server.empty()
    board, client = Board(Link(redis_server.url, "URL", SystemClock()), "0a1b2c3d"), redis_server.client
    desk = Desk(board, client)
    desk.say("ab")
    assert desk.say("cd").teller == "ab"
    yield desk
    board.close()
    client.close()


# The end


def test_the_teller_can_end_the_story(desk: Desk) -> None:
    desk.say("ab", "ab", standing="over")
    assert desk.say("cd", "ab").over
    assert desk.say("ef").story == "ef"


def test_nobody_else_can_while_there_is_one(desk: Desk) -> None:
    desk.say("cd", "ab", standing="over")
    assert not desk.say("ab", "ab").over


def test_anybody_can_while_there_is_none(desk: Desk) -> None:
    desk.set("until", 0)
    desk.say("cd", "ab", standing="over")
    assert desk.say("ab", "ab").over


def test_a_teller_that_leaves_ends_nothing_but_its_lease(desk: Desk) -> None:
    desk.say("ab", "ab", standing="closed")
    answer = desk.say("cd", "ab")
    assert not answer.over
    assert answer.teller == "cd"


@pytest.mark.parametrize("story", ["", "zz"])
def test_the_end_of_another_story_is_not_the_end_of_this_one(desk: Desk, story: str) -> None:
    desk.set("until", 0)
    desk.say("zz", story, standing="over")
    assert not desk.say("cd", "ab").over


def test_without_a_story_there_is_no_end(desk: Desk) -> None:
    desk.client.flushall()
    desk.say("cd", standing="over")
    assert desk.say("ef").story == "ef"


def test_a_host_that_missed_the_end_and_the_next_beginning_finds_that_its_story_is_over(desk: Desk) -> None:
    desk.say("ab", "ab", standing="over")
    assert desk.say("ef").teller == "ef"
    answer = desk.say("cd", "ab", mails=7, level=50, told=9, count=9)
    assert (answer.over, answer.teller) == (True, "")
    answer = desk.say("ef", "ef")
    assert (answer.mails, answer.level, answer.told) == (0, 40, {})


def test_a_story_that_is_over_changes_no_more(desk: Desk) -> None:
    desk.say("ab", "ab", standing="over")
    desk.say("cd", "ab", mails=7, told=9, count=9)
    assert desk.say("gh", "ab").mails == 0
    assert desk.field("until") == 0


def test_the_last_word_of_a_member_counts_what_its_mails_have_told(desk: Desk) -> None:
    desk.say("cd", "ab", standing="closed", told=5, count=5)
    assert desk.say("ab", "ab").told == {"cd": 5}


def test_a_last_word_about_no_story_tells_this_one_nothing(desk: Desk) -> None:
    desk.say("zz", "", standing="closed", told=5, count=5, resolved=True)
    answer = desk.say("ab", "ab")
    assert (answer.told, answer.resolved, answer.hosts) == ({}, False, ("ab", "cd"))


# What is forgotten


def test_a_story_without_a_teller_is_forgotten_once_it_has_been_quiet(desk: Desk) -> None:
    desk.set("until", 0)
    assert desk.say("ef").story == "ab"
    desk.set("until", 0)
    desk.set("heard", desk.field("heard") - int(HOUR * 1000) - 1)
    assert desk.say("gh").story == "gh"


def test_a_story_with_a_teller_is_not(desk: Desk) -> None:
    desk.set("heard", 0)
    assert desk.say("ef").story == "ab"


def test_nor_is_it_by_those_who_take_part_in_it(desk: Desk) -> None:
    desk.set("until", 0)
    desk.set("heard", 0)
    assert desk.say("cd", "ab").story == "ab"


def test_who_takes_part_in_a_story_brings_it_back_to_a_server_that_has_forgotten_it(desk: Desk) -> None:
    desk.client.flushall()
    answer = desk.say("cd", "ab", mails=3, thread="<a@b>", told=2, count=4)
    assert (answer.story, answer.teller, answer.mails, answer.thread) == ("ab", "cd", 3, "<a@b>")
    assert answer.told == {"cd": 2}


# Late words


def test_a_late_word_takes_nothing_back(desk: Desk) -> None:
    desk.say("ab", "ab", mails=3, mailed=NOW - 10, last=NOW - 10, told=6, count=6, level=50, levelname="CRITICAL")
    before = {name: desk.field(name) for name in ("mails", "mailed", "heard", "told:ab", "level")}
    desk.say("ab", "ab", mails=2, mailed=NOW - 500, last=NOW - 500, told=4, count=6, level=40)
    assert {name: desk.field(name) for name in before} == before
    assert desk.say("cd", "ab").levelname == "CRITICAL"


def test_ages_are_counted_back_from_now(desk: Desk) -> None:
    desk.client.flushall()
    desk.say("ab", mails=1, mailed=NOW - 600, last=NOW - 300)
    now = int(desk.client.time()[0])
    assert desk.field("mailed") / 1000 == pytest.approx(now - 600, abs=10)
    assert desk.field("heard") / 1000 == pytest.approx(now - 300, abs=10)
    assert desk.field("until") / 1000 == pytest.approx(now + LEASE, abs=10)


def test_what_was_taken_is_not_less_after_a_late_word(desk: Desk) -> None:
    desk.say("ab", "ab", taken={"cd": 5})
    desk.say("ab", "ab", taken={"cd": 3})
    assert desk.say("cd", "ab", handed=(Handed("ab", 5),)).acks["ab"].taken == 5


def test_what_was_offered_before_it_was_withdrawn_is_not_taken(desk: Desk) -> None:
    desk.say("cd", "ab", handed=(Handed("ab", 5),))
    desk.say("ab", "ab", taken={"cd": 2})
    assert desk.say("cd", "ab", handed=(Handed("ab", 5, withdrawn=True),)).acks["ab"].final
    assert desk.say("ab", "ab", taken={"cd": 2}).offered["cd"].count == 2
    desk.say("ab", "ab", taken={"cd": 3})  # it had taken one more before it knew
    ack = desk.say("cd", "ab", handed=(Handed("ab", 5, withdrawn=True),)).acks["ab"]
    assert (ack.taken, ack.final) == (3, True)


# Trays


@pytest.mark.parametrize(
    ("member", "changes", "closed"),
    [
        ("ab", {"asked": False}, True),  # the teller, which may not know it yet
        ("cd", {"asked": True}, True),  # who was the teller on a server that has forgotten it
        ("cd", {}, False),  # nobody hands anything to who was never the teller
    ],
)
def test_who_was_the_teller_says_that_it_takes_no_more(
    desk: Desk, member: str, changes: dict[str, Any], closed: bool
) -> None:
    desk.say(member, "ab", standing="closed", **changes)
    assert desk.is_closed(member) is closed


def test_so_does_who_has_been_handed_something(desk: Desk) -> None:
    desk.set("until", 0)
    desk.say("ef", "ab", handed=(Handed("cd", 1),))
    desk.say("cd", "ab", standing="closed")
    assert desk.say("ef", "ab", handed=(Handed("cd", 1),)).acks["cd"].final


def test_hosts_are_kept_up_to_a_limit(desk: Desk) -> None:
    for number in range(5 * HOSTS):
        answer = desk.say(f"host{number}", "ab")
    assert len(answer.hosts) == HOSTS
    assert desk.client.hlen(DESK) <= 4 * HOSTS
