"""Why something waits, in words: each reason by itself, and which of two that hold is named."""

from __future__ import annotations

from typing import Any

import pytest

from alertlog.alert import Incident
from alertlog.draft import Draft
from alertlog.gate import Gate
from alertlog.mutes import Mute
from alertlog.policy import Bucket, Pace
from alertlog.reasons import Standing, Wait
from alertlog.waiting import Waiting
from tests.letters import MOMENT, draft, incident

NOW = MOMENT + 60.0
REFUSED = Gate(failures=2, due=NOW + 900, category="refused", error="535 wrong password")
SPENT = Gate(bucket=Bucket(0.25, NOW))


def standing(**changes: Any) -> Standing:
    given: dict[str, Any] = {"gate": Gate(), "mutes": (), "running": False, "problem": ""}
    return Standing(NOW, Pace(), **given | changes)


def waiting(made: Draft | None = None, **changes: Any) -> Waiting:
    given: dict[str, Any] = {
        "created": MOMENT, "due": NOW, "attempts": 1, "unknown": 0, "offered": True, "told": False, "aside": False,
        "done": (), "error": "451 later",
    }  # fmt: skip
    return Waiting(7, made or draft(), **given | changes)


def told(**changes: Any) -> Incident:
    """One that a mail has told whole."""
    return incident(**{"accounted": 1, "mails": 1, "mailed": MOMENT, "seen": MOMENT, **changes})


# Letters


def test_a_letter_that_was_set_aside_waits_for_nobody_but_the_operator() -> None:
    assert standing().of_letter(waiting(aside=True)) == Wait("aside", None, "refused for good")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "the last attempt failed"),
        ({"unknown": 1}, "no answer came after the last attempt: the mail may have arrived"),
        ({"told": True}, "some recipients still lack it"),
    ],
)
def test_a_letter_that_was_put_off_waits_for_its_time(changes: dict[str, Any], text: str) -> None:
    assert standing().of_letter(waiting(due=NOW + 30, **changes)) == Wait("retry", NOW + 30, text)


def test_a_letter_that_is_due_goes_with_whoever_runs() -> None:
    assert standing(running=True).of_letter(waiting()).text == "due now: the process that runs sends it"
    alone = standing().of_letter(waiting())
    assert alone == Wait("due", None, "due now: the next process sends it, or `outbox flush`")


def test_a_gate_that_is_shut_names_its_failure_unless_the_letter_does() -> None:
    stands = standing(gate=REFUSED)
    assert stands.of_letter(waiting()) == Wait("gate", NOW + 900, "waits for a repair: 535 wrong password")
    assert stands.of_letter(waiting(error=REFUSED.error)).text == "waits for a repair"
    dead = Gate(failures=1, due=NOW + 5, category="temporary", error="no route")
    assert standing(gate=dead).of_letter(waiting(due=NOW + 5)).text == "sending failed: no route"


def test_a_gate_whose_time_has_come_holds_nothing_back() -> None:
    assert standing(gate=Gate(failures=1, due=NOW, category="temporary")).of_letter(waiting()).why == "due"


def test_the_ration_holds_a_letter_but_not_a_test() -> None:
    stands = standing(gate=SPENT)
    assert stands.of_letter(waiting()) == Wait("ration", NOW + 180, "the ration of 30 mails an hour is spent")
    assert stands.of_letter(waiting(draft("test"))).why == "due"


# Incidents


def test_what_is_told_closes_when_it_has_been_quiet() -> None:
    assert standing().of_incident(told()) == Wait("told", MOMENT + 3_600, "")
    assert standing().of_incident(told(count=3, handed=2)).why == "elsewhere"


def test_what_is_muted_waits_for_the_end_of_the_mute() -> None:
    mute = Mute("quota", MOMENT, NOW + 100, "planned work")
    stands = standing(mutes=[mute], gate=REFUSED)
    assert stands.of_incident(incident(kind="quota")) == Wait("muted", NOW + 100, "muted, planned work")
    assert standing(mutes=[Mute("quota", MOMENT, NOW, "")]).of_incident(incident(kind="quota")).text == "muted"
    assert stands.of_incident(incident(kind="other")).why == "gate"


def test_repeats_wait_for_their_interval_and_an_end_for_nothing() -> None:
    assert standing().of_incident(told(count=4)) == Wait("repeat", MOMENT + 300, "repeats are told then")
    assert standing().of_incident(told(resolved=True)).why == "due"
    assert standing().of_incident(told(count=4, urgent=True)).why == "due"


def test_settings_that_are_wrong_here_are_named_after_a_gate_and_before_the_ration() -> None:
    problem = "SMTP_HOST: is required"
    assert standing(problem=problem, gate=REFUSED).of_incident(incident()).why == "gate"
    wait = standing(problem=problem, gate=SPENT).of_incident(incident())
    assert wait == Wait("settings", None, "due, but not with the settings here: SMTP_HOST: is required")
