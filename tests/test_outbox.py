"""The outbox: incidents and letters, from ingest to settle, and that a kill or an error leaves before or after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alertlog import moving
from alertlog.alert import Incident, Tally
from alertlog.bounds import Bounds
from alertlog.errors import OutboxError
from alertlog.gate import Gate
from alertlog.incidents import AT_ONCE
from alertlog.outbox import Outbox, Waiting
from alertlog.ownership import Owner
from alertlog.policy import CLOCK_JUMP, HOUR, KEPT, LONGEST_WAIT, Bucket, Pace, Plan, Situation, decide
from alertlog.samples import SAMPLES, ended, samples_of
from alertlog.waiting import AT_ONCE as LETTERS_AT_ONCE
from tests.support import TIME, child, tally

OWNER = Owner("shop", "alerts")
DONE = ("ada@example.org",)
Open = Callable[..., Outbox]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "alerts.sqlite3"


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens outboxes, and closes them at the end."""
    made: list[Outbox] = []

    def open_one(
        place: Path | None = None, owner: Owner = OWNER, bounds: Bounds | None = None, **pace: float
    ) -> Outbox:
        made.append(Outbox(owner, Pace(**pace), place, bounds or Bounds()))
        return made[-1]

    yield open_one
    for outbox in made:
        outbox.close()


@pytest.fixture(params=["file", "memory"])
def outbox(request: pytest.FixtureRequest, opened: Open, file: Path) -> Outbox:
    return opened(file if request.param == "file" else None)


def ingest(outbox: Outbox, *tallies: Tally, now: float = TIME) -> list[Incident]:
    return outbox.ingest(tallies, {}, now)


def incident(outbox: Outbox) -> Incident:
    (only,) = outbox.incidents.all()
    return only


def claim(outbox: Outbox, *incidents: Incident, now: float = TIME, reason: Any = None) -> Waiting:
    """Claim what is due, or a mail about these incidents; return the new letter."""
    plans = [Plan(reason, incidents)] if reason else decide(outbox.incidents.due(now), Situation(now, 99), Pace())
    outbox.claim(plans, "example.org", now)
    return outbox.letters.all()[-1]


def sent(outbox: Outbox, letter: Waiting, now: float = TIME) -> None:
    outbox.accept(letter, DONE, None, now)


def counts(outbox: Outbox) -> list[tuple[int, int, int]]:
    """Of each incident, how many alerts there were, how many are told, and by how many mails."""
    return [(one.count, one.accounted, one.mails) for one in outbox.incidents.all()]


# Owners


def test_an_owner_sees_its_own_part_only_and_finds_it_again(opened: Open, file: Path) -> None:
    mine, other = opened(file), opened(file, Owner("shop", "other"))
    ingest(mine, tally())
    letter = claim(mine)
    mine.set_gate(Gate(failures=3))
    mine.ingest([], {"a.journal": 5}, TIME)
    assert (other.incidents.all(), other.incidents.due(TIME)) == ([], [])
    assert (other.letters.all(), other.letters.due(TIME)) == ([], [])
    assert (other.gate(), other.journals.read_to()) == (Gate(), {})
    other.times.shift(99)
    other.hurry()
    assert other.expire(TIME + 99) == []
    again = opened(file)
    assert again.letters.all() == [letter]
    assert (again.gate().failures, again.journals.read_to()) == (3, {"a.journal": 5})
    ingest(other, tally())
    assert len(other.incidents.all()) == len(mine.incidents.all()) == 1


def test_an_owner_whose_name_utf_8_does_not_have_finds_its_part_again(opened: Open, file: Path) -> None:
    owner = Owner("shop\udcff", "alerts")
    ingest(opened(file, owner), tally("\ud800 in the text", kind="quota\udcff"))
    (only,) = opened(file, owner).incidents.all()
    assert only.alert.kind == "quota\udcff"
    assert only.alert.message == "\ud800 in the text"


def test_an_outbox_that_can_not_be_opened_leaves_nothing_open(opened: Open, file: Path) -> None:
    opened(file)._database.run("DROP TABLE owner")
    with pytest.raises(OutboxError, match="no such table"):
        opened(file)


# Ingest


def test_the_first_alert_opens_an_incident_and_later_ones_are_counted(outbox: Outbox) -> None:
    (new,) = ingest(outbox, tally(at=TIME), now=TIME + 1)
    assert incident(outbox) == new
    assert (new.count, new.accounted, new.mails, new.first, new.last, new.seen) == (1, 0, 0, TIME, TIME, TIME + 1)
    assert ingest(outbox, tally(count=7, at=TIME + 5), tally("Disk still full", at=TIME + 3), now=TIME + 9) == []
    after = incident(outbox)
    assert (after.id, after.count, after.first, after.last, after.seen) == (new.id, 9, TIME, TIME + 5, TIME + 9)
    assert after.untold == 9
    assert after.alert == new.alert


