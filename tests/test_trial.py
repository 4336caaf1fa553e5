"""The outcome of an operator's test, where the commands' own tests do not get."""

from __future__ import annotations

from alertlog.trial import Listener


def test_of_which_nothing_is_heard_has_not_succeeded() -> None:
    listener = Listener()
    listener.report("incident_opened", "A test")
    assert (listener.outcome.category, listener.outcome.message) == ("temporary", "nothing was sent")
