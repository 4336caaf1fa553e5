"""One step of a check: what was seen, how long it took, and what to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from alertlog.advice import Advice
from alertlog.clock import Clock
from alertlog.errors import Category
from alertlog.headers import squeezed

LONGEST = 2_000
"""Characters of one part of a line: a server may have said it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one step.

    Attributes:
        name: as `--json` and the documentation call it.
        text: what was seen, in one line.
        category: whose turn it is where the step failed, None where it did not.
        advice: what to change; where the step did not fail, it is a warning.
        seconds: how long it took.
        facts: for machines: plain values by name.
        handler: whose settings it belongs to, "" if no one's in particular.
        server: host and port of the mail server that was met, "" if none was.
    """

    name: str
    text: str
    category: Category | None = None
    advice: tuple[Advice, ...] = ()
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    handler: str = ""
    server: str = ""

    @property
    def outcome(self) -> Literal["ok", "warning", "failed"]:
        if self.category is not None:
            return "failed"
        return "warning" if self.advice else "ok"

    def to_dict(self) -> dict[str, Any]:
        """Return it for machines: plain values by name, seconds as a number."""
        return {
            "step": self.name,
            "handler": self.handler,
            "server": self.server,
            "outcome": self.outcome,
            "category": self.category,
            "text": self.text,
            "advice": [{"mistake": one.mistake, "cause": one.cause, "change": one.change} for one in self.advice],
            "seconds": round(self.seconds, 4),
            "facts": dict(self.facts),
        }

    def lines(self) -> list[str]:
        """Return it for people: one line, and two more for each mistake."""
        shown = [f"{self.outcome:<8} {self.name:<14} {squeezed(self.text, LONGEST)}  ({_duration(self.seconds)})"]
        for one in self.advice:
            shown.append(f"{'':<8} {'cause:':<14} {squeezed(one.cause, LONGEST)}")
            shown.append(f"{'':<8} {'change:':<14} {squeezed(one.change, LONGEST)}")
        return shown

    def without(self, clean: Callable[[str], str]) -> Step:
        """Return it with all its texts cleaned, of secrets for one."""
        advice = tuple(replace(one, cause=clean(one.cause), change=clean(one.change)) for one in self.advice)
        return replace(self, text=clean(self.text), advice=advice, facts=_cleaned(self.facts, clean))


Tell = Callable[[Step], object]
"""Is told of each step when it is done."""


class Stopwatch:
    """Measures one step after the other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.monotonic()

    def lap(self) -> float:
        """Return the seconds since this was asked last, or since the beginning."""
        before, self._since = self._since, self._clock.monotonic()
        return self._since - before


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {name: _cleaned(one, clean) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(one, clean) for one in value]
    return value


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