def test_alerts_that_come_late_move_the_beginning(outbox: Outbox) -> None:
    ingest(outbox, tally(at=TIME), tally(at=TIME - 60))
    assert (incident(outbox).first, incident(outbox).last) == (TIME - 60, TIME)


def test_different_trouble_is_different_incidents_the_worst_first(outbox: Outbox) -> None:
    ingest(outbox, tally("mild", level=30), tally("bad", at=TIME + 1), tally("early"))
    assert [one.alert.message for one in outbox.incidents.all()] == ["early", "bad", "mild"]


def test_a_higher_level_is_urgent_and_stays_the_incidents_level(outbox: Outbox) -> None:
    ingest(outbox, tally(level=40, levelname="ERROR"), tally(level=50), tally(level=30, levelname="WARNING"))
    one = incident(outbox)
    assert (one.level, one.levelname, one.urgent) == (50, "CRITICAL", True)


def test_of_the_samples_that_differ_the_first_four_and_the_newest_are_kept(outbox: Outbox) -> None:
    texts = ["Disk full", "Disk full", *(f"Disk full {number}" for number in (1, 1, 2, 3, 4, 5, 6, 7))]
    ingest(outbox, *map(tally, texts), tally("Disk is fine", resolved=True, count=0))
    samples = incident(outbox).samples
    assert [sample.message for sample in samples] == [
        *(f"Disk full {number}" for number in (*range(1, SAMPLES), 7)),
        "Disk is fine",  # and what says that it is over, in any case
    ]


def test_without_room_for_samples_those_that_are_there_stay(outbox: Outbox) -> None:
    ingest(outbox, *map(tally, ["Disk full", *(f"Disk full {number}" for number in range(1, SAMPLES + 1))]))
    one = incident(outbox)
    assert samples_of(one, [tally("Disk full 9").alert], 0) == list(one.samples)
    assert samples_of(replace(one, samples=()), [tally("Disk full 9").alert], 0) == []
    newest = samples_of(one, [tally(f"Disk full {number}").alert for number in (8, 1, 9)], SAMPLES)
    assert [sample.message for sample in newest] == [f"Disk full {number}" for number in (1, 2, 3, 4, 9)]


def test_what_says_that_it_is_over_resolves_the_incident_and_counts_nothing(outbox: Outbox) -> None:
    ingest(outbox, tally(count=3), Tally.one(tally(resolved=True, level=60).alert))
    one = incident(outbox)
    assert (one.count, one.resolved, one.urgent, one.level) == (3, True, False, 50)


def test_when_it_was_over_is_kept_apart_from_the_last_alert_whatever_the_end_says(outbox: Outbox) -> None:
    ingest(outbox, tally(at=TIME), tally(at=TIME + 5))
    ingest(outbox, tally(resolved=True, count=0, at=TIME + 90), tally(resolved=True, count=0, at=TIME + 95))
    one = incident(outbox)
    assert (one.last, ended(one, 0.0)) == (TIME + 5, TIME + 90)
    assert [sample.resolved for sample in one.samples] == [True]
    assert ended(replace(one, samples=()), TIME) == TIME


def test_an_end_without_a_beginning_is_nothing(outbox: Outbox) -> None:
    assert ingest(outbox, tally(resolved=True, count=0)) == []
    assert outbox.incidents.all() == []
    (new,) = ingest(outbox, tally())
    assert (new.count, new.resolved) == (1, False)


def test_a_test_is_an_incident_of_its_own_each_time(outbox: Outbox) -> None:
    assert len(ingest(outbox, tally(test=True), tally(test=True), tally())) == 3
    assert len(ingest(outbox, tally(test=True), tally())) == 1


def test_what_comes_after_an_end_is_new_trouble_and_both_are_told(outbox: Outbox) -> None:
    tallies = [tally(count=2), tally(resolved=True, count=0, at=TIME + 1), tally(count=3, at=TIME + 2)]
    assert [one.count for one in ingest(outbox, *tallies)] == [2, 3]
    plans = decide(outbox.incidents.due(TIME + 2), Situation(TIME + 2, 9), Pace())
    assert sorted((plan.reason, plan.incidents[0].count) for plan in plans) == [("opening", 3), ("resolved", 2)]


def test_an_end_is_told_also_where_the_trouble_came_back_before_its_mail_was_written(outbox: Outbox) -> None:
    ingest(outbox, tally())
    sent(outbox, claim(outbox))
    ingest(outbox, tally(resolved=True, count=0, at=TIME + 1), tally(at=TIME + 2))
    plans = decide(outbox.incidents.due(TIME + 2), Situation(TIME + 2, 9), Pace())
    assert sorted(plan.reason for plan in plans) == ["opening", "resolved"]


