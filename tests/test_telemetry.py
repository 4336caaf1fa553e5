"""The ids of OpenTelemetry's logging instrumentation are facts of a mail, where there are any."""

from __future__ import annotations

import pytest

from alertlog.alert import Alert
from tests.letters import FRENCH, TELEMETRY, Page, alert, draft, html_of, incident, letter, read, text_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def told(first: Alert) -> str:
    mail = read(letter(draft("opening", incident(first))))
    text = text_of(mail)
    assert ("otelTraceID" in text) == ("otelTraceID" in Page(html_of(mail)).text)
    return text


def with_extras(**extras: str) -> Alert:
    return alert(extras=tuple((dict(TELEMETRY) | extras).items()))


def test_trace_and_span_are_facts_and_no_details() -> None:
    text = told(with_extras(used="980"))
    details, _heading, facts = text.partition("Where and when")
    assert f"Trace          {TRACE}\nSpan           {SPAN}\n" in facts
    assert "used  980" in details
    assert "otel" not in text
    assert "Trace         " in text_of(read(letter(draft("opening", incident(with_extras())), FRENCH)))


def test_where_there_is_nothing_but_telemetry_there_are_no_details() -> None:
    assert "Details" not in told(with_extras())


@pytest.mark.parametrize("zero", ["0", "0" * 16, "0" * 32])
def test_an_id_of_zeros_is_none_and_is_not_shown(zero: str) -> None:
    text = told(with_extras(otelTraceID=zero, otelSpanID=zero, otelTraceSampled="False"))
    assert "Trace" not in text
    assert "Span" not in text
    assert "otel" not in text


def test_a_trace_that_was_not_sampled_says_so() -> None:
    assert f"{TRACE} (not sampled)" in told(with_extras(otelTraceSampled="False"))


@pytest.mark.parametrize("text", ["", "none", "-1", "4bf9\nHost elsewhere", "a" * 33])
def test_what_is_no_id_stays_among_the_details(text: str) -> None:
    shown = told(with_extras(otelTraceID=text))
    assert "otelTraceID" in shown
    assert "Trace  " not in shown.partition("Where and when")[2]


@pytest.mark.parametrize(("name", "shown"), [("portfolio-etl", False), ("unknown_service", False), ("other", True)])
def test_the_name_of_another_service_stays_among_the_details(name: str, shown: bool) -> None:
    assert ("otelServiceName" in told(with_extras(otelServiceName=name))) == shown


def test_an_odd_sampling_flag_stays_among_the_details() -> None:
    assert "otelTraceSampled  perhaps" in told(with_extras(otelTraceSampled="perhaps"))
