"""The last lines of a mail say why it came, why it is late, who sent it and how to mute it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from alertlog.cli_mutes import mute
from alertlog.draft import Cause, Draft, Reason
from alertlog.evidence import SAMPLE_LIMIT
from alertlog.footer import LATE, delay
from alertlog.letter import Wording
from tests.letters import (
    ENGLISH,
    FRENCH,
    MOMENT,
    Page,
    alert,
    draft,
    failure,
    html_of,
    in_paris,
    incident,
    letter,
    read,
    repeated,
    text_of,
    traced,
)
from tests.test_headers import HOSTILE

BOTH = pytest.mark.parametrize("wording", [ENGLISH, FRENCH], ids=["en", "fr"])


@pytest.fixture(autouse=True)
def paris() -> Iterator[None]:
    with in_paris():
        yield


def footer(made: Draft, wording: Wording = ENGLISH) -> str:
    """Return the footer on one line, having checked that the page says the same."""
    mail = read(letter(made, wording))
    text = text_of(mail).rpartition("-- \n")[2]
    page = Page(html_of(mail)).text
    assert [word for word in text.split() if word not in page] == []
    return text.replace("\n", " ")


# Why it is late


@pytest.mark.parametrize(("minutes", "said"), [(0, ""), (2, ""), (12, "Delayed by 12 min: mail failed"), (-60, "")])
def test_a_first_mail_says_by_how_much_it_is_late(minutes: int, said: str) -> None:
    text = footer(draft("opening", date=MOMENT + minutes * 60))
    assert said in text
    assert ("Delayed" in text) == bool(said)


@BOTH
def test_a_mail_that_was_muted_is_late_for_that(wording: Wording) -> None:
    muted = incident(mute_since=MOMENT, mute_until=MOMENT + 7_200, mute_reason="planned work")
    text = footer(draft("opening", muted, date=MOMENT + 7_200), wording)
    assert ("Delayed by 2 h: it was muted." if wording is ENGLISH else "Retard : 2 h ; il était en sourdine.") in (
        text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")
    )


def test_a_mail_that_is_late_says_so_in_french() -> None:
    text = footer(draft("opening", date=MOMENT + 720), FRENCH)
    assert "12 min" in text
    assert "aucun processus n'était là" in text


@pytest.mark.parametrize("cause", ["ration", "repair"])
@pytest.mark.parametrize("reason", ["opening", "digest"])
def test_a_mail_that_names_its_cause_gives_no_other_reason_for_the_delay(reason: Reason, cause: Cause) -> None:
    assert "Delayed by 1 h." in footer(draft(reason, incident(), cause=cause, date=MOMENT + 3_600))


def test_how_long_repeats_wait_is_no_delay() -> None:
    later = repeated(news=MOMENT + 60)
    assert delay(draft("follow-up", later, date=MOMENT + 14_000)) == 0
    assert "before it" not in footer(draft("follow-up", later, date=MOMENT + 14_000))


@pytest.mark.parametrize("cause", ["ration", "repair"])
def test_a_digest_of_repeats_that_were_held_back_says_how_old_the_first_is(cause: Cause) -> None:
    made = draft("digest", repeated(news=MOMENT + 100), repeated(), cause=cause, date=MOMENT + 3_700)
    assert "The first alert that it tells came 1 h 1 min before it." in footer(made)
    assert "Delayed" not in footer(made)


@pytest.mark.parametrize("cause", ["", "burst"])
def test_a_digest_that_nothing_held_back_says_nothing_of_it(cause: Cause) -> None:
    assert "before it" not in footer(draft("digest", repeated(), cause=cause, date=MOMENT + 3_600))
    assert "before it" not in footer(draft("digest", repeated(news=MOMENT + 190), cause="repair", date=MOMENT + 200))


def test_the_end_of_an_incident_is_late_from_the_end_on() -> None:
    end = alert(message="Quota reset", created=MOMENT + 9_000, resolved=True)
    over = repeated(resolved=True, samples=(end,))
    assert delay(draft("resolved", over, date=MOMENT + 9_001)) == 0
    assert delay(draft("resolved", over, date=MOMENT + 9_000 + LATE + 1)) == LATE + 1
    assert delay(draft("resolved", replace(over, mails=0), date=MOMENT + 9_001)) == 9_001
    assert delay(draft("resolved", repeated(resolved=True), date=MOMENT + 9_001)) == 0, "another host knows when it was"


def test_a_test_and_a_moment_that_is_none_are_never_late() -> None:
    assert "Delayed" not in footer(draft("test", incident(alert(test=True)), date=MOMENT + 9_000))
    assert delay(draft("opening", incident(first=float("nan")))) == 0


# What was taken out


def test_a_mail_says_how_many_secrets_were_taken_out() -> None:
    assert "2 secrets were taken out of what this mail shows." in footer(draft("opening", incident(traced())))
    one = alert(context=((MOMENT, "INFO", "etl", "token=[redacted]"),))
    assert "1 secret was taken out of what this mail shows." in footer(draft("opening", incident(one)))
    assert "1 secret a été retiré" in footer(draft("opening", incident(one)), FRENCH)
    assert "secret" not in footer(draft("opening"))


def test_a_secret_of_an_exception_counts_where_it_is_shown() -> None:
    hidden = failure()._replace(exception="ValueError: [redacted]", traceback="Traceback\nValueError: [redacted]")
    assert "1 secret was taken out" in footer(draft("opening", incident(hidden)))
    assert "1 secret was taken out" in footer(draft("opening", incident(hidden._replace(traceback=""))))
    assert "secret" not in footer(draft("opening", incident(hidden._replace(text="as the formatter has it"))))


REDACTED = "after [redacted]"


@pytest.mark.parametrize(
    "changes",
    [
        {"alert": alert(message=REDACTED)},
        {"alert": alert(message=f"Login\n{REDACTED}")},
        {"alert": alert(text=REDACTED, message=REDACTED, exception=REDACTED, traceback=REDACTED)},
        {"alert": alert(problem=REDACTED)},
        {"alert": alert(extras=(("detail", REDACTED),))},
        {"alert": alert(extras=((REDACTED, "detail"),))},
        {"alert": alert(message="at https://me:***@db.example/")},
        {"alert": alert(message="at https://***@git.example/")},
        {"alert": alert(logger=REDACTED)},
        {"alert": alert(path=REDACTED)},
        {"alert": alert(function=REDACTED)},
        {"alert": alert(thread=REDACTED)},
        {"alert": alert(process=REDACTED)},
        {"alert": alert(task=REDACTED)},
        {"alert": alert(host=REDACTED)},
        {"hosts": ("vps1", REDACTED), "alert": alert(host=REDACTED)},
        {"alert": alert(context=((MOMENT, "INFO", REDACTED, "text"),))},
        {"kind": REDACTED},
        {"mute_until": MOMENT, "mute_reason": REDACTED},
        {"samples": (alert(message=REDACTED),)},
        {"samples": (alert(message="again", extras=(("detail", REDACTED),)),)},
        {"samples": (alert(message=f"{REDACTED}{'x' * SAMPLE_LIMIT}{REDACTED}{'x' * SAMPLE_LIMIT}"),)},
    ],
)
@BOTH
def test_each_mark_that_the_mail_shows_counts_once(changes: dict[str, Any], wording: Wording) -> None:
    said = "1 secret was taken out" if wording is ENGLISH else "1 secret a été retiré"
    assert said in footer(draft("opening", incident(**changes)), wording)


@pytest.mark.parametrize(
    "changes",
    [
        {"alert": alert(message=REDACTED)},
        {"alert": alert(message="", exception=REDACTED)},
        {"alert": failure()._replace(exception=REDACTED, traceback=f"Traceback\n{REDACTED}")},
        {"kind": REDACTED},
        {"kind": "", "alert": alert(logger=REDACTED)},
        {"hosts": ("vps1", REDACTED)},
        {"mute_until": MOMENT, "mute_reason": REDACTED},
    ],
)
def test_a_digest_counts_what_it_shows(changes: dict[str, Any]) -> None:
    shown, other = incident(**changes), incident(alert(kind="", logger="etl"))
    assert "1 secret was taken out" in footer(draft("digest", shown, other))
    assert "2 secrets were taken out" in footer(draft("digest", shown, other, shown))


def test_a_digest_does_not_count_what_it_leaves_out() -> None:
    hidden = alert(message=f"Login\n{REDACTED}", extras=(("detail", REDACTED),), thread=REDACTED)
    assert "taken out" not in footer(draft("digest", incident(hidden), incident()))
    formatted = alert(text="Login failed", exception=f"ValueError: {REDACTED}")
    assert "taken out" not in footer(draft("digest", incident(formatted), incident()))


# Who sent it


@pytest.mark.parametrize(
    ("wording", "said"),
    [
        (ENGLISH, "Sent by alertlog for portfolio-etl on vps1.example.org Fingerprint"),
        (replace(ENGLISH, handler="alerts"), "for portfolio-etl on vps1.example.org, handler alerts Fingerprint"),
        (replace(FRENCH, handler="alertes"), "pour portfolio-etl sur vps1.example.org, gestionnaire alertes Empreinte"),
    ],
)
def test_the_sender_is_named_by_service_host_and_handler(wording: Wording, said: str) -> None:
    assert said in footer(draft(), wording)


# How to mute it


@pytest.mark.parametrize("reason", ["opening", "follow-up", "closing"])
@BOTH
def test_a_mail_names_the_command_that_mutes_its_incident(wording: Wording, reason: Reason) -> None:
    command = text_of(read(letter(draft(reason), wording))).rstrip("\n").rpartition("\n")[2]
    assert command.startswith("  ")
    assert len(command) <= 78
    why = "being repaired" if wording is ENGLISH else "en réparation"
    assert shlex.split(command) == ["alertlog", "mute", "3f2a9c5517d0be84", "--for", "2h", "--reason", why]
    assert command.strip() in Page(html_of(read(letter(draft(reason), wording)))).text


@BOTH
def test_the_command_is_one_that_there_is(wording: Wording) -> None:
    command = text_of(read(letter(draft(), wording))).rstrip("\n").rpartition("\n")[2]
    context = mute.make_context("alertlog mute", shlex.split(command)[2:])
    assert context.params["target"] == "3f2a9c5517d0be84"
    assert context.params["seconds"] == 7_200


def test_a_digest_leaves_it_open_which_incident_is_muted() -> None:
    assert "alertlog mute FINGERPRINT --for 2h" in footer(draft("digest", incident(), incident(failure())))


@pytest.mark.parametrize("reason", ["resolved", "test"])
def test_what_is_over_needs_no_mute(reason: Reason) -> None:
    assert "alertlog mute" not in footer(draft(reason))


@given(HOSTILE)
def test_no_text_gets_into_a_command_that_readers_paste(text: str) -> None:
    made = draft("opening", incident(alert(fingerprint=f"{text};rm -rf ~", message="m")))
    assert "alertlog mute" not in text_of(read(letter(made)))