def test_what_another_process_raised_before_the_end_belongs_to_what_has_ended(outbox: Outbox) -> None:
    ingest(outbox, tally(at=TIME), tally(resolved=True, count=0, at=TIME + 9))
    assert ingest(outbox, tally(at=TIME + 5), tally(resolved=True, count=0, at=TIME + 10)) == []
    assert counts(outbox) == [(2, 0, 0)]


def test_an_alert_after_a_long_quiet_is_new_trouble_and_nothing_untold_is_lost(outbox: Outbox) -> None:
    ingest(outbox, tally(at=TIME))
    assert ingest(outbox, tally(at=TIME + HOUR - 1), now=TIME) == []
    (new,) = ingest(outbox, tally(at=TIME + 2 * HOUR), now=TIME + 2 * HOUR)
    assert (new.first, new.count) == (TIME + 2 * HOUR, 1)
    assert counts(outbox) == [(2, 0, 0), (1, 0, 0)]
    assert len(outbox.incidents.due(TIME + 2 * HOUR)) == 2


def test_what_only_one_of_two_clocks_calls_a_long_quiet_is_none(outbox: Outbox) -> None:
    ingest(outbox, tally(at=TIME), now=TIME)
    assert ingest(outbox, tally(at=TIME + 24 * HOUR), now=TIME + 1) == [], "the calendar was set"
    assert ingest(outbox, tally(at=TIME + 24 * HOUR + 1), now=TIME + 48 * HOUR) == [], "it lay in a journal"
    assert counts(outbox) == [(3, 0, 0)]


def test_of_an_incident_that_is_told_nothing_is_left_when_the_next_one_opens(outbox: Outbox) -> None:
    ingest(outbox, tally())
    sent(outbox, claim(outbox))
    (new,) = ingest(outbox, tally(at=TIME + 2 * HOUR), now=TIME + 2 * HOUR)
    assert outbox.incidents.all() == [new]


def test_an_incident_that_a_letter_speaks_of_ends_after_that_letter(outbox: Outbox) -> None:
    ingest(outbox, tally())
    letter = claim(outbox)
    ingest(outbox, tally(at=TIME + 2 * HOUR), now=TIME + 2 * HOUR)
    assert counts(outbox) == [(1, 0, 0), (1, 0, 0)]
    sent(outbox, letter)
    assert counts(outbox) == [(1, 0, 0)]


def test_how_far_a_journal_is_read_never_goes_back_until_it_is_forgotten(outbox: Outbox) -> None:
    outbox.ingest([tally()], {"a.journal": 10, "b.journal": 20}, TIME)
    outbox.ingest([], {"a.journal": 30}, TIME)
    outbox.ingest([], {"b.journal": 5}, TIME)
    assert outbox.journals.read_to() == {"a.journal": 30, "b.journal": 20}
    outbox.journals.forget("a.journal")
    outbox.journals.forget("a.journal")
    assert outbox.journals.read_to() == {"b.journal": 20}


def test_an_error_in_the_middle_of_ingest_leaves_nothing(outbox: Outbox) -> None:
    wrong = replace(tally("wrong"), count=2**70)
    with pytest.raises(OverflowError):
        outbox.ingest([tally(), wrong], {"a.journal": 10}, TIME)
    assert (outbox.incidents.all(), outbox.journals.read_to()) == ([], {})
    assert len(ingest(outbox, tally())) == 1


# Claim


def test_a_claim_freezes_what_the_letter_says(outbox: Outbox) -> None:
    ingest(outbox, tally(count=3))
    letter = claim(outbox, now=TIME + 5)
    ingest(outbox, tally(count=4))
    assert outbox.letters.all() == [letter]
    assert (letter.draft.reason, letter.draft.count, letter.draft.total) == ("opening", 3, 3)
    assert (letter.draft.date, letter.created, letter.due, letter.attempts) == (TIME + 5, TIME + 5, TIME + 5, 0)
    assert (letter.offered, letter.told, letter.aside, letter.done, letter.error) == (False, False, False, (), "")
    assert letter.draft.message_id.startswith("<")
    assert letter.draft.message_id.endswith(".alertlog@example.org>")


def test_of_an_incident_that_a_letter_speaks_of_no_other_letter_does(outbox: Outbox) -> None:
    ingest(outbox, tally())
    claim(outbox)
    ingest(outbox, tally(level=60))
    assert outbox.incidents.due(TIME + HOUR) == outbox.incidents.untold() == []
    assert incident(outbox).urgent


def test_the_number_of_a_letter_that_is_gone_never_comes_again(outbox: Outbox) -> None:
    seen = list[int]()
    for name in ("Disk", "Memory"):
        outbox.ingest([tally(f"{name} full")], {}, TIME)
        outbox.claim([Plan("opening", tuple(outbox.incidents.due(TIME)))], "example.org", TIME)
        (letter,) = outbox.letters.all()
        seen.append(letter.id)
        outbox.purge(letter)
    assert seen[0] != seen[1]


