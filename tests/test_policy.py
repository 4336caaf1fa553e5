"""Which incidents become which mail, and when next: each rule as a sentence, and what holds whatever happens."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.alert import Incident
from alertlog.errors import Category
from alertlog.policy import (
    BURST,
    CLOCK_JUMP,
    DIGEST_LIMIT,
    HOUR,
    KEPT,
    LONGEST_WAIT,
    NEW_PROCESS,
    QUIET_ENOUGH,
    UNKNOWN_LIMIT,
    Bucket,
    Pace,
    Plan,
    Situation,
    closes,
    decide,
    due,
    interval,
    over,
    retry_in,
    retry_unknown_in,
)
from tests.support import TIME, some_alert

PACE = Pace()
PLENTY = 1_000.0


def incident(**changes: Any) -> Incident:
    """One alert that no mail has told yet."""
    alert = some_alert(test=changes.pop("test", False))
    made = Incident(1, alert.fingerprint, "", 50, "CRITICAL", TIME, TIME, 1, 0, 0, "", alert, seen=TIME)
    return replace(made, **changes)


def told(**changes: Any) -> Incident:
    """One alert, mailed at once."""
    return incident(**{"accounted": 1, "mails": 1, "mailed": TIME, "thread": "<1@example.org>", **changes})


def repeated(**changes: Any) -> Incident:
    """One alert, mailed at once, and a second one."""
    return told(**{"count": 2, **changes})


def reasons(*incidents: Incident, after: float = 0.0, tokens: float = PLENTY, **situation: Any) -> list[str]:
    return [plan.reason for plan in decide(incidents, Situation(TIME + after, tokens, **situation), PACE)]


# One incident


def test_the_first_alert_is_mailed_at_once() -> None:
    assert reasons(incident()) == ["opening"]
    assert due(incident(), PACE) == 0


def test_what_is_told_is_told_no_more() -> None:
    assert reasons(told(), after=10 * HOUR) == []
    assert reasons(told(), after=10 * HOUR, leaving=True) == []


def test_a_repeat_is_told_by_a_follow_up_after_repeat_after() -> None:
    assert reasons(repeated(), after=299) == []
    assert reasons(repeated(), after=300) == ["follow-up"]
    assert due(repeated(), PACE) == TIME + 300


def test_follow_ups_come_at_doubling_intervals_up_to_four_hours() -> None:
    assert [interval(mails, PACE) for mails in range(1, 9)] == [300, 600, 1200, 2400, 4800, 9600, 14400, 14400]
    lasting = repeated(mails=4, seen=TIME + 2_400)
    assert due(lasting, PACE) == TIME + 2_400
    assert reasons(lasting, after=2_399) == []
    assert reasons(lasting, after=2_400) == ["follow-up"]
    assert interval(10**6, PACE) == LONGEST_WAIT == 4 * HOUR


def test_an_incident_that_is_quiet_and_told_closes_without_a_mail() -> None:
    assert due(told(), PACE) == TIME + HOUR
    assert not over(told(), TIME + HOUR - 1, PACE)
    assert over(told(), TIME + HOUR, PACE)
    assert not over(repeated(), TIME + HOUR, PACE)
    assert over(incident(accounted=1), TIME + HOUR, PACE)  # its only letter was given up
    assert not over(told(resolved=True), TIME + HOUR, PACE)


def test_an_incident_that_is_quiet_and_untold_is_closed_by_a_mail() -> None:
    quiet = repeated(mails=5, mailed=TIME)
    assert due(quiet, PACE) == TIME + HOUR
    assert reasons(quiet, after=HOUR - 1) == []
    assert reasons(quiet, after=HOUR) == ["closing"]
    assert closes("closing", quiet)


def test_what_is_resolved_is_closed_at_once_by_a_mail() -> None:
    for ended in (told(resolved=True), repeated(resolved=True), incident(resolved=True, count=0)):
        assert due(ended, PACE) == 0
        assert reasons(ended) == ["resolved"]
        assert closes("resolved", ended)
        assert closes("digest", ended)


def test_the_last_process_on_the_outbox_tells_what_is_untold_when_it_leaves() -> None:
    assert reasons(repeated(), leaving=True) == ["closing"]
    assert reasons(incident(), leaving=True) == ["opening"]


def test_a_closing_mail_knows_whether_the_incident_was_quiet_or_only_the_process_ended() -> None:
    def causes(*incidents: Incident, after: float, **situation: Any) -> list[str]:
        return [plan.cause for plan in decide(incidents, Situation(TIME + after, PLENTY, **situation), PACE)]

    assert causes(repeated(), after=HOUR - 1, leaving=True) == ["end"]
    assert causes(repeated(), after=HOUR - 1, leaving=True, repaired=True) == ["end"]
    assert causes(repeated(), after=HOUR, leaving=True) == [""]
    assert causes(repeated(), after=HOUR) == [""]
    assert causes(repeated(), after=300) == [""]
    assert causes(incident(), repeated(resolved=True), after=0, leaving=True) == ["", ""]
    assert causes(repeated(), repeated(id=2), after=0, leaving=True, repaired=True) == ["repair"]


def test_a_repeat_at_a_higher_level_is_told_at_once() -> None:
    assert due(repeated(urgent=True), PACE) == 0
    assert reasons(repeated(urgent=True)) == ["follow-up"]
    assert due(told(urgent=True), PACE) == TIME + HOUR


def test_a_last_mail_that_lies_far_ahead_means_that_the_clock_went_back() -> None:
    assert reasons(repeated(mailed=TIME + LONGEST_WAIT)) == []
    assert reasons(repeated(mailed=TIME + LONGEST_WAIT + 1)) == ["follow-up"]


def test_a_mail_that_opens_or_goes_on_closes_nothing() -> None:
    assert not any(closes(reason, repeated()) for reason in ("opening", "follow-up", "digest"))


def test_an_operators_test_is_outside_the_ration_and_closes_itself() -> None:
    one = incident(test=True)
    assert reasons(one, tokens=0) == ["test"]
    assert reasons(one, incident(), incident(), tokens=1, repaired=True) == ["test", "digest"]
    assert closes("test", one)


@pytest.mark.parametrize("value", [PACE, Bucket(1, TIME), Plan("opening", ()), Situation(TIME, 1)])
def test_what_decisions_are_made_of_and_result_in_cannot_be_changed(value: object) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, 0)  # type: ignore[arg-type]
    assert not hasattr(value, "__dict__")


# Several incidents, and the ration


def test_what_the_ration_allows_is_one_mail_each() -> None:
    assert reasons(incident(), repeated(), after=300, tokens=2) == ["opening", "follow-up"]


def test_what_the_ration_does_not_allow_is_one_digest_and_nothing_is_dropped() -> None:
    several = [replace(incident(), id=number) for number in range(3)]
    (plan,) = decide(several, Situation(TIME, 2.9), PACE)
    assert (plan.reason, plan.cause) == ("digest", "ration")
    assert {one.id for one in plan.incidents} == {0, 1, 2}


def test_of_a_burst_the_first_to_open_has_its_mail_and_the_others_are_one_digest() -> None:
    several = [replace(incident(), id=number) for number in range(BURST + 1)]
    first, digest = decide(several, Situation(TIME, PLENTY), PACE)
    assert (first.reason, [one.id for one in first.incidents]) == ("opening", [0])
    assert (digest.cause, first.cause) == ("burst", "")
    assert (digest.reason, {one.id for one in digest.incidents}) == ("digest", {1, 2, 3})
    assert reasons(*several[:BURST]) == ["opening"] * BURST


def test_a_burst_that_goes_on_is_a_digest_and_a_lone_straggler_a_mail() -> None:
    lately = Situation(TIME, PLENTY, opened=BURST)
    assert [plan.reason for plan in decide([incident(), incident()], lately, PACE)] == ["digest"]
    assert [plan.reason for plan in decide([incident()], lately, PACE)] == ["opening"]
    assert reasons(incident(), opened=BURST - 1) == ["opening"]


def test_a_burst_leaves_the_mails_about_known_incidents_alone() -> None:
    assert reasons(*[incident()] * 9, repeated(), told(resolved=True), after=300) == [
        "follow-up", "resolved", "opening", "digest",
    ]  # fmt: skip


def test_without_a_token_everything_waits() -> None:
    assert reasons(incident(), tokens=0.99) == []
    assert reasons(incident(), incident(), tokens=0.99) == []
    assert reasons(incident(), tokens=1) == ["opening"]


def test_while_letters_that_wait_have_more_than_the_ration_everything_else_waits_too() -> None:
    assert reasons(incident(), incident(), tokens=-2) == []
    assert reasons(*[incident()] * (DIGEST_LIMIT + 1), tokens=-2) == []


def test_the_first_mail_after_a_repair_is_one_digest() -> None:
    assert reasons(incident(), incident(), repaired=True) == ["digest"]
    (alone,) = decide([incident()], Situation(TIME, PLENTY, repaired=True), PACE)
    assert (alone.reason, alone.cause) == ("opening", "repair")


def test_a_digest_tells_the_worst_first_and_leaves_the_others_to_further_ones() -> None:
    mild = [replace(incident(), id=number, level=30) for number in range(DIGEST_LIMIT)]
    bad, often, early = replace(incident(), id=-1), replace(incident(), id=-2, count=9), incident(id=-3, first=TIME - 1)
    (plan,) = decide([*mild, early, bad, often], Situation(TIME, 1), PACE)
    assert [one.id for one in plan.incidents[:4]] == [-2, -3, -1, 0]
    assert len(plan.incidents) == DIGEST_LIMIT
    both = decide([*mild, early, bad, often], Situation(TIME, 2, repaired=True), PACE)
    assert [len(plan.incidents) for plan in both] == [DIGEST_LIMIT, 3]
    assert {plan.cause for plan in both} == {"repair"}
    (first,) = decide([*mild, early, bad, often], Situation(TIME, 1, repaired=True), PACE)
    assert (len(first.incidents), first.cause) == (DIGEST_LIMIT, "repair")


INCIDENTS = st.builds(
    incident,
    level=st.sampled_from((30, 40, 50)),
    count=st.integers(0, 5),
    accounted=st.integers(0, 5),
    mails=st.integers(0, 9),
    resolved=st.booleans(),
    urgent=st.booleans(),
    test=st.booleans(),
    seen=st.floats(TIME - 2 * HOUR, TIME + 2 * HOUR),
    mailed=st.floats(TIME - 9 * HOUR, TIME + 9 * HOUR),
)
SITUATIONS = st.builds(
    Situation,
    st.just(TIME),
    st.floats(0, 20),
    leaving=st.booleans(),
    repaired=st.booleans(),
    opened=st.integers(0, 9),
)
PACES = st.builds(Pace, st.floats(1, 1e5), st.floats(1, 1e5), st.integers(1, 200).map(float))


@given(st.lists(INCIDENTS, max_size=30), SITUATIONS, PACES)
def test_no_incident_is_told_twice_at_once_and_no_mail_tells_nothing(
    incidents: list[Incident], situation: Situation, pace: Pace
) -> None:
    numbered = [replace(one, id=number) for number, one in enumerate(incidents)]
    plans = decide(numbered, situation, pace)
    named = [one.id for plan in plans for one in plan.incidents]
    assert len(named) == len(set(named))
    assert all(plan.incidents for plan in plans)
    assert all(len(plan.incidents) == 1 for plan in plans if plan.reason != "digest")


@given(st.lists(INCIDENTS, max_size=30), SITUATIONS, PACES)
def test_no_more_mails_are_planned_than_there_are_tokens(
    incidents: list[Incident], situation: Situation, pace: Pace
) -> None:
    rationed = [plan for plan in decide(incidents, situation, pace) if plan.reason != "test"]
    assert len(rationed) <= situation.tokens


@given(st.lists(INCIDENTS, max_size=30), SITUATIONS, PACES)
def test_with_a_token_everything_that_has_a_reason_is_told(
    incidents: list[Incident], situation: Situation, pace: Pace
) -> None:
    numbered = [replace(one, id=number) for number, one in enumerate(incidents)]
    alone = [plan for one in numbered for plan in decide([one], replace(situation, tokens=1), pace)]
    together = decide(numbered, replace(situation, tokens=max(1, situation.tokens)), pace)
    assert _ids(together) == _ids(alone)


@given(INCIDENTS, PACES, st.floats(0, 5 * HOUR))
def test_before_it_is_due_there_is_nothing_to_do_about_an_incident_and_then_there_is(
    one: Incident, pace: Pace, later: float
) -> None:
    one = replace(one, alert=some_alert(), accounted=min(one.accounted, one.count))
    at = due(one, pace)
    if at > 0:
        then, before = at + later, min(at - 1e-3, max(TIME, at - later))
        told_then = decide([one], Situation(then + 1e-3, PLENTY), pace)
        assert told_then or over(one, then + 1e-3, pace)
        if before >= one.mailed - LONGEST_WAIT:
            assert decide([one], Situation(before, PLENTY), pace) == []
            assert not over(one, before, pace)


def _ids(plans: list[Plan]) -> set[int]:
    return {one.id for plan in plans for one in plan.incidents}


# The bucket


@given(
    st.integers(1, 120),
    st.lists(st.tuples(st.floats(0, 2 * HOUR), st.integers(0, 40)), min_size=1, max_size=60),
    st.floats(0, 100),
)
def test_no_hour_sees_more_mails_than_mails_per_hour(
    ration: int, steps: list[tuple[float, int]], tokens: float
) -> None:
    pace = Pace(mails_per_hour=float(ration))
    bucket, now, mailed = Bucket(tokens, TIME), TIME, list[float]()
    for wait, wanted in steps:
        now += wait
        bucket = bucket.filled(now, pace)
        plans = decide([incident(id=number) for number in range(wanted)], Situation(now, bucket.tokens), pace)
        for _ in plans:
            bucket = bucket.spent()
            mailed.append(now)
    # An hour's end belongs to the next one: what is refilled within it is not yet there.
    assert all(sum(start <= at < start + HOUR for at in mailed) <= ration for start in mailed)


@given(st.floats(0.1, 1_000), st.floats(0, 1))
def test_after_the_wait_there_is_a_token(ration: float, tokens: float) -> None:
    pace = Pace(mails_per_hour=ration)
    bucket = Bucket(tokens, TIME)
    assert bucket.filled(TIME + bucket.wait(pace) + 1e-3, pace).tokens >= 1 - 1e-9


def test_the_wait_for_a_token_is_no_longer_than_it_takes() -> None:
    assert Bucket(0, TIME).wait(PACE) == HOUR / 15
    assert Bucket(0.5, TIME).wait(PACE) == HOUR / 30


def test_half_the_ration_may_come_in_one_burst_and_at_least_one_mail() -> None:
    assert Pace(mails_per_hour=30).burst == 15
    assert Pace(mails_per_hour=1).burst == Pace(mails_per_hour=0.01).burst == 1


def test_a_bucket_fills_by_half_the_ration_an_hour_and_never_runs_over() -> None:
    assert Bucket(0, TIME).filled(TIME + HOUR / 15, PACE).tokens == pytest.approx(1)
    assert Bucket(0, TIME).filled(TIME + 100 * HOUR, PACE).tokens == 15
    assert Bucket(99, TIME).filled(TIME, PACE) == Bucket(15, TIME)


def test_a_clock_that_goes_back_takes_nothing_out_of_the_bucket() -> None:
    assert Bucket(3, TIME).filled(TIME - HOUR, PACE) == Bucket(3, TIME - HOUR)


def test_an_accepted_mail_takes_a_token_and_a_bucket_has_no_debts() -> None:
    assert Bucket(3, TIME).spent() == Bucket(2, TIME)
    assert Bucket(0.5, TIME).spent() == Bucket(0, TIME)
    assert Bucket(2, TIME).wait(PACE) == 0


# Failures


def test_a_temporary_failure_is_retried_from_five_seconds_to_a_quarter_of_an_hour() -> None:
    assert [retry_in("temporary", attempts, 0) for attempts in range(1, 11)] == [
        5, 10, 20, 40, 80, 160, 320, 640, 900, 900,
    ]  # fmt: skip


def test_what_an_operator_has_to_repair_is_retried_from_a_quarter_of_an_hour_to_four_hours() -> None:
    assert [retry_in("refused", attempts, 0) / HOUR for attempts in range(1, 7)] == [0.25, 0.5, 1, 2, 4, 4]


@given(st.sampled_from(get_args(Category)), st.integers(1, 10**6), st.floats(0, 1))
def test_chance_lengthens_a_wait_by_up_to_a_quarter_and_never_beyond_its_end(
    category: Category, attempts: int, chance: float
) -> None:
    least, most = retry_in(category, attempts, 0), 4 * HOUR if category == "refused" else 900
    assert least <= retry_in(category, attempts, chance) <= min(most, least * 1.25)


def test_chance_lengthens_a_wait_by_a_quarter_at_most() -> None:
    assert [retry_in("temporary", 1, chance) for chance in (0, 0.5, 1)] == [5, 5.625, 6.25]


def test_waits_grow() -> None:
    for category in get_args(Category):
        waits = [retry_in(category, attempts, 0.5) for attempts in range(1, 20)]
        assert all(earlier <= later for earlier, later in pairwise(waits))


def test_after_three_attempts_of_unknown_outcome_the_next_ones_are_four_hours_apart() -> None:
    assert UNKNOWN_LIMIT == 3
    assert [retry_unknown_in(unknown, 0) for unknown in range(1, 6)] == [5, 10, 4 * HOUR, 4 * HOUR, 4 * HOUR]


def test_alerts_are_kept_for_a_week() -> None:
    assert KEPT == 7 * 24 * HOUR


def test_the_figures_that_nothing_configures() -> None:
    assert (BURST, DIGEST_LIMIT, LONGEST_WAIT) == (3, 200, 4 * 3600)
    assert (CLOCK_JUMP, QUIET_ENOUGH, NEW_PROCESS) == (60, 300, 300)


def test_the_pace_where_nothing_else_is_said() -> None:
    assert Pace() == Pace(repeat_after=300, quiet_after=3600, mails_per_hour=30)
