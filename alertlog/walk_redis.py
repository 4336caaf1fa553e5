"""The last steps of a check: the Redis that hosts share, if one is named, and whether the clocks agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from alertlog.advice import Seen, advise
from alertlog.errors import AlertlogError, ConfigError, FleetUnavailable
from alertlog.link import Call, Link, Script
from alertlog.mistakes_outbox import OF_REDIS, OF_THE_CLOCK
from alertlog.place import REDIS_URL, variable
from alertlog.steps import Step, Stopwatch

if TYPE_CHECKING:
    from alertlog.clock import Clock

AGREE = 60.0
"""Seconds by which two clocks may differ: a mail takes as long."""


def redis_step(environ: Mapping[str, str], clock: Clock, watch: Stopwatch) -> tuple[Step, float | None] | None:
    """Ask Redis what time it is: whether it answers, and by how many seconds this machine's clock is ahead of it.

    None where no Redis is named. A Redis that is away stops no mail.
    """
    try:
        url = variable(REDIS_URL, environ).strip()
        if not url:
            return None
        link = Link(url, REDIS_URL, clock)
        try:
            (answer,) = link.run(Script.of("return redis.call('TIME')[1]"), [Call((), ())])
        finally:
            link.close()
    except (ConfigError, FleetUnavailable) as error:
        return _failed(error, watch), None
    step = Step("redis", f"{link.place}: answers", seconds=watch.lap(), facts={"place": link.place})
    try:
        return step, clock.wall() - int(answer)
    except (TypeError, ValueError):  # whatever it is that answers, it is no time
        return step, None


def _failed(error: AlertlogError, watch: Stopwatch) -> Step:
    problems = getattr(error, "problems", {})
    marks = frozenset({"misconfigured"} if problems else ())
    advice = advise(Seen("redis", str(error), marks=marks, words={"variable": REDIS_URL}), OF_REDIS)
    return Step("redis", str(error), error.category, advice, watch.lap(), {"problems": dict(problems)})


def clock_step(skews: Mapping[str, float], watch: Stopwatch) -> Step:
    """Say how far this machine's clock is from others.

    Args:
        skews: by whose clock it was compared with, seconds by which this machine's is ahead.
    """
    facts = {"ahead_seconds": {whose: round(skew, 1) for whose, skew in skews.items()}}
    if not skews:
        return Step("clock", "nobody said what time it is", seconds=watch.lap(), facts=facts)
    whose, skew = max(skews.items(), key=lambda item: abs(item[1]))
    direction = "ahead of" if skew > 0 else "behind"
    words = {"skew": f"{abs(skew):,.0f} s", "direction": direction, "whose": whose}
    text = f"within {AGREE:.0f} s of {', '.join(skews)}"
    if abs(skew) <= AGREE:
        return Step("clock", text, seconds=watch.lap(), facts=facts)
    advice = advise(Seen("clock", words=words), OF_THE_CLOCK)
    return Step("clock", f"{words['skew']} {direction} {whose}", advice=advice, seconds=watch.lap(), facts=facts)