def test_message_ids_are_unique(outbox: Outbox) -> None:
    incidents = ingest(outbox, *(tally(f"{number} full") for number in range(50)))
    outbox.claim([Plan("opening", (one,)) for one in incidents], "example.org", TIME)
    assert len({letter.draft.message_id for letter in outbox.letters.all()}) == 50


def test_the_first_letter_of_its_own_begins_an_incidents_thread(outbox: Outbox) -> None:
    ingest(outbox, tally())
    sent(outbox, claim(outbox, incident(outbox), reason="digest"))
    assert incident(outbox).thread == ""
    ingest(outbox, tally())
    first = claim(outbox, incident(outbox), reason="follow-up")
    sent(outbox, first)
    ingest(outbox, tally())
    claim(outbox, incident(outbox), reason="follow-up")
    assert incident(outbox).thread == first.draft.message_id


def test_a_claim_that_ends_an_incident_lets_the_next_alert_open_another(outbox: Outbox) -> None:
    ingest(outbox, tally())
    letter = claim(outbox, incident(outbox), reason="closing")
    assert len(ingest(outbox, tally())) == 1
    sent(outbox, letter)
    assert counts(outbox) == [(1, 0, 0)]


def test_an_error_in_the_middle_of_a_claim_leaves_nothing(outbox: Outbox) -> None:
    (one,) = ingest(outbox, tally())
    plans = [Plan("opening", (one,)), Plan("opening", (replace(one, id=2**70),))]
    with pytest.raises(OverflowError):
        outbox.claim(plans, "example.org", TIME)
    assert outbox.letters.all() == []
    assert outbox.incidents.due(TIME) == [one]


def test_what_is_dissolved_can_be_told_by_another_letter(outbox: Outbox) -> None:
    (one,) = ingest(outbox, tally())
    claim(outbox)
    outbox.dissolve(outbox.letters.all())
    assert outbox.letters.all() == []
    assert outbox.incidents.due(TIME) == [one], "its thread is to begin anew, too"
    sent(outbox, claim(outbox))
    assert counts(outbox) == [(1, 1, 1)]


def test_an_incident_that_a_letter_speaks_of_by_now_is_not_removed(outbox: Outbox) -> None:
    ingest(outbox, tally("one"), tally("two"))
    letter = claim(outbox, *outbox.incidents.all(), reason="digest")
    outbox.remove(outbox.incidents.all()[:1])
    outbox.dissolve([letter])
    assert outbox.letters.all() == []
    assert counts(outbox) == [(1, 0, 0), (1, 0, 0)]


def test_a_dissolved_follow_up_leaves_the_thread_as_it_was(outbox: Outbox) -> None:
    ingest(outbox, tally())
    first = claim(outbox)
    sent(outbox, first)
    ingest(outbox, tally())
    claim(outbox, incident(outbox), reason="follow-up")
    outbox.dissolve(outbox.letters.all())
    assert incident(outbox).thread == first.draft.message_id


def test_what_is_told_and_quiet_can_be_forgotten(outbox: Outbox) -> None:
    ingest(outbox, tally())
    sent(outbox, claim(outbox))
    outbox.remove(outbox.incidents.due(TIME + HOUR))
    assert outbox.incidents.all() == []


# What is due


def test_an_incident_is_due_when_there_is_something_to_decide(outbox: Outbox) -> None:
    ingest(outbox, tally())
    sent(outbox, claim(outbox))
    assert outbox.incidents.due(TIME + HOUR - 1) == []
    assert len(outbox.incidents.due(TIME + HOUR)) == 1
    ingest(outbox, tally())
    assert outbox.incidents.due(TIME + 299) == []
    assert len(outbox.incidents.due(TIME + 300)) == 1


def test_what_is_due_long_after_now_is_due_because_the_clock_went_back(outbox: Outbox) -> None:
    ingest(outbox, tally(), now=TIME + LONGEST_WAIT)
    letter = claim(outbox, now=TIME + LONGEST_WAIT)
    outbox.postpone(letter, TIME + LONGEST_WAIT, "")
    assert outbox.letters.due(TIME - CLOCK_JUMP) == []
    assert len(outbox.letters.due(TIME - CLOCK_JUMP - 1)) == 1
    sent(outbox, letter, now=TIME + LONGEST_WAIT)
    assert outbox.incidents.due(TIME + HOUR) == []
    assert len(outbox.incidents.due(TIME + HOUR - 1)) == 1


