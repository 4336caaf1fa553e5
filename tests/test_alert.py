"""The nouns that travel: what goes into JSON comes back the same, and what is none of them is refused."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog.alert import Alert, Incident, Tally
from alertlog.draft import Draft, Reason
from tests.support import TIME, some_alert, tally


def joined(text: str) -> str:
    """The text as JSON gives it back: two surrogates that stand side by side are one character there."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


TEXTS = st.text(st.characters(), max_size=30).map(joined)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
TIMES = st.floats(0, 1e11)
ALERTS = st.builds(
    Alert,
    fingerprint=TEXTS, kind=TEXTS, level=NUMBERS, levelname=TEXTS, logger=TEXTS, message=TEXTS, created=TIMES,
    extras=st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
    text=TEXTS, subject=TEXTS, exception=TEXTS, traceback=TEXTS, path=TEXTS, line=NUMBERS, function=TEXTS, host=TEXTS,
    pid=NUMBERS, process=TEXTS, thread=TEXTS, task=TEXTS, problem=TEXTS, resolved=st.booleans(), test=st.booleans(),
    context=st.lists(st.tuples(TIMES, TEXTS, TEXTS, TEXTS), max_size=2).map(tuple),
)  # fmt: skip
TALLIES = st.builds(Tally, ALERTS, st.integers(0, 2**40), TIMES, TIMES)
INCIDENTS = st.builds(
    Incident,
    id=NUMBERS, fingerprint=TEXTS, kind=TEXTS, level=NUMBERS, levelname=TEXTS, first=TIMES, last=TIMES,
    count=st.integers(0), accounted=st.integers(0), mails=st.integers(0), thread=TEXTS, alert=ALERTS,
    samples=st.lists(ALERTS, max_size=2).map(tuple), resolved=st.booleans(), urgent=st.booleans(), seen=TIMES,
    mailed=TIMES,
)  # fmt: skip
DRAFTS = st.builds(Draft, TEXTS, TIMES, st.sampled_from(get_args(Reason)), st.lists(INCIDENTS, max_size=3).map(tuple))

COUNT, ROW = json.loads(tally().to_json())


@given(TALLIES)
def test_a_tally_comes_back_from_the_journal_as_it_was(before: Tally) -> None:
    assert Tally.from_json(before.to_json()) == before


@given(TALLIES)
def test_a_tally_in_the_journal_is_ascii_whatever_the_record_held(before: Tally) -> None:
    assert before.to_json().isascii()


@given(ALERTS)
def test_an_alert_comes_back_from_the_outbox_as_it_was(before: Alert) -> None:
    assert Alert.from_list(json.loads(json.dumps(before))) == before


@given(DRAFTS)
def test_a_draft_comes_back_from_the_outbox_as_it_was(before: Draft) -> None:
    assert Draft.from_json(before.to_json()) == before


def test_a_tally_of_one_counts_one_alert_at_its_own_time() -> None:
    assert Tally.one(some_alert(created=TIME)) == Tally(some_alert(), 1, TIME, TIME)


def test_what_says_that_the_trouble_is_over_is_no_alert_itself() -> None:
    assert Tally.one(some_alert(resolved=True)).count == 0


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"{", b"5", b"null", b"[]", b"[1, 2, 3]", b"{}", b'"four"', b'{"a": 1, "b": 2, "c": 3, "d": 4}',
        *(
            json.dumps([COUNT, alert]).encode()
            for alert in (
                None, "abcdefghij", {}, [], ROW[:6], [*ROW, "more"],
                *([*ROW[:at], None, *ROW[at + 1:]] for at in range(len(ROW))),
                [*ROW[:7], ["no pair"]], [*ROW[:7], [["a", "b", "c"]]], [*ROW[:7], [5]],
                [*ROW[:-1], [[TIME, "INFO"]]], [*ROW[:-1], [["now", "INFO", "shop", "Started"]]],
            )
        ),
        *(
            json.dumps([count, ROW, *times]).encode()
            for count, *times in (
                ("1", TIME, TIME), (True, TIME, TIME), (1.5, TIME, TIME), (-1, TIME, TIME), (None, TIME, TIME),
                (1, "0", TIME), (1, TIME, None), (1, float("nan"), TIME), (1, TIME, float("inf")), (1, TIME), (-1,),
            )
        ),
    ],
)  # fmt: skip
def test_what_is_no_tally_is_refused_before_it_gets_into_an_outbox(data: bytes) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Tally.from_json(data)


def test_an_alert_of_an_older_version_that_lacks_the_last_fields_is_read() -> None:
    assert Alert.from_list(ROW[:7]) == some_alert(host="")


def test_the_summary_is_the_first_line_that_says_anything() -> None:
    assert some_alert("\n \t\n  Disk full \nmore").summary == "Disk full"
    assert Alert("", "", 50, "", "", "\n \n", TIME).summary == ""


def test_for_an_event_an_alert_is_what_is_not_empty_by_name() -> None:
    alert = some_alert(extras=(("disk", "sda"), ("used", "100")), line=12)
    assert alert.to_dict() == {
        "fingerprint": alert.fingerprint,
        "level": 50,
        "levelname": "CRITICAL",
        "logger": "shop",
        "message": "Disk full",
        "created": TIME,
        "extras": {"disk": "sda", "used": "100"},
        "line": 12,
        "host": "vps1",
    }


def test_a_draft_counts_what_no_mail_has_told_and_all_there_were() -> None:
    def incident(count: int, accounted: int) -> Incident:
        return Incident(1, "f", "", 50, "CRITICAL", TIME, TIME, count, accounted, 1, "", some_alert())

    draft = Draft("<1@example.org>", TIME, "digest", (incident(5, 2), incident(7, 7)))
    assert (draft.count, draft.total) == (3, 12)
    assert incident(5, 2).untold == 3
