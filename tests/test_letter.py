"""A letter says what happened, in two parts that say the same, and no text can break it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alertlog.alert import Alert
from alertlog.draft import Cause, Reason
from alertlog.evidence import SAMPLE_EXTRAS_LIMIT
from alertlog.headers import visible
from alertlog.layout import HTML_LIMIT
from alertlog.letter import DETOUR_LIMIT, Detour, Wording, compose, view_for
from alertlog.mailbox import Mailbox
from alertlog.subjects import SUBJECT_LIMIT, subject_of
from alertlog.words import ENGLISH as ENGLISH_WORDS
from tests.letters import (
    ENGLISH,
    FRENCH,
    GOLDEN,
    MOMENT,
    RECIPIENTS,
    SENDER,
    TELEMETRY,
    TRACEBACK,
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
    samples,
    text_of,
)
from tests.test_headers import HOSTILE

ALWAYS = {
    "Date",
    "Message-ID",
    "From",
    "To",
    "Subject",
    "Importance",
    "X-Priority",
    "List-Id",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "X-Alertlog-Kind",
    "X-Alertlog-Service",
    "X-Alertlog-Fingerprint",
    "X-Alertlog-Count",
    "X-Alertlog-Total",
    "MIME-Version",
    "Content-Type",
}
THREAD = {"In-Reply-To", "References"}
KINDS = sorted(samples())


@pytest.fixture(autouse=True)
def paris() -> Iterator[None]:
    with in_paris():
        yield


# What people read


@pytest.mark.parametrize("wording", [ENGLISH, FRENCH], ids=["en", "fr"])
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_mail_reads_as_it_did_when_it_was_last_looked_at(name: str, wording: Wording) -> None:
    mail = read(letter(samples()[name], wording))
    golden = (GOLDEN / f"{name}.{wording.language}.txt").read_text("utf-8")
    assert f"Subject: {mail['Subject']}\n\n{text_of(mail)}" == golden


@pytest.mark.parametrize("name", KINDS)
def test_both_parts_say_the_same(name: str) -> None:
    mail = read(letter(samples()[name]))
    words = re.findall(r"\w+", text_of(mail))
    page = Page(html_of(mail)).text
    assert [word for word in words if word not in page] == []


@pytest.mark.parametrize("wording", [ENGLISH, FRENCH], ids=["en", "fr"])
def test_the_page_fits_mail_programs_and_screen_readers(wording: Wording) -> None:
    page = Page(html_of(read(letter(samples()["opening"], wording))))
    assert ("lang", wording.language) in page.attributes
    assert page.tags.count("h1") == 1
    assert page.tags.count("h2") == 3
    tables_of_facts = page.tags.count("table") - page.attributes.count(("role", "presentation"))
    assert tables_of_facts == 1


@pytest.mark.parametrize("reason", ["opening", "follow-up", "digest"])
def test_the_level_is_a_word_and_not_only_a_colour(reason: Reason) -> None:
    mail = read(letter(draft(reason, incident(level=30, levelname="WARNING"))))
    assert "WARNING" in Page(html_of(mail)).text


def test_the_text_of_a_formatter_stands_for_message_and_traceback() -> None:
    own = failure(text="03:12 | Refresh | failed\nas the deployer's formatter has it")
    mail = read(letter(draft("opening", incident(own, samples=(own._replace(text="03:13 | again"),)))))
    for part in (text_of(mail), Page(html_of(mail)).text):
        assert own.text in part
        assert "03:13 | again" in part
        assert "Refresh failed" not in part
        assert "PriceError" not in part


def test_an_exception_without_a_message_is_the_title() -> None:
    bare = failure()._replace(message="")
    mail = read(letter(draft("opening", incident(bare))))
    assert text_of(mail).startswith(f"{bare.exception}\n")
    assert mail["Subject"] == f"[portfolio-etl] CRITICAL: {bare.exception}"


def test_a_record_that_says_nothing_is_mailed_all_the_same() -> None:
    empty = Alert("0" * 16, "", 50, "CRITICAL", "", " \n ", 0.0)
    assert text_of(read(letter(draft("opening", incident(empty))))).startswith("(no message)\n")


def test_what_went_wrong_while_capturing_is_named() -> None:
    broken = alert(problem="the message could not be formatted: TypeError")
    mail = read(letter(draft("opening", incident(broken))))
    assert broken.problem in text_of(mail)
    assert broken.problem in html_of(mail)


def test_a_closing_mail_with_nothing_untold_says_so() -> None:
    mail = read(letter(draft("closing", repeated(accounted=1_238))))
    assert "No further alert since the last mail, 1,238 in all" in text_of(mail)


@pytest.mark.parametrize(
    ("reason", "said"), [("closing", "Closed 1 h after"), ("resolved", "Resolved after 2 h 30 min.")]
)
def test_a_mail_at_the_end_says_right_after_what_happened_how_long_that_lasted_or_was_quiet(
    reason: Reason, said: str
) -> None:
    title, badge, lead, *_ = text_of(read(letter(samples()[reason]))).splitlines()
    assert (title, badge) == ("Quota used: 980 of 1000", f"CRITICAL · {reason.capitalize()}")
    assert lead.startswith(said)


@pytest.mark.parametrize(
    ("wording", "said"),
    [(ENGLISH, "whether it is over is not known"), (FRENCH, "on ignore si le problème a pris fin")],
)
def test_a_mail_that_comes_because_the_program_ended_does_not_say_that_it_is_over(wording: Wording, said: str) -> None:
    ended = draft("closing", repeated(alert=failure()), cause="end", date=MOMENT + 191)
    mail = read(letter(ended, wording))
    assert said in " ".join(text_of(mail).splitlines()[2:4])
    assert said in html_of(mail)
    assert not re.search("[Cc]lo[st]", text_of(mail))
    assert view_for(ended, wording).frame in text_of(mail).partition("\n\n")[2], "whoever has to act sees where"
    assert (mail["Importance"], mail["X-Alertlog-Count"]) == ("normal", "1237")


def test_of_a_later_alert_those_extras_are_shown_that_differ_from_the_first_ones() -> None:
    first = alert(extras=(("provider", "marketstack"), ("used", "980"), *TELEMETRY))
    traced_later = tuple((name, value[::-1]) for name, value in TELEMETRY[:2])
    later = first._replace(
        message="Again", extras=(("provider", "marketstack"), ("used", "990\nof 1000"), *traced_later)
    )
    mail = read(letter(draft("follow-up", incident(first, count=2, mails=1, accounted=1, samples=(later,)))))
    assert "\nAgain\n\nused  990\n      of 1000\n\n--" in text_of(mail)
    page = Page(html_of(mail)).text.partition("Again")[2].partition("This")[0]
    assert page.split()[:3] == ["used990", "of", "1000"]
    assert "marketstack" not in page
    many = later._replace(extras=tuple((f"extra {number}", "1") for number in range(SAMPLE_EXTRAS_LIMIT + 2)))
    text = text_of(read(letter(draft("follow-up", incident(first, samples=(many,))))))
    assert (f"extra {SAMPLE_EXTRAS_LIMIT - 1}" in text, f"extra {SAMPLE_EXTRAS_LIMIT}" in text) == (True, False)
    assert "2 further extras left out" in text


def test_further_lines_of_a_value_cannot_pass_for_another_row() -> None:
    forged = alert(extras=(("note", "x\nHost    elsewhere"),))
    assert "note  x\n      Host    elsewhere\n" in text_of(read(letter(draft("opening", incident(forged)))))


@pytest.mark.parametrize("reason", ["opening", "follow-up", "digest"])
def test_a_moment_that_no_calendar_holds_breaks_nothing(reason: Reason) -> None:
    odd = incident(alert(created=1e300), first=float("nan"), last=float("inf"), count=3)
    read(letter(draft(reason, odd, date=float("-inf"))))


# What came before


def before(*lines: tuple[float, str, str, str], **changes: Any) -> tuple[str, str]:
    """Both parts of a mail about an alert that these lines came before."""
    mail = read(letter(draft("opening", incident(failure(context=lines, **changes)))))
    return text_of(mail), Page(html_of(mail)).text


def test_what_came_before_is_told_after_the_traceback_with_time_level_and_logger() -> None:
    for part in before((MOMENT - 0.5, "WARNING", "etl.prices", "no answer"), (MOMENT, "INFO", "etl", "gave up")):
        _above, below = part.split(TRACEBACK.rstrip())
        assert "Before it" in below
        assert "03:12:06.500 WARNING  etl.prices: no answer\n03:12:07.000 INFO     etl: gave up\n" in f"{below}\n"


def test_where_nothing_came_before_nothing_is_said_of_it() -> None:
    assert all("Before it" not in part for part in before())


def test_what_came_before_on_another_day_has_its_date() -> None:
    for part in before((MOMENT - 86_400, "INFO", "etl", "yesterday")):
        assert "24 November 2026 03:12:07.000 INFO     etl: yesterday" in part


def test_a_text_cannot_pass_for_another_record_that_came_before() -> None:
    for part in before((MOMENT, "INFO\nFORGED", "etl\n03:12:07.000 INFO", "one\r\n03:12:07.000 INFO etl: two")):
        assert "\n03:12:07.000 INFO FORGED etl 03:12:07.000 INFO: one\n    03:12:07.000 INFO etl: two" in part


def test_the_own_text_of_a_formatter_does_not_stand_for_what_came_before() -> None:
    for part in before((MOMENT, "INFO", "etl", "before all that"), text="formatted"):
        assert "before all that" in part


@pytest.mark.parametrize("reason", ["opening", "follow-up", "closing", "resolved"])
def test_all_mails_of_an_incident_but_a_digest_tell_what_came_before(reason: Reason) -> None:
    whole = incident(alert(context=((MOMENT, "INFO", "etl", "before all that"),)))
    assert "before all that" in text_of(read(letter(draft(reason, whole))))
    assert "before all that" not in text_of(read(letter(draft("digest", whole))))


def test_much_that_came_before_leaves_the_page_within_its_limit_and_the_title_on_top() -> None:
    lines = [(MOMENT, "INFO", "etl", f"{number} " + "<&>" * 1_000) for number in range(2_000)]
    mail = read(letter(draft("opening", incident(failure(context=tuple(lines))))))
    assert len(html_of(mail).encode()) <= HTML_LIMIT
    assert "etl: 1999 " in text_of(mail)
    assert "etl: 999 " not in text_of(mail)


# Subjects


def test_the_subject_of_a_kind_is_used_exactly() -> None:
    long = "[ETL] " + "Quota alert of the portfolio " * 8 + "end"
    wording = replace(ENGLISH, subjects={"quota": long})
    assert subject_of(alert(), wording) == long
    assert read(letter(wording=wording))["Subject"] == long


@pytest.mark.parametrize(
    ("template", "subject"),
    [
        ("", "[portfolio-etl] CRITICAL: Quota used: 980 of 1000"),
        ("{provider}: {used}/{limit} on {host}", "marketstack: 980/1000 on vps1.example.org"),
        ("{level} {levelname} {kind} {logger} {pid}", "50 CRITICAL quota portfolio_etl.pipeline 4711"),
        ("{process} {thread} {task} {line} {function}", "MainProcess MainThread Task-7 214 refresh_prices"),
        ("{missing} {} {0} {used!r} {used:>9}", "{missing} {} {0} {used!r} {used:>9}"),
        ("{used.__class__} {used[0]} {{used}} {", "{used.__class__} {used[0]} {980} {"),
        ("%s %(used)s $used", "%s %(used)s $used"),
        ("two\r\nlines", "two lines"),
        ("  spaces  within stay ", "spaces  within stay"),
        ("{task}", "Task-7"),
    ],
)
def test_only_simple_placeholders_are_filled_in(template: str, subject: str) -> None:
    assert subject_of(alert(), Wording("portfolio-etl", template)) == subject


def test_braces_in_a_value_are_never_filled_in() -> None:
    twisted = alert(message="{service} {used}", extras=(("used", "{message}"),))
    assert subject_of(twisted, Wording("etl", "{used} {message}")) == "{message} {service} {used}"


def test_no_extra_disguises_service_or_level() -> None:
    spoof = alert(extras=(("service", "bank"), ("levelname", "INFO"), ("level", "1"), ("host", "api")))
    assert subject_of(spoof, Wording("etl", "{service} {levelname} {level} {host}")) == "etl CRITICAL 50 api"


def test_the_users_own_subject_goes_before_all_templates() -> None:
    assert subject_of(alert(subject="Own\r\nBcc: eve@example.org"), ENGLISH) == "Own Bcc: eve@example.org"


def test_a_template_that_comes_to_nothing_gives_way_to_the_default() -> None:
    assert subject_of(alert(task=""), Wording("etl", "{task}")) == "[etl] CRITICAL: Quota used: 980 of 1000"


def test_a_subject_with_values_is_cut_at_a_word() -> None:
    subject = subject_of(alert(message="many words " * 30), Wording("etl"))
    assert subject.endswith(" words...")
    assert len(subject) <= SUBJECT_LIMIT


def test_all_mails_of_an_incident_have_the_subject_of_the_first() -> None:
    later = repeated(samples=(alert(message="something else"),), level=60, levelname="FATAL")
    reasons: tuple[Reason, ...] = ("opening", "follow-up", "closing", "resolved")
    subjects = {read(letter(draft(reason, later)))["Subject"] for reason in reasons}
    assert subjects == {"[ETL] API quota alert"}


def test_a_digest_names_its_kinds_in_the_order_given() -> None:
    mail = read(letter(draft("digest", repeated(), incident(failure()), incident())))
    assert mail["Subject"] == "[portfolio-etl] 1,239 alerts in 3 incidents: quota, Refresh failed"


def test_the_subject_of_a_digest_is_cut_too() -> None:
    crowd = [incident(alert(kind=f"a kind with a long name {number}")) for number in range(30)]
    assert len(read(letter(draft("digest", *crowd)))["Subject"]) <= SUBJECT_LIMIT


@pytest.mark.parametrize(("reason", "marked"), [("test", False), ("opening", True)])
def test_a_test_says_so_in_subject_and_first_line(reason: Reason, *, marked: bool) -> None:
    mail = read(letter(draft(reason, incident(alert(test=marked)))))
    assert mail["Subject"] == "[test] [ETL] API quota alert"
    assert text_of(mail).startswith("This is a test: nothing has happened.")
    assert "This is a test: nothing has happened." in Page(html_of(mail)).text


# Headers


def test_the_headers_tell_machines_what_this_is() -> None:
    mail = read(letter(draft("follow-up", repeated(last=1_795_572_000.0))))
    assert set(mail.keys()) == ALWAYS | THREAD
    assert mail["Date"] == "Wed, 25 Nov 2026 03:12:12 +0100"
    assert mail["Message-ID"] == "<0123456789@example.org>"
    assert str(mail["From"]) == "portfolio-etl <etl@example.org>"
    assert str(mail["To"]) == "Ops on call <ops@example.org>, anna@example.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["List-Id"] == "<portfolio-etl.alertlog.example.org>"
    assert mail["X-Alertlog-Kind"] == "quota"
    assert mail["X-Alertlog-Service"] == "portfolio-etl"
    assert mail["X-Alertlog-Fingerprint"] == "3f2a9c5517d0be84"
    assert mail["X-Alertlog-Count"] == "1237"
    assert mail["X-Alertlog-Total"] == "1238"
    assert mail["In-Reply-To"] == mail["References"] == "<first@example.org>"


def test_the_sender_keeps_a_name_of_its_own() -> None:
    made = compose(draft(), ENGLISH, Mailbox("etl@example.org", "Alerts"), RECIPIENTS)
    assert str(read(made)["From"]) == "Alerts <etl@example.org>"
    assert made.sender == "etl@example.org"


def test_a_digest_has_a_fingerprint_for_each_incident_and_the_sums() -> None:
    mail = read(letter(draft("digest", repeated(), incident(failure(), count=3))))
    assert mail["X-Alertlog-Kind"] == "digest"
    assert mail.get_all("X-Alertlog-Fingerprint") == ["3f2a9c5517d0be84", "00000000deadbeef"]
    assert mail["X-Alertlog-Count"] == str(1_237 + 3)
    assert mail["X-Alertlog-Total"] == str(1_238 + 3)
    assert not THREAD & set(mail.keys())


@pytest.mark.parametrize("thread", ["", "<0123456789@example.org>"])
def test_the_first_mail_of_an_incident_answers_none(thread: str) -> None:
    assert not THREAD & set(read(letter(draft("opening", incident(thread=thread)))).keys())


@pytest.mark.parametrize(
    ("level", "reason", "importance", "priority"),
    [
        (50, "opening", "high", "1"),
        (40, "follow-up", "high", "2"),
        (30, "opening", "normal", "3"),
        (20, "test", "normal", "3"),
        (50, "resolved", "normal", "3"),
        (50, "closing", "normal", "3"),
        (50, "digest", "high", "1"),
    ],
)
def test_importance_goes_by_the_level_and_an_end_wakes_nobody(
    level: int, reason: Reason, importance: str, priority: str
) -> None:
    mail = read(letter(draft(reason, incident(level=level))))
    assert (mail["Importance"], mail["X-Priority"]) == (importance, priority)


# Any text


def check_wire(content: bytes) -> None:
    assert content.isascii()
    assert content.endswith(b"--\r\n")
    for line in content.removesuffix(b"\r\n").split(b"\r\n"):
        assert len(line) <= 78, "no long addresses here, so nothing needs more"
        assert re.fullmatch(rb"[\t -~]*", line), line


@given(
    HOSTILE,
    HOSTILE,
    HOSTILE,
    HOSTILE,
    st.sampled_from(["opening", "follow-up", "resolved", "test", "digest"]),
)
@example("From here\n.\n..\n", "", "", "", "opening")
@example("\n\n<pre>\n", "", "", "", "opening")
@example("x" * 100_000, "", "", "", "opening")
def test_hostile_text_arrives_as_it_was_and_nowhere_else(
    message: str, name: str, value: str, traceback: str, reason: Reason
) -> None:
    hostile = alert(
        message=message,
        kind=name,
        extras=((name, value), ("alert", message)),
        logger=value,
        levelname=name,
        host=value,
        exception=traceback,
        traceback=f'  File "a.py", line 1, in {name}\n    {value}\n{traceback}',
        process=name,
        problem=value,
        fingerprint=traceback,
        context=((0.0, name, value, message),),
    )
    wording = Wording(name, "{alert} {service} {environment}", {}, "fr", value, environment=value, host=name)
    whole = incident(hostile, samples=(hostile,), thread=f"<{value[:30]}>", mute_until=1.0, mute_reason=traceback)
    made = compose(draft(reason, whole), wording, Mailbox("etl@example.org", value), RECIPIENTS)
    check_wire(made.content)
    mail = read(made)
    assert sorted(mail.keys()) == sorted(set(mail.keys())), "one of each"
    assert ALWAYS <= set(mail.keys()) <= ALWAYS | THREAD
    assert len(mail["Subject"]) <= SUBJECT_LIMIT
    assert len(html_of(mail).encode()) <= HTML_LIMIT
    shown = visible(ENGLISH_WORDS.cut(message, 70_000))
    if reason != "digest" and shown.strip() and len(message) <= 70_000:
        assert shown in text_of(mail)
        if len(shown) < 1_000:
            assert shown in Page(html_of(mail)).text
    assert not {"script", "b", "i"} & set(Page(html_of(mail)).tags)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_each_text_of_an_alert_arrives_whole_in_both_parts(value: str, trace: str, before: str) -> None:
    told = alert(
        message="Refresh failed",
        extras=(("note", f"<{value}>"),),
        traceback=f"Traceback\n{trace}\nValueError: end",
        problem=f"[{before}]",
        context=((MOMENT, "INFO", "etl", f"({before})"),),
    )
    mail = read(letter(draft("opening", incident(told, samples=(told._replace(message=f"{{{value}}}"),)))))
    text, page = text_of(mail), Page(html_of(mail)).text
    for shown in (f"Traceback\n{trace}\nValueError: end", f"[{before}]", f"{{{value}}}"):
        assert visible(shown) in text
        assert visible(shown) in page
    # Further lines are indented in the text part: below a row, and below a record that came before.
    flat = re.sub(r"\s+", "", text)
    for shown in (f"<{value}>", f"({before})"):
        assert re.sub(r"\s+", "", visible(shown)) in flat
    assert visible(f"<{value}>") in page


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "{{ 7 * 7 }}", "{% raw %}", "&lt;&amp;", "</pre><h1>"])
def test_markup_and_template_syntax_are_shown_literally(text: str) -> None:
    told = alert(message=f"{text}\n{text}", extras=((text, text),), kind=text, host=text)
    mail = read(letter(draft("opening", incident(told))))
    page = Page(html_of(mail))
    assert page.text.count(text) >= 6
    assert text_of(mail).count(text) >= 6
    assert "script" not in page.tags
    assert page.tags.count("h1") == 1


def test_newlines_of_every_kind_arrive_as_newlines() -> None:
    told = alert(message="one\r\ntwo\rthree\nfour\x0bfive")
    mail = read(letter(draft("opening", incident(told))))
    assert "one\ntwo\nthree\nfour\\x0bfive\n" in text_of(mail)
    assert "one\ntwo\nthree\nfour\\x0bfive" in Page(html_of(mail)).text


def test_no_line_on_the_wire_looks_like_the_start_of_a_mail_in_an_mbox() -> None:
    content = letter(draft("opening", incident(alert(message="First\nFrom here on\n")))).content
    assert b"\nFrom " not in content


def test_foreign_letters_are_sent_in_the_shorter_encoding() -> None:
    content = letter(draft("opening", incident(alert(message="額度用完" * 100)))).content
    assert b"Content-Transfer-Encoding: base64" in content
    assert b"Content-Transfer-Encoding: base64" not in letter().content


def huge() -> dict[str, Any]:
    return {
        "message": "\x00<" * 5_000_000,
        "kind": "k" * 10_000_000,
        "exception": "\t" * 10_000_000,
        "traceback": f"begin\n{'<' * 10_000_000}\nend",
        "extras": tuple((f"{number}" * 100_000, "\x00<" * 100_000) for number in range(70)),
        "path": "p" * 1_000_000,
        "host": "h" * 1_000_000,
    }


def test_what_is_too_big_is_cut_with_a_note_of_its_size() -> None:
    made = letter(draft("opening", incident(alert(**huge()))))
    assert len(made.content) < 2_000_000
    mail = read(made)
    assert len(html_of(mail).encode()) <= HTML_LIMIT
    assert "[... 9,930,010 of 10,000,010 characters left out ...]" in text_of(mail)
    assert "characters left out ...]" in html_of(mail)
    assert "5 further extras left out" in text_of(mail)
    assert "5 further extras left out" in html_of(mail)
    assert "\nend\n" in text_of(mail), "the innermost frame comes last"


def test_a_digest_of_very_many_keeps_the_page_short_and_lists_all_in_the_text() -> None:
    crowd = [incident(alert(message=f"<Trouble> {number} " + "&" * 300), id=number) for number in range(200)]
    mail = read(letter(draft("digest", *crowd)))
    assert len(html_of(mail).encode()) <= HTML_LIMIT
    assert text_of(mail).count("CRITICAL: <Trouble>") == 200
    assert "further sections are in the text part of this mail only." in Page(html_of(mail)).text


@pytest.mark.parametrize("reason", ["opening", "digest"])
def test_the_page_keeps_within_its_limit_whatever_has_to_be_escaped(reason: Reason) -> None:
    quotes = '"' * 5_000
    worst = alert(
        message=quotes,
        kind=quotes,
        levelname=quotes,
        host=quotes,
        exception=quotes,
        traceback=f'  File "{"&" * 900}", line 1, in {quotes[:300]}\n    {quotes}\n{quotes}',
        problem=quotes,
        logger=quotes,
        path=quotes,
        extras=tuple((quotes, f"{number}{quotes}") for number in range(80)),
    )
    state = {"mute_until": MOMENT, "mute_reason": quotes, "folded": True}
    again = worst._replace(extras=tuple((quotes, f"again {number}{quotes}") for number in range(80)))
    crowd = [incident(worst, samples=(again,) * 5, **state) for _ in range(200 if reason == "digest" else 1)]
    made = compose(draft(reason, *crowd), Wording(quotes), SENDER, RECIPIENTS)
    assert len(html_of(read(made)).encode()) <= HTML_LIMIT


# Retries


def test_a_draft_gives_the_same_bytes_whenever_and_wherever_it_is_composed() -> None:
    script = (
        "import sys; from tests.letters import *\n"
        "with in_paris(): sys.stdout.buffer.write(letter(samples()['opening'], FRENCH).content)"
    )
    command = [sys.executable, "-c", script]
    elsewhere = subprocess.run(command, capture_output=True, check=True, timeout=60, cwd=GOLDEN.parents[1])
    assert letter(samples()["opening"], FRENCH).content == elsewhere.stdout


def test_two_letters_do_not_share_a_boundary() -> None:
    one, other = (read(letter(draft(message_id=f"<{name}@example.org>"))) for name in "ab")
    assert one.get_boundary() != other.get_boundary()


def test_a_letter_names_its_sender_and_its_id() -> None:
    made = letter()
    assert (made.sender, made.message_id) == (SENDER.address, "<0123456789@example.org>")


def test_a_traceback_is_whole_in_both_parts() -> None:
    mail = read(letter(samples()["opening"]))
    assert TRACEBACK.rstrip() in text_of(mail)
    assert TRACEBACK.rstrip() in Page(html_of(mail)).text


# Why it is as it is


@pytest.mark.parametrize(("wording", "said"), [(ENGLISH, "stands for several"), (FRENCH, "représente plusieurs")])
def test_an_incident_that_stands_for_many_says_so_alone_and_in_a_digest(wording: Wording, said: str) -> None:
    for made in (draft("opening", incident(folded=True)), draft("digest", incident(folded=True), incident())):
        assert said in text_of(read(letter(made, wording))).replace("\n", " ")


@pytest.mark.parametrize(("wording", "said"), [(ENGLISH, "Muted from "), (FRENCH, "En sourdine du ")], ids=["en", "fr"])
def test_what_was_muted_says_how_long_and_why(wording: Wording, said: str) -> None:
    muted = incident(mute_since=MOMENT - 3_600, mute_until=MOMENT, mute_reason="planned\r\nwork")
    for made in (draft("opening", muted), draft("digest", muted, incident())):
        text = text_of(read(letter(made, wording))).replace("\n", " ")
        assert re.search(rf"{said}25 nov\w+ 2026 02:12:07 (to|à) 03:12:07 CET", text, re.IGNORECASE)
        assert "planned work" in text
    days = draft("opening", replace(muted, mute_since=MOMENT - 86_400))
    text = text_of(read(letter(days, wording))).replace("\n", " ")
    assert re.search(rf"{said}24 nov\w+ 2026 03:12:07 CET (until|au) 25 nov\w+ 2026 03:12:07 CET", text, re.IGNORECASE)
    silent = draft("opening", replace(muted, mute_reason=""))
    assert ("no reason given" if wording is ENGLISH else "sans raison indiquée") in text_of(
        read(letter(silent, wording))
    )


@pytest.mark.parametrize("wording", [ENGLISH, FRENCH], ids=["en", "fr"])
def test_a_digest_says_why_it_is_one(wording: Wording) -> None:
    causes: tuple[Cause, ...] = ("burst", "ration", "repair", "")
    footers = [text_of(read(letter(draft("digest", incident(), incident(), cause=cause), wording))) for cause in causes]
    assert len(set(footers)) == 4
    assert all(len(footer) > len(footers[-1]) for footer in footers[:-1])


def test_a_follow_up_tells_from_when_to_when_what_is_new_came_and_how_fast() -> None:
    later = repeated(count=31, accounted=1, news=MOMENT + 100, last=MOMENT + 390)
    top = text_of(read(letter(draft("follow-up", later)))).partition("Where and when")[0]
    assert "30 more alerts since the last mail, 31 in all, about 6 per minute" in top
    assert ENGLISH_WORDS.span(MOMENT + 100, MOMENT + 390) in top


@pytest.mark.parametrize("wording", [ENGLISH, FRENCH], ids=["en", "fr"])
def test_a_mail_that_went_another_way_says_so_in_one_line_whatever_the_first_server_said(wording: Wording) -> None:
    detour = Detour("backup.example.org:587", "535 <b>no</b>\r\n\u202e" + "so " * 500)
    made = compose(draft(), wording, SENDER, RECIPIENTS, detour=detour)
    mail = read(made)
    text = " ".join(text_of(mail).split())
    assert "backup.example.org:587. " in text
    assert "535 <b>no</b>" in text
    assert "535 &lt;b&gt;no&lt;/b&gt;" in html_of(mail)
    without = " ".join(text_of(read(letter(draft(), wording))).split())
    assert "backup.example.org" not in without
    assert len(text) < len(without) + DETOUR_LIMIT + 150