def test_a_long_quiet_after_is_no_clock_that_went_back(opened: Open) -> None:
    patient = opened(quiet_after=24 * HOUR)
    ingest(patient, *(tally(f"{number} full") for number in range(AT_ONCE)))
    for one in patient.incidents.all():
        patient.claim([Plan("opening", (one,))], "example.org", TIME)
    for letter in patient.letters.all():
        sent(patient, letter)
    (new,) = ingest(patient, tally("another", level=30))
    assert patient.incidents.due(TIME + 1) == [new], "and those who wait don't keep it from its turn"


def test_no_more_is_handed_out_than_a_round_can_do(opened: Open, file: Path) -> None:
    outbox = opened(file, bounds=Bounds(incidents=2 * AT_ONCE))
    ingest(outbox, *(tally(f"{number} full") for number in range(AT_ONCE + 5)))
    assert len(outbox.incidents.due(TIME)) == AT_ONCE
    assert len(outbox.incidents.all()) == AT_ONCE + 5
    outbox.claim([Plan("opening", (one,)) for one in outbox.incidents.due(TIME)[:60]], "example.org", TIME)
    assert len(outbox.letters.due(TIME)) == LETTERS_AT_ONCE
    assert len(outbox.letters.all()) == 60


# Settle


def test_an_accepted_letter_is_gone_and_its_alerts_are_told_once(outbox: Outbox) -> None:
    ingest(outbox, tally(count=3))
    letter = claim(outbox)
    ingest(outbox, tally(count=4))
    sent(outbox, letter, now=TIME + 7)
    one = incident(outbox)
    assert (one.count, one.accounted, one.mails, one.mailed) == (7, 3, 1, TIME + 7)
    assert outbox.letters.all() == []


def test_recipients_still_to_reach_keep_the_letter_and_its_alerts_are_told_once(outbox: Outbox) -> None:
    ingest(outbox, tally(count=3))
    outbox.accept(claim(outbox), DONE, TIME + 5, TIME)
    (letter,) = outbox.letters.all()
    assert (letter.told, letter.offered, letter.done, letter.due, letter.attempts) == (True, True, DONE, TIME + 5, 1)
    outbox.accept(letter, ("bob@example.org",), TIME + 9, TIME)
    (letter,) = outbox.letters.all()
    assert (letter.done, letter.attempts) == (("ada@example.org", "bob@example.org"), 2)
    sent(outbox, letter)
    assert counts(outbox) == [(3, 3, 1)]


def test_a_failed_attempt_is_tried_again_at_its_time_and_says_why(outbox: Outbox) -> None:
    ingest(outbox, tally())
    outbox.postpone(claim(outbox), TIME + 5, "451 greylisted \udcff")
    assert outbox.letters.due(TIME + 4) == []
    (letter,) = outbox.letters.due(TIME + 5)
    assert (letter.attempts, letter.error, letter.offered) == (1, "451 greylisted \\udcff", False)


def test_what_a_server_is_about_to_see_is_offered_until_it_is_sure_that_it_has_not(outbox: Outbox) -> None:
    ingest(outbox, tally())
    before = claim(outbox)
    outbox.offer(before)
    assert outbox.letters.all() == [replace(before, offered=True)]
    outbox.postpone(before, TIME, "451 at RCPT")
    assert not outbox.letters.all()[0].offered
    outbox.doubt(before, TIME, "no reply")
    (again,) = outbox.letters.all()
    outbox.offer(again)
    outbox.postpone(again, TIME, "451 at RCPT")
    assert outbox.letters.all()[0].offered, "it may have it from before"


def test_an_outcome_that_nobody_knows_leaves_the_letter_as_it_is(outbox: Outbox) -> None:
    ingest(outbox, tally())
    outbox.doubt(claim(outbox), TIME + 5, "no reply")
    (letter,) = outbox.letters.all()
    assert (letter.unknown, letter.attempts, letter.offered, letter.told) == (1, 1, True, False)
    assert counts(outbox) == [(1, 0, 0)]


def test_a_letter_set_aside_stays_to_be_seen_and_is_not_tried_again(outbox: Outbox) -> None:
    ingest(outbox, tally(count=2))
    outbox.put_aside(claim(outbox), "554 no", TIME + 1)
    (letter,) = outbox.letters.all()
    assert (letter.aside, letter.error, letter.attempts) == (True, "554 no", 1)
    outbox.hurry()
    assert outbox.letters.due(TIME + HOUR) == []
    assert counts(outbox) == [(2, 2, 1)]


def test_a_letter_that_somebody_has_can_be_set_aside_for_the_others(outbox: Outbox) -> None:
    ingest(outbox, tally(count=2))
    outbox.accept(claim(outbox), DONE, TIME, TIME)
    outbox.put_aside(outbox.letters.all()[0], "554 no", TIME + 1)
    assert counts(outbox) == [(2, 2, 1)]
    assert outbox.expire(TIME + 9 * KEPT) == []


