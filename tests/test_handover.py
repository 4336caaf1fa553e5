"""How alerts change hands between hosts: whatever fails in between, none is told twice, none is lost.

Against a real Redis, by the real script, with hosts whose disks are models; see `tests.fleets`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from alertlog.handover import HOSTS, LEASE, RECLAIM_AFTER, SILENT_AFTER, hear, offer
from alertlog.sharing import Ack, Answer, Handed, Holding, Parcel, Share, Standing
from tests.fleets import FAULTS, NOW, Fault, Hosts, settle
from tests.redis_server import RedisServer

HOUR = 3600.0


def a_holding(**changes: Any) -> Holding:
    return replace(Holding("f", "amber", 1, 0, 40, "ERROR", NOW, NOW, HOUR), **changes)


def some_answer(**changes: Any) -> Answer:
    return replace(Answer("", 0.0, "s", False, False, 40, "ERROR", 0, 0.0, "", {}, (), {}, {}), **changes)


class Interleavings(RuleBasedStateMachine):
    """Three hosts do their rounds in any order, and anything fails but their own disks."""

    server: RedisServer
    latest = NOW + RECLAIM_AFTER

    @initialize()
    def begin(self) -> None:
        self.fleet = Hosts(self.server, 3)
        self.hosts = self.fleet.hosts
        self.now = NOW
        self.saved: dict[bytes, bytes] = {}

    def teardown(self) -> None:
        if hasattr(self, "fleet"):
            settle(self.hosts, self.now)
            # What was on its way to a teller that is gone, and of which the server has forgotten that.
            settle(self.hosts, self.now + RECLAIM_AFTER)
            self.fleet.check()
            assert self.fleet.told == self.fleet.raised
            self.fleet.close()

    @rule(host=st.integers(0, 2), count=st.integers(1, 5), level=st.sampled_from((40, 50)))
    def log(self, host: int, count: int, level: int) -> None:
        self.hosts[host].log(count, self.now, level)

    @rule(host=st.integers(0, 2), fault=st.sampled_from(FAULTS), lease=st.sampled_from((LEASE, LEASE, 0.0)))
    def share(self, host: int, fault: Fault, lease: float) -> None:
        self.hosts[host].share(self.now, fault, lease)

    @rule(host=st.integers(0, 2))
    def tell(self, host: int) -> None:
        self.hosts[host].tell(self.now)

    @rule(host=st.integers(0, 2), standing=st.sampled_from(("closed", "over")))
    def close(self, host: int, standing: Standing) -> None:
        self.hosts[host].close(standing, self.now)

    @rule(host=st.integers(0, 2))
    def resolve(self, host: int) -> None:
        self.hosts[host].resolve(self.now)

    @rule(host=st.integers(0, 2))
    def break_or_repair_its_mail(self, host: int) -> None:
        self.hosts[host].able = not self.hosts[host].able

    @rule()
    def let_leases_run_out(self) -> None:
        self.fleet.end_leases()

    @rule(seconds=st.sampled_from((1.0, 600.0)))
    def wait(self, seconds: float) -> None:
        if self.now + seconds < self.latest:
            self.now += seconds

    @rule()
    def restart_empty(self) -> None:
        self.fleet.client.flushall()

    @rule()
    def save(self) -> None:
        client = self.fleet.client
        self.saved = {key: client.dump(key) for key in client.keys("*")}

    @precondition(lambda self: self.saved)
    @rule()
    def restart_from_an_earlier_state(self) -> None:
        self.restart_empty()
        for key, value in self.saved.items():
            self.fleet.client.restore(key, 0, value)

    @invariant()
    def none_is_told_twice_or_lost(self) -> None:
        if hasattr(self, "fleet"):
            self.fleet.check()


def test_whatever_fails_no_alert_is_told_twice_and_none_is_lost(redis_server: RedisServer) -> None:
    class Machine(Interleavings):
        server = redis_server

    run_state_machine_as_test(Machine, settings=settings(max_examples=60, stateful_step_count=40))


class LongAbsences(Interleavings):
    """The same, and hosts stay away from one another for hours."""

    latest = float("inf")

    def teardown(self) -> None:
        if hasattr(self, "fleet"):
            settle(self.hosts, self.now)
            settle(self.hosts, self.now + RECLAIM_AFTER)
            assert self.fleet.told >= self.fleet.raised
            self.fleet.close()

    @rule()
    def stay_away(self) -> None:
        self.now += RECLAIM_AFTER

    @invariant()
    def none_is_told_twice_or_lost(self) -> None:
        assert all(row.free >= 0 for host in getattr(self, "hosts", ()) for row in host.rows)


def test_even_after_long_absences_none_is_lost(redis_server: RedisServer) -> None:
    class Machine(LongAbsences):
        server = redis_server

    run_state_machine_as_test(Machine, settings=settings(max_examples=40, stateful_step_count=40))


@pytest.fixture
def four(redis_server: RedisServer) -> Iterator[Hosts]:
    with Hosts(redis_server, 4) as hosts:
        yield hosts


@pytest.fixture
def two(redis_server: RedisServer) -> Iterator[Hosts]:
    with Hosts(redis_server, 2) as hosts:
        yield hosts


# One teller


def test_the_same_alert_on_four_hosts_opens_with_one_mail_and_the_next_has_the_exact_total(four: Hosts) -> None:
    for _ in range(16):
        for host in four.hosts:
            host.log(1, NOW)
            host.share(NOW)
            host.tell(NOW)
    settle(four.hosts, NOW + 300)
    assert [(mail.reason, mail.count, mail.total) for mail in four.mails if mail.reason == "opening"] == [
        ("opening", 1, 1)
    ]
    assert four.mails[-1].total == four.told == 64
    assert {mail.host for mail in four.mails} == {"amber"}
    assert four.hosts[0].rows[0].share.hosts == ("amber", "beryl", "coral", "demantoid")


def test_what_is_handed_over_is_taken_and_acknowledged_within_one_round_of_each_host(two: Hosts) -> None:
    teller, member = two.hosts
    teller.log(1, NOW)
    teller.share(NOW)
    member.log(5, NOW)
    member.share(NOW)
    assert member.rows[0].free == 0
    assert member.rows[0].share.pending == 5
    teller.share(NOW)
    assert teller.rows[0].free == 6
    member.share(NOW)
    assert member.rows[0].share.pending == 0


def test_when_the_teller_dies_another_goes_on_in_its_thread_and_with_its_total(two: Hosts) -> None:
    first, second = two.hosts
    first.log(3, NOW)
    first.share(NOW)
    second.log(2, NOW)
    second.share(NOW)
    first.share(NOW)
    first.tell(NOW)
    first.share(NOW)
    second.log(4, NOW + 60)
    second.share(NOW + 60)
    assert second.rows[0].role == "member"
    two.end_leases()
    second.share(NOW + 80)
    second.log(1, NOW + 80)
    second.share(NOW + 80)
    (row,) = second.rows
    assert row.role == "teller"
    assert row.holding.thread == first.rows[0].holding.thread != ""
    assert row.holding.mailed == pytest.approx(NOW, abs=100)  # as far as the real server's clock goes along
    second.tell(NOW + 80)
    # What is on its way to the dead teller may have been counted there: it is not told here as well.
    assert [(mail.host, mail.reason, mail.count, mail.total) for mail in two.mails] == [
        ("amber", "opening", 5, 5),
        ("beryl", "follow-up", 1, 10),
    ]
    settle(two.hosts, NOW + 90)
    assert two.told == two.raised == 10
    assert two.mails[-1].total == 10


def test_a_host_that_cannot_send_leaves_it_to_another_with_all_that_it_holds(two: Hosts) -> None:
    broken, sound = two.hosts
    broken.log(3, NOW)
    broken.share(NOW)
    sound.log(2, NOW)
    sound.share(NOW)
    broken.able = False
    for _ in range(2):
        for host in (broken, sound):
            host.share(NOW)
            host.tell(NOW)
    assert [(mail.host, mail.count) for mail in two.mails] == [("beryl", 5)]


def test_while_nobody_can_send_nobody_is_the_teller_and_everybody_keeps_what_it_has(two: Hosts) -> None:
    for host in two.hosts:
        host.able = False
        host.log(2, NOW)
        host.share(NOW)
    assert [(row.role, row.free) for host in two.hosts for row in host.rows] == [("alone", 2), ("alone", 2)]


def test_a_letter_that_is_under_way_keeps_its_alerts(two: Hosts) -> None:
    teller, member = two.hosts
    teller.log(1, NOW)
    teller.share(NOW)
    member.log(2, NOW)
    (row,) = member.rows
    row.holding = replace(row.holding, tied=True)
    member.share(NOW)
    assert (row.role, row.free) == ("member", 2)


def test_a_higher_level_on_one_host_is_the_level_of_all_once_the_teller_hears_of_it(two: Hosts) -> None:
    teller, member = two.hosts
    teller.log(1, NOW)
    teller.share(NOW)
    member.log(1, NOW, level=50)
    member.share(NOW)
    teller.share(NOW)
    assert (teller.rows[0].holding.level, teller.rows[0].holding.levelname) == (50, "50")
    assert member.rows[0].holding.level == 50
    member.rows[0].holding = replace(member.rows[0].holding, level=40)
    member.share(NOW)
    assert member.rows[0].holding.level == 40


def test_times_go_along_as_ages_so_that_clocks_need_not_agree(two: Hosts) -> None:
    teller, member = two.hosts
    teller.log(1, NOW)
    teller.share(NOW)
    member.log(1, NOW - 5 * HOUR)  # its clock is five hours slow, and both alerts come in the same second
    member.share(NOW - 5 * HOUR)
    teller.share(NOW)
    holding = teller.rows[0].holding
    assert holding.first == pytest.approx(NOW, abs=30)
    assert holding.last == pytest.approx(NOW, abs=30)


# The end of a story


def test_an_end_that_one_host_reports_is_told_by_the_teller_after_all_alerts_and_ends_it_for_all(four: Hosts) -> None:
    for host in four.hosts:
        host.log(2, NOW)
        host.share(NOW)
        host.tell(NOW)
    four.hosts[2].log(3, NOW)
    four.hosts[2].resolve(NOW)
    for host in (*four.hosts, *four.hosts):
        host.share(NOW)
    settle(four.hosts, NOW)
    assert [(mail.host, mail.reason) for mail in four.mails] == [("amber", "opening"), ("amber", "resolved")]
    assert four.mails[-1].total == four.told == four.raised == 11
    assert [host.rows for host in four.hosts] == [[], [], [], []]


def test_an_end_is_not_passed_on_before_the_alerts_before_it(two: Hosts) -> None:
    teller, member = two.hosts
    teller.log(1, NOW)
    teller.share(NOW)
    member.log(1, NOW)
    member.resolve(NOW)
    member.share(NOW, "second reply lost")
    assert member.rows[0].share.pending == 1
    teller.share(NOW)
    assert (teller.rows[0].free, teller.rows[0].holding.resolved) == (2, True)


def test_an_end_is_not_passed_on_while_alerts_before_it_are_kept_back(two: Hosts) -> None:
    teller, member = two.hosts
    teller.log(1, NOW)
    teller.share(NOW)
    member.log(1, NOW)
    member.resolve(NOW)
    member.share(NOW, "first reply lost")
    teller.share(NOW)
    assert not teller.rows[0].holding.resolved


def test_an_end_is_passed_on_while_a_letter_tells_the_alerts_before_it(two: Hosts) -> None:
    teller, member = two.hosts
    teller.log(1, NOW)
    teller.share(NOW)
    member.log(1, NOW)
    member.resolve(NOW)
    member.rows[0].holding = replace(member.rows[0].holding, tied=True)
    member.share(NOW)
    teller.share(NOW)
    assert teller.rows[0].holding.resolved


def test_an_end_that_several_hosts_report_is_one_mail(four: Hosts) -> None:
    four.hosts[0].log(1, NOW)
    for host in four.hosts:
        host.resolve(NOW)
        host.share(NOW)
    settle(four.hosts, NOW)
    for host in four.hosts:  # they report it once more
        host.resolve(NOW + 1)
    settle(four.hosts, NOW + 1)
    assert [mail.reason for mail in four.mails] == ["resolved"]


def test_after_the_end_the_next_alert_opens_another_story(two: Hosts) -> None:
    first, second = two.hosts
    for host in two.hosts:
        host.log(1, NOW)
        host.share(NOW)
        host.tell(NOW)
    settle(two.hosts, NOW)
    first.close("over", NOW)
    first.share(NOW)
    second.share(NOW)
    assert second.rows == []
    second.log(1, NOW)
    second.share(NOW)
    second.tell(NOW)
    assert (two.mails[-1].reason, two.mails[-1].count, two.mails[-1].total) == ("opening", 1, 1)


def test_a_host_that_leaves_does_not_end_the_story_of_the_others(two: Hosts) -> None:
    first, second = two.hosts
    for host in two.hosts:
        host.log(2, NOW)
        host.share(NOW)
    first.tell(NOW)
    settle(two.hosts, NOW)
    first.close("closed", NOW)
    first.share(NOW)
    second.log(1, NOW)
    second.share(NOW)
    second.tell(NOW)
    assert (two.mails[-1].host, two.mails[-1].reason, two.mails[-1].total) == ("beryl", "follow-up", 5)


def test_what_came_too_late_for_a_teller_that_has_closed_is_told_at_once_by_its_own_host(two: Hosts) -> None:
    first, second = two.hosts
    for host in two.hosts:
        host.log(1, NOW)
        host.share(NOW)
    first.tell(NOW)
    first.close("over", NOW)
    first.share(NOW)
    second.share(NOW)
    second.tell(NOW)
    assert [(mail.host, mail.count) for mail in two.mails] == [("amber", 1), ("beryl", 1)]
    second.share(NOW)
    assert second.rows == []


def test_a_story_that_nobody_tells_and_that_has_been_quiet_is_not_gone_on_with(two: Hosts) -> None:
    first, second = two.hosts
    first.log(1, NOW)
    first.share(NOW)
    first.tell(NOW)
    first.share(NOW)
    two.end_leases()
    two.age("heard", by=2 * HOUR)
    second.log(1, NOW + 2 * HOUR)
    second.share(NOW + 2 * HOUR)
    second.tell(NOW + 2 * HOUR)
    assert [mail.reason for mail in two.mails] == ["opening", "opening"]
    first.share(NOW + 2 * HOUR)  # and who was away meanwhile finds that it is over
    assert first.rows == []


# A teller that says nothing


@pytest.fixture
def stuck(two: Hosts) -> Hosts:
    """The second host has two alerts on their way to the first one, which is not there any more."""
    teller, member = two.hosts
    teller.log(1, NOW)
    teller.share(NOW)
    teller.tell(NOW)
    teller.share(NOW)
    member.log(2, NOW)
    member.share(NOW)
    two.end_leases()
    return two


def test_where_a_teller_has_gone_before_its_first_mail_another_host_opens_and_leaves_the_count_to_it(
    two: Hosts,
) -> None:
    teller, member = two.hosts
    teller.log(1, NOW)
    teller.share(NOW)
    member.log(2, NOW)
    member.share(NOW)
    two.end_leases()
    member.share(NOW + SILENT_AFTER - 1)
    assert member.rows[0].due == NOW + SILENT_AFTER - 1 + LEASE
    member.share(NOW + SILENT_AFTER)
    member.tell(NOW + SILENT_AFTER)
    assert [(mail.host, mail.count, mail.total) for mail in two.mails] == [("beryl", 0, 2)]
    settle(two.hosts, NOW + SILENT_AFTER)
    assert two.told == two.raised == 3


def test_what_a_teller_does_not_take_for_four_hours_is_reclaimed_and_not_taken_by_it_later(stuck: Hosts) -> None:
    teller, member = stuck.hosts
    member.share(NOW + RECLAIM_AFTER - 1)
    assert (member.rows[0].role, member.rows[0].free) == ("teller", 0)
    member.share(NOW + RECLAIM_AFTER)
    assert member.rows[0].free == 2
    member.tell(NOW + RECLAIM_AFTER)
    teller.share(NOW + RECLAIM_AFTER)
    assert teller.rows[0].share.taken == {}
    settle(stuck.hosts, NOW + RECLAIM_AFTER)
    assert stuck.told == stuck.raised == 3


def test_what_it_had_taken_before_it_was_given_up_is_found_out_in_the_same_round(stuck: Hosts) -> None:
    teller, member = stuck.hosts
    teller.share(NOW)  # takes them, and says so
    member.share(NOW + RECLAIM_AFTER)
    assert member.rows == []
    settle(stuck.hosts, NOW + RECLAIM_AFTER)
    assert stuck.told == stuck.raised


def test_what_it_had_taken_is_told_twice_only_if_that_was_out_of_reach_for_four_hours(stuck: Hosts) -> None:
    teller, member = stuck.hosts
    teller.share(NOW, "second reply lost")
    stuck.client.flushall()
    member.share(NOW + RECLAIM_AFTER, "unreachable")
    member.tell(NOW + RECLAIM_AFTER)
    member.log(1, NOW + RECLAIM_AFTER)
    settle(stuck.hosts, NOW + RECLAIM_AFTER)
    assert (stuck.raised, stuck.told) == (4, 6)


def test_nothing_is_handed_again_to_a_teller_that_was_given_up(stuck: Hosts) -> None:
    teller, member = stuck.hosts
    member.share(NOW + RECLAIM_AFTER)
    stuck.end_leases()
    teller.log(1, NOW + RECLAIM_AFTER)
    teller.share(NOW + RECLAIM_AFTER)
    assert teller.rows[0].role == "teller"
    member.share(NOW + RECLAIM_AFTER)
    member.tell(NOW + RECLAIM_AFTER)
    assert [(mail.host, mail.count) for mail in stuck.mails] == [("amber", 1), ("beryl", 2)]
    member.log(1, NOW + RECLAIM_AFTER)  # by another name
    settle(stuck.hosts, NOW + RECLAIM_AFTER)
    assert [row.role for row in member.rows] == ["member"]
    assert stuck.told == stuck.raised


@pytest.mark.parametrize("hours", [5, -5])
def test_a_clock_that_was_set_does_not_keep_alerts_on_their_way_for_ever(stuck: Hosts, hours: float) -> None:
    member = stuck.hosts[1]
    member.share(NOW + hours * HOUR)
    assert member.rows[0].free == 2


def test_a_teller_to_whom_nothing_was_handed_for_hours_is_handed_the_next_alert(two: Hosts) -> None:
    teller, member = two.hosts
    for now in (NOW, NOW + 2 * RECLAIM_AFTER):
        for host in two.hosts:
            host.log(1, now)
        for host in (teller, member, teller, member):
            host.share(now)
    assert [row.role for row in member.rows] == ["member"]
    assert teller.rows[0].free == two.raised


def test_what_comes_into_a_tray_after_the_end_is_not_taken() -> None:
    holding = a_holding(told=1, standing="closed")
    heard = hear(Share(), holding, some_answer(offered={"ab": Parcel(5, 0.0, 0.0)}), NOW)
    assert (heard.took, heard.holding.count, heard.share.taken) == (0, 1, {})


def test_more_than_was_offered_is_acknowledged_only_as_far_as_it_is_not_told_here() -> None:
    """After a power cut the disk may not know any more what was offered."""
    share = Share(handed=(Handed("ab", 2, 2), Handed("cd", 0), Handed("ef", 0)))
    acks = {name: Ack(5, final=False) for name in ("ab", "cd", "ef")}
    heard = hear(share, a_holding(count=10, told=3), some_answer(acks=acks), NOW)
    assert [row.acked for row in heard.share.handed] == [row.offered for row in heard.share.handed] == [5, 2, 0]


def test_times_of_what_is_taken_and_of_mails_are_counted_back_from_now() -> None:
    offered = {"ab": Parcel(1, 40.0, 30.0), "cd": Parcel(1, 90.0, 5.0), "ef": Parcel(1, 60.0, 20.0)}
    holding = a_holding(first=NOW - 50, last=NOW - 10)
    heard = hear(Share(), holding, some_answer(offered=offered, mails=2, mailed_age=70.0), NOW).holding
    assert (heard.count, heard.first, heard.last) == (4, NOW - 90, NOW - 5)
    assert (heard.mails, heard.mailed) == (2, NOW - 70)
    offered = {"ab": Parcel(1, 40.0, 30.0)}
    heard = hear(Share(), holding, some_answer(offered=offered, mails=0, mailed_age=70.0), NOW).holding
    assert (heard.first, heard.last, heard.mailed) == (NOW - 50, NOW - 10, 0.0)


ME = "00ff"
TOOK = {"offered": {"ab": Parcel(1, 0.0, 0.0)}}
BACK = {"acks": {"ab": Ack(0, final=True)}}


@pytest.mark.parametrize(
    ("answer", "holding", "asked", "wait"),
    [
        # A new teller writes at once, unless there is nothing to write yet.
        ({"teller": ME}, {}, False, 0.0),
        ({"teller": ME}, {"told": 1}, False, LEASE),
        ({"teller": ME}, {"told": 1, "mails": 1}, False, 0.0),
        ({"teller": ME}, {"told": 1, "resolved": True}, False, 0.0),
        ({"teller": ME, **TOOK}, {"told": 1}, False, 0.0),
        # One that was it already goes on as planned, unless there is more to tell.
        ({"teller": ME}, {}, True, None),
        ({"teller": ME, **TOOK}, {}, True, 0.0),
        ({"teller": ME, **BACK}, {}, True, 0.0),
        # So does a host while there is no teller; a member waits for the teller.
        ({}, {}, False, None),
        ({**TOOK}, {}, False, 0.0),
        ({**BACK}, {}, False, 0.0),
        ({"teller": "cd", "lease": 7.0}, {}, False, 7.0),
        # What is over is told at once.
        ({"over": True}, {}, False, 0.0),
    ],
)
def test_when_a_host_writes(answer: dict[str, Any], holding: dict[str, Any], asked: bool, wait: float | None) -> None:
    share = Share(ME, asked=asked, handed=(Handed("ab", 1, since=NOW),))
    heard = hear(share, a_holding(**{"count": 2, **holding}), some_answer(**answer), NOW)
    assert heard.wait == wait
    assert heard.share.asked is (asked or answer.get("teller") == ME)


# What is kept, and what is made of an answer that cannot be


def test_a_share_survives_being_written_down() -> None:
    share = Share(
        story="ab", handed=(Handed("cd", 4, 3, 1.5),), taken={"ef": 2}, told={"cd": 9}, hosts=("amber", "beryl")
    )
    assert Share.from_dict(share.to_dict()) == share
    assert Share().member != Share().member


def test_hosts_are_named_up_to_a_limit() -> None:
    answer = some_answer(hosts=tuple(f"host{number:03}" for number in range(200)))
    assert len(hear(Share(), a_holding(), answer, NOW).share.hosts) == HOSTS


def test_ages_are_never_negative() -> None:
    said = offer(Share(), a_holding(last=NOW + 60), NOW)
    assert (said.first_age, said.last_age, said.mailed_age) == (0.0, 0.0, NOW)
