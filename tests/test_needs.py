"""What is promised may not be skipped."""

from __future__ import annotations

import pytest

from tests.needs import VARIABLE, lacking


def test_what_is_missing_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "other")
    with pytest.raises(pytest.skip.Exception, match="SKIPPED: postfix: not installed"):
        lacking("postfix", "not installed")


def test_what_was_promised_and_is_missing_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "other, postfix")
    with pytest.raises(pytest.fail.Exception, match=f"postfix was promised by {VARIABLE}"):
        lacking("postfix", "not installed")