@pytest.mark.parametrize("settled", ["waiting", "told", "aside"])
def test_a_purged_letter_is_gone_and_its_alerts_are_never_told_again(outbox: Outbox, settled: str) -> None:
    ingest(outbox, tally(count=2))
    if settled == "told":
        outbox.accept(claim(outbox), DONE, TIME, TIME)
    elif settled == "aside":
        outbox.put_aside(claim(outbox), "554 no", TIME)
    else:
        claim(outbox)
    outbox.purge(outbox.letters.all()[0])
    assert outbox.letters.all() == []
    assert counts(outbox) == [(2, 2, 0 if settled == "waiting" else 1)]
    assert decide(outbox.incidents.due(TIME), Situation(TIME, 9), Pace()) == []


def test_an_error_in_the_middle_of_settling_leaves_nothing(outbox: Outbox) -> None:
    ingest(outbox, tally())
    letter = claim(outbox)
    acts: list[Callable[[], None]] = [
        lambda: outbox.accept(letter, DONE, 2**70, TIME),
        lambda: outbox.postpone(letter, 2**70, "no connection"),
        lambda: outbox.doubt(letter, 2**70, "no reply"),
        lambda: outbox.put_aside(letter, "no", 2**70),
    ]
    for act in acts:
        with pytest.raises(OverflowError):
            act()
        assert outbox.letters.all() == [letter]
        assert counts(outbox) == [(1, 0, 0)]
    sent(outbox, letter)
    assert counts(outbox) == [(1, 1, 1)]


def test_of_incidents_that_a_digest_tells_each_is_told(outbox: Outbox) -> None:
    ingest(outbox, tally("one", count=2), tally("two", count=3), tally("two", resolved=True, count=0))
    letter = claim(outbox, *outbox.incidents.all(), reason="digest")
    assert (letter.draft.count, letter.draft.total) == (5, 5)
    sent(outbox, letter)
    assert counts(outbox) == [(2, 2, 1)], "the resolved one has ended with it"


# Expire


def test_what_could_not_be_sent_for_a_week_is_given_up_and_counted(outbox: Outbox) -> None:
    ingest(outbox, tally("lettered", count=2), now=TIME)
    claim(outbox)
    ingest(outbox, tally("lettered", count=4), now=TIME + 10)
    ingest(outbox, tally("waiting", count=3), now=TIME)
    assert outbox.expire(TIME) == []
    lost = outbox.expire(TIME + 1)
    assert sorted((count, alert.message) for count, alert in lost) == [(2, "lettered"), (3, "waiting")]
    assert counts(outbox) == [(6, 2, 0)]
    assert outbox.expire(TIME + 1) == []
    assert (incident(outbox).thread, incident(outbox).mailed) == ("", 0), "nobody got the letter that was given up"


def test_what_somebody_was_told_is_not_lost_when_its_letter_expires(outbox: Outbox) -> None:
    ingest(outbox, tally(count=2))
    outbox.accept(claim(outbox), DONE, TIME, TIME)
    assert outbox.expire(TIME + 1) == []
    assert outbox.letters.all() == []
    assert counts(outbox) == [(2, 2, 1)]


def test_a_letter_set_aside_is_counted_as_lost_when_it_expires(outbox: Outbox) -> None:
    ingest(outbox, tally(count=2))
    outbox.put_aside(claim(outbox), "554 no", TIME)
    assert [count for count, _alert in outbox.expire(TIME + 1)] == [2]
    assert counts(outbox) == [(2, 2, 1)]


# Moving from memory into the file


@pytest.fixture
def memory(opened: Open) -> Outbox:
    return opened(None)


def move(memory: Outbox, file: Outbox, read_to: dict[str, int] | None = None, now: float = TIME) -> None:
    moving.move(memory, file, read_to or {}, now)


def test_what_memory_held_moves_with_its_counts_and_how_far_it_had_read(memory: Outbox, outbox: Outbox) -> None:
    ingest(memory, tally("told", count=3), tally("untold", count=4))
    told = next(one for one in memory.incidents.all() if one.alert.message == "told")
    sent(memory, claim(memory, told, reason="opening"), now=TIME + 1)
    ingest(memory, tally("told", count=2))
    before = memory.incidents.all()
    move(memory, outbox, {"a.journal": 7})
    assert [replace(one, id=0) for one in outbox.incidents.all()] == [replace(one, id=0) for one in before]
    assert outbox.journals.read_to() == {"a.journal": 7}
    assert [one.alert.message for one in outbox.incidents.due(TIME + 1)] == ["untold"]
    assert len(outbox.incidents.due(TIME + 301)) == 2


