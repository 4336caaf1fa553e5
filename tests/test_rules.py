"""What a deployer calls a secret is one, in all that is mailed or told, and no pattern of theirs holds the program."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertlog import AlertHandler
from alertlog.capture import snapshot
from alertlog.events import Reporter
from alertlog.patterns import OVERLAP, WINDOW, checked, spans
from alertlog.redact import MARK, Redactor
from alertlog.rules import MOST, rules_of
from alertlog.testing import MailServer, ManualClock
from tests.support import record

RULES = rules_of(
    {"names": ["iban", "patient_id", "clé", "x509"], "patterns": [r"\bEMP-[0-9]{6}\b", "(?<=room )[0-9]+"]}
)
OWN = Redactor.of({"CUSTOMER_IBAN": "DE89370400440532013000"}, rules=RULES)


# Names


@pytest.mark.parametrize(
    "name",
    [
        *("iban", "IBAN", "customer_iban", "customerIban", "IBAN2", "iban-of-ada", "patientId", "PATIENT-ID"),
        *("patient.id", "the patient id", "clé", "CLÉ", "x509", "X509_pem", "password"),
    ],
)
def test_a_name_is_known_however_it_is_written_and_as_a_part_of_longer_ones(name: str) -> None:
    assert RULES.is_secret_name(name)
    assert OWN.extra(name, "a value") == MARK


@pytest.mark.parametrize(
    "name", ["urban", "ibanez", "patient", "id", "id_patient", "patient_x_id", "iban_count", "cl", "x", "x510", "", "_"]
)
def test_another_name_is_none(name: str) -> None:
    assert not RULES.is_secret_name(name)
    assert OWN.extra(name, "a value") == "a value"


def test_a_name_that_ends_like_a_harmless_one_holds_itself() -> None:
    rules = rules_of({"names": ["user_name"]})
    assert rules.is_secret_name("user_name")
    assert rules.is_secret_name("db_userName")
    assert not rules.is_secret_name("user_name_length")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("iban=DE00 1", f"iban={MARK} 1"),
        ('{"customerIban": "DE00 1"}', f'{{"customerIban": "{MARK}"}}'),
        ("Patient ID: 4711, room 5", f"Patient ID: {MARK}, room {MARK}"),
        ("patient-id=4711", f"patient-id={MARK}"),
        ("patientid=4711", f"patientid={MARK}"),
        ("clé: abc", f"clé: {MARK}"),
        ("urban=yes, iban_count=3, patient=ada", "urban=yes, iban_count=3, patient=ada"),
        ("EMP-123456 of EMP-1234567", f"{MARK} of EMP-1234567"),
        ("in room 12 and room 13", f"in room {MARK} and room {MARK}"),
        ("DE89370400440532013000 was refused", f"{MARK} was refused"),
        ("password=abc", f"password={MARK}"),
    ],
)
def test_names_and_patterns_hold_in_texts(text: str, expected: str) -> None:
    assert not OWN.harmless(text) or text == expected
    assert OWN.text(text) == expected
    assert OWN.text(expected) == expected


def test_without_rules_of_their_own_none_of_it_is_a_secret() -> None:
    text = "iban=DE00 of EMP-123456, room 12"
    assert Redactor().harmless(text)
    assert Redactor().text(text) == text


@given(
    st.lists(
        st.sampled_from([*("patient", "PatientId", "id", "iban", "clé", "x", "509", "room 12", "=4711", " EMP-123456")])
    ).flatmap(lambda parts: st.sampled_from(["", " ", "_", "--", "/"]).map(lambda joint: joint.join(parts)))
)
def test_what_is_harmless_is_left_as_it_is_as_a_text_and_as_a_name(text: str) -> None:
    if OWN.harmless(text):
        assert OWN.text(text) == text
        assert OWN.extra(text, "a value") == "a value"


def test_an_extra_is_known_whatever_joins_the_words_of_its_name() -> None:
    made = snapshot(record(**{"patient--id": "ada", "x.509": "pem"}), "0" * 16, OWN)
    assert dict(made.extras) == {"patient--id": MARK, "x.509": MARK}


# Patterns


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bEMP-[0-9]{6}\b", r"(?i)case-\d+", r"(?<=room )\d+", r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}",
        r"(?:\d{1,3}\.){3}\d{1,3}", r"(?:[a-z]+\.)?corp\.example", r"(?:[a-z0-9-]++\.)++corp", r"(?>a+b)*c",
        r"tok_(?:live|test)_\w+", r"[(+*]{2}x", r"\(+x", r"a(?#(b+)c", r"(?P<a>x)(?P=a)y", r"(x)?(?(1)y|z)w",
        r"(?:ab){2,}", r"a{}b", r"x{,3}y", r"(?!x)EMP", r"(?:a|b)?c", r"[]*+(]+z", r"é+à",
        r"[\w.+-]+@[\w-]+\.[\w.]+", r"\w+ *= *\w+", r".*secret", r"\w*+\w*+\w*+=",
    ],
)  # fmt: skip
def test_a_pattern_that_costs_little_is_taken(pattern: str) -> None:
    assert rules_of({"patterns": [pattern]}).patterns[0].pattern == pattern


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "is no regular expression (character 1)"),
        ("EMP-*+*", "is no regular expression (character 7)"),
        ("a{2,1}", "is no regular expression"),
        ("*", "is no regular expression"),
        ("a" * 1_001, "is longer than 1,000 characters"),
        ("", "matches nothing at all"),
        ("a*", "matches nothing at all"),
        ("(?=a)|", "matches nothing at all"),
        ("(?!x)", "matches nothing at all"),
        (".", "matches any text"),
        (r"\w+", "matches any text"),
        (r"(?s).+", "matches any text"),
        ("[a-z]+", "matches any text"),
        (r"\S+ \S+", "matches any text"),
        ("(a+)+b", "can take for ever"),
        ("(a*)*b", "can take for ever"),
        ("(?:a|aa)+b", "can take for ever"),
        ("(?:a|b)*c", "can take for ever"),
        ("(?:a?){30}b", "can take for ever"),
        ("(?:a{0,20}){9}b", "can take for ever"),
        ("(?i:(?P<x>[a-z]+)*)b", "can take for ever"),
        ("((?:a+b?)c?){2,}", "can take for ever"),
        ("(?:(?:a?b?){9}){9}", "can take for ever"),
        ("(z)(?:x(?(1)a+|b)){5,}", "can take for ever"),
        ("(?:a+){1000000}", "can take for ever"),
        ("^(([a-z])+.)+[A-Z]([a-z])+$", "can take for ever"),
        (r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*@", "can take for ever"),
        ("(.*a){20}", "can take for ever"),
        ("(?=(a+)+b)x", "can take for ever"),
        (r"\w*\w*\w*=", r"takes too long on a text that nearly matches; make its repeats possessive, as in \w++"),
        (".*.*secret", "takes too long"),
        (r"\s*\s*\s*x", "takes too long"),
        (r"[\w.-]*[\w.]*[\w-]*@", "takes too long"),
        ("@*@*@*x", "takes too long"),
        ("/*/*/*x", "takes too long"),
        ("=*=*=*x", "takes too long"),
        (r"\.*\.*\.*x", "takes too long"),
        ("-*-*-*x", "takes too long"),
        ("0*0*0*x", "takes too long"),
        (r"a(?:\w*\w*=)?", "takes too long"),  # it matches, quickly the first time, and slowly all the way
        ("a?" * 25 + "b", "takes too long"),
        ("(?x) a b", "(?x)"),
        ("(?ix:a # )\n)", "(?x)"),
    ],
)
def test_any_other_is_refused_by_its_number_and_not_repeated(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^redact: patterns: item 2: ") as caught:
        rules_of({"patterns": ["EMP-[0-9]+", pattern]})
    assert why in str(caught.value)
    assert caught.value.__cause__ is None
    assert len(pattern) < 6 or pattern not in str(caught.value)


def test_there_is_a_bound_to_their_number() -> None:
    assert len(rules_of({"patterns": ["EMP-[0-9]+"] * MOST}).patterns) == MOST
    with pytest.raises(ValueError, match="redact: patterns: has more than 50 items"):
        rules_of({"patterns": ["EMP-[0-9]+"] * (MOST + 1)})


@given(st.integers(0, 3 * WINDOW), st.integers(1, OVERLAP))
def test_what_is_no_longer_than_the_overlap_is_found_whole_at_any_place(before: int, size: int) -> None:
    text = f"{'.' * before}{'x' * size}{'.' * 50}"
    pattern = checked("x+")
    covered = {place for start, end in spans(pattern, text) for place in range(start, end)}
    assert covered == set(range(before, before + size))
    assert Redactor(rules=rules_of({"patterns": ["x+"]})).text(text) == text.replace("x" * size, MARK)


def test_a_clumsy_pattern_is_bounded_work_on_a_long_text() -> None:
    redactor = Redactor(rules=rules_of({"patterns": [r"[0-9a-f]+z"]}))
    text = "0" * 300_000  # looked at whole, it takes longer than any test may
    assert redactor.text(text) == text


def test_what_a_pattern_finds_of_the_width_of_nothing_is_left() -> None:
    assert Redactor(rules=rules_of({"patterns": ["(?=x)|EMP"]})).text("x EMP x") == f"x {MARK} x"


@given(st.text("EMP-0123456789 roMARK[]redacted", max_size=40))
def test_a_text_is_redacted_once_for_all_by_any_rules(text: str) -> None:
    redactor = Redactor(rules=rules_of({"names": ["room"], "patterns": ["redacted", "[0-9]{3}", r"\[r", r"MARK\]?"]}))
    once = redactor.text(text)
    assert redactor.text(once) == once


# Everywhere


def test_they_hold_in_each_part_of_an_alert() -> None:
    secret = "EMP-123456"
    made = record(
        f"about {secret}", patientId=4711, note=f"see {secret}", exc_info=(ValueError, ValueError(secret), None)
    )
    alert = snapshot(made, "0" * 16, OWN, text=f"own {secret}", subject=f"own {secret}", problem=f"own {secret}")
    assert secret not in repr(alert)
    assert dict(alert.extras) == {"patientId": MARK, "note": f"see {MARK}"}
    assert (alert.message, alert.text, alert.subject) == (f"about {MARK}", f"own {MARK}", f"own {MARK}")
    assert alert.exception == f"ValueError: {MARK}"
    assert MARK in alert.traceback


def test_they_hold_in_events() -> None:
    stream = io.StringIO()
    reporter = Reporter(OWN, ManualClock(), stream)
    with reporter.bypassing():
        reporter.report("smtp_send_failed", "about EMP-123456", kind="room 12", alert={"message": "iban=DE00"})
    told = json.loads(stream.getvalue())
    assert told["message"] == f"smtp_send_failed: about {MARK}"
    assert told["kind"] == f"room {MARK}"
    assert told["alert"] == {"message": f"iban={MARK}"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer("none") as running:
        for name, value in running.environ().items():
            monkeypatch.setenv(name, value)
        yield running


def test_an_argument_in_a_configuration_keeps_its_secrets_out_of_the_mail(
    server: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUSTOMER_IBAN", "DE89370400440532013000")
    alerts = {
        "class": "alertlog.AlertHandler",
        "level": "INFO",
        "outbox": str(tmp_path / "alerts.sqlite3"),
        "redact": {"names": ["iban"], "patterns": [r"\bEMP-[0-9]{6}\b"]},
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"alerts": alerts},
            "loggers": {"shop.redact": {"level": "INFO", "handlers": ["alerts"], "propagate": False}},
        }
    )
    logger = logging.getLogger("shop.redact")
    try:
        logger.info("asked by EMP-123456")
        logger.critical("No account DE89370400440532013000 for EMP-123456", extra={"iban": "FR00", "by": "EMP-654321"})
    finally:
        (handler,) = logger.handlers
        handler.close()
        logger.removeHandler(handler)
    (mail,) = server.mails
    for part in (mail.text, mail.html):
        for secret in ("EMP-", "DE89", "FR00"):
            assert secret not in part
        assert "5 secrets were taken out" in part


# An extra's value elsewhere in the same alert


def test_the_value_of_a_secret_named_extra_is_taken_out_of_the_same_alert_everywhere() -> None:
    made = record("session %s refused", "s3cr3t-of-ada", session_token="s3cr3t-of-ada", other="for s3cr3t-of-ada")
    context = ((1.0, "INFO", "shop", "began with s3cr3t-of-ada"),)
    alert = snapshot(made, "0" * 16, Redactor(), text="own s3cr3t-of-ada", context=context)
    assert "s3cr3t" not in repr(alert)
    assert alert.message == f"session {MARK} refused"
    assert alert.context == ((1.0, "INFO", "shop", f"began with {MARK}"),)


def test_it_is_no_secret_in_the_next_alert() -> None:
    redactor = Redactor()
    snapshot(record("one", session_token="s3cr3t-of-ada"), "0" * 16, redactor)
    assert snapshot(record("two s3cr3t-of-ada"), "0" * 16, redactor).message == "two s3cr3t-of-ada"
    assert redactor.beside([("token", "short"), ("user", "ada-lovelace")], ["short ada-lovelace"]) is redactor
    assert redactor.beside([("token", "s3cr3t-of-ada")], ["nothing of it"]) is redactor


def test_what_is_known_already_stays_known_beside_it() -> None:
    redactor = Redactor.of({"SHOP_PASSWORD": "correct horse"})
    both = redactor.beside([("token", "correct-battery")], ["correct-battery"])
    assert both.text("correct horse correct-battery") == f"{MARK} {MARK}"
    assert redactor.beside([("token", "correct horse")], ["correct horse"]) is redactor


def test_a_handler_without_rules_and_one_with_them_do_not_share_them() -> None:
    assert AlertHandler().works.redactor.text("iban=DE00") == "iban=DE00"
    assert AlertHandler(redact={"names": ["iban"]}).works.redactor.text("iban=DE00") == f"iban={MARK}"