def test_what_memory_held_joins_the_incident_that_is_open_there(memory: Outbox, outbox: Outbox) -> None:
    ingest(outbox, tally(count=3, at=TIME), now=TIME)
    sent(outbox, claim(outbox))
    ingest(memory, tally("Disk full", count=4, at=TIME - 5), tally("Disk full, too", at=TIME + 9), now=TIME + 9)
    sent(memory, claim(memory, now=TIME + 10), now=TIME + 10)
    ingest(memory, tally(count=1, at=TIME + 20), now=TIME + 20)
    thread = incident(outbox).thread
    move(memory, outbox)
    one = incident(outbox)
    assert (one.count, one.accounted, one.mails) == (9, 8, 2)
    assert (one.first, one.last, one.seen, one.mailed) == (TIME - 5, TIME + 20, TIME + 20, TIME + 10)
    assert one.thread == thread
    assert (one.samples, one.news) == ((), TIME + 20), "a mail has told of the other text"


def test_a_level_that_rose_in_memory_and_an_end_move_too(memory: Outbox, outbox: Outbox) -> None:
    ingest(outbox, tally(level=30, levelname="WARNING"))
    ingest(memory, tally(level=30, levelname="WARNING"), tally(level=50))
    move(memory, outbox)
    one = incident(outbox)
    assert (one.level, one.levelname, one.urgent) == (50, "CRITICAL", True)
    ingest(memory, tally(level=30, resolved=True, count=0))
    move(memory, outbox)
    assert (incident(outbox).resolved, incident(outbox).level) == (True, 50)


def test_incidents_that_ended_and_began_again_in_memory_are_counted_whole(memory: Outbox, outbox: Outbox) -> None:
    ingest(memory, tally(count=2, at=TIME))
    ingest(memory, tally(count=3, at=TIME + 2 * HOUR), now=TIME + 2 * HOUR)
    assert len(memory.incidents.all()) == 2
    ingest(memory, tally("another", count=4), tally("another", resolved=True, count=0))
    move(memory, outbox)
    assert sum(one.untold for one in outbox.incidents.all()) == 9


def test_a_letter_that_no_server_has_seen_dissolves_and_is_told_from_the_file(memory: Outbox, outbox: Outbox) -> None:
    ingest(memory, tally(count=2))
    outbox_letter = claim(memory)
    memory.postpone(outbox_letter, TIME + 5, "no connection")
    move(memory, outbox)
    assert outbox.letters.all() == []
    assert [one.untold for one in outbox.incidents.due(TIME)] == [2]


def test_a_letter_that_a_server_may_have_moves_as_it_is_and_is_told_by_no_other(memory: Outbox, outbox: Outbox) -> None:
    ingest(outbox, tally("one in the way"), tally("another in the way"))
    ingest(memory, tally(count=2))
    memory.doubt(claim(memory), TIME + 5, "no reply", way=1)
    (before,) = memory.letters.all()
    assert before.doubt == 1
    ingest(memory, tally(count=3))
    move(memory, outbox)
    (letter,) = outbox.letters.all()
    assert replace(letter, id=before.id) == before
    assert sorted(counts(outbox)) == [(1, 0, 0), (1, 0, 0), (5, 2, 1)]
    sent(outbox, letter)
    assert sorted(counts(outbox)) == [(1, 0, 0), (1, 0, 0), (5, 2, 1)]


@pytest.mark.parametrize("settled", ["doubt", "told", "aside"])
def test_what_is_lost_of_a_letter_that_moved_is_counted_when_it_expires(
    memory: Outbox, outbox: Outbox, settled: str
) -> None:
    ingest(memory, tally(count=2))
    letter = claim(memory)
    if settled == "doubt":
        memory.doubt(letter, TIME, "no reply")
    elif settled == "told":
        memory.accept(letter, DONE, TIME, TIME)
    else:
        memory.put_aside(letter, "554 no", TIME)
    move(memory, outbox)
    assert [count for count, _alert in outbox.expire(TIME + 1)] == ([] if settled == "told" else [2])
    assert counts(outbox) == [(2, 2, 1)]


def test_where_the_file_does_not_take_it_memory_holds_it_as_before(memory: Outbox, opened: Open, file: Path) -> None:
    outbox, other = opened(file), opened(file)
    ingest(memory, tally("one"), tally("two"))
    memory.doubt(claim(memory), TIME + 5, "no reply")
    memory.postpone(memory.letters.all()[0], TIME + 9, "no connection")
    before = memory.incidents.all(), memory.letters.all()
    with other._database.transaction(), pytest.raises(OutboxError) as caught:
        move(memory, outbox)
    assert caught.value.busy
    assert (memory.incidents.all(), memory.letters.all()) == before
    move(memory, outbox)
    assert sum(one.count for one in outbox.incidents.all()) == 2


# The gate, the clock, and hurry


def test_the_gate_is_open_until_something_is_noted_of_it(outbox: Outbox) -> None:
    assert outbox.gate() == Gate()
    for gate in (
        Gate(
            2, TIME, "temporary", "mail.example.org:25 none", TIME - 1, TIME, "no connection \ud800", Bucket(3.5, TIME)
        ),
        Gate(bucket=Bucket(15, TIME)),
        Gate(failures=1),
    ):
        outbox.set_gate(gate)
        assert outbox.gate() == replace(gate, error=gate.error.replace("\ud800", "\\ud800"))


@pytest.mark.parametrize("by", [5.0, -5.0, 24 * HOUR, -24 * HOUR])
def test_when_the_calendar_is_set_every_interval_stays_what_it_was(outbox: Outbox, by: float) -> None:
    ingest(outbox, tally("told"), tally("fresh"))
    letter = claim(outbox, outbox.incidents.all()[0], reason="opening")
    sent(outbox, letter)
    ingest(outbox, tally("told"))
    claim(outbox, outbox.incidents.all()[1], reason="opening")
    outbox.postpone(outbox.letters.all()[0], TIME + 60, "")
    outbox.set_gate(Gate(1, TIME + 60, tried=TIME, told=TIME, bucket=Bucket(3, TIME)))
    outbox.times.shift(by)
    now = TIME + by
    assert outbox.letters.due(now + 59) == []
    assert len(outbox.letters.due(now + 60)) == 1
    assert outbox.incidents.due(now + 299) == []
    assert len(outbox.incidents.due(now + 300)) == 1
    assert outbox.gate() == Gate(1, now + 60, tried=now, told=now, bucket=Bucket(3, now))
    assert {one.mailed for one in outbox.incidents.all()} == {0, now}
    assert outbox.letters.all()[0].created == now


def test_what_seems_to_lie_ahead_has_happened_by_now(outbox: Outbox) -> None:
    ingest(outbox, tally("told"), tally("lettered"), tally("past"))
    for one in sorted(outbox.incidents.all(), key=lambda one: one.alert.message):
        claim(outbox, one, reason="opening")
    lettered, _past, told = outbox.letters.all()
    sent(outbox, told)
    outbox.set_gate(Gate(told=TIME, bucket=Bucket(3, TIME)))
    outbox.times.forget_future(TIME)
    assert {one.seen for one in outbox.incidents.all()} == {TIME}
    assert outbox.letters.all()[0] == lettered
    now = TIME - 24 * HOUR
    outbox.times.forget_future(now)
    assert {max(one.seen, one.mailed) for one in outbox.incidents.all()} == {now}
    assert {one.created for one in outbox.letters.all()} == {now}
    assert (outbox.gate().told, outbox.gate().bucket) == (now, Bucket(3, now))
    assert len(outbox.incidents.due(now)) == 1, "there is to be looked at it anew"


def test_in_a_hurry_everything_that_waits_is_due_and_the_gate_is_open(outbox: Outbox) -> None:
    ingest(outbox, tally())
    outbox.postpone(claim(outbox), TIME + 600, "no connection")
    outbox.set_gate(Gate(failures=1, due=TIME + 600))
    outbox.hurry()
    assert len(outbox.letters.due(TIME)) == 1
    assert (outbox.gate().due, outbox.gate().failures) == (0, 1)


# Kill

KILLED = """
import sys
from alertlog.outbox import Outbox
from alertlog.ownership import Owner
from alertlog.policy import Pace, Plan
from tests.support import TIME, tally

outbox = Outbox(Owner("shop", "alerts"), Pace(), Path(sys.argv[1]))
outbox.ingest([tally(count=2)], {"a.journal": 5}, TIME)
print("ingested")
input()
outbox.claim([Plan("opening", tuple(outbox.incidents.all()))], "example.org", TIME)
print("claimed")
input()
(letter,) = outbox.letters.all()
outbox.accept(letter, ("ada@example.org",), TIME, TIME)
print("accepted")
input()
(letter,) = outbox.letters.all()
outbox.accept(letter, ("bob@example.org",), None, TIME)
print("settled")
input()
"""


@pytest.mark.parametrize(
    ("after", "letters", "counted"),
    [("ingested", 0, (2, 0, 0)), ("claimed", 1, (2, 0, 0)), ("accepted", 1, (2, 2, 1)), ("settled", 0, (2, 2, 1))],
)
def test_after_a_kill_everything_is_as_it_was_after_the_last_step(
    file: Path, tmp_path: Path, after: str, letters: int, counted: tuple[int, int, int]
) -> None:
    with child(tmp_path, KILLED, file) as process:
        line = process.line()
        while line != after:
            line = process.next()
        process.kill()
    with closing(Outbox(OWNER, Pace(), file)) as outbox:
        assert len(outbox.letters.all()) == letters
        assert counts(outbox) == [counted]
        assert outbox.journals.read_to() == {"a.journal": 5}
        for letter in outbox.letters.all():
            sent(outbox, letter)
        if after == "ingested":
            sent(outbox, claim(outbox))
        assert counts(outbox) == [(2, 2, 1)]
