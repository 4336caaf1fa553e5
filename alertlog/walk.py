"""A check of a deployment: all that a mail meets on its way, one step after the other, up to what stops it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from alertlog import deployment
from alertlog.clock import Clock
from alertlog.desk import desks
from alertlog.errors import ConfigError, OutboxError
from alertlog.handler import AlertHandler
from alertlog.network import NETWORK, Network
from alertlog.place import outbox_path
from alertlog.redact import Redactor
from alertlog.settings import SmtpSettings
from alertlog.steps import Step, Stopwatch, Tell
from alertlog.walk_outbox import outbox_step, placeless_step, unusable_step
from alertlog.walk_redis import clock_step, redis_step
from alertlog.walk_server import ServerWalk
from alertlog.walk_settings import configuration_step, settings_steps, unreadable_configuration_step
from alertlog.walk_templates import templates_step
from alertlog.walk_waiting import BELOW, ELSEWHERE, Limits, waiting_step


@dataclass(frozen=True, slots=True)
class Scope:
    """How far a check goes.

    Attributes:
        offline: True to leave the network alone.
        network: what reaches the mail server.
    """

    offline: bool = False
    limits: Limits = field(default_factory=Limits)
    network: Network = NETWORK


def check(config: str | None, folder: Path, clock: Clock, scope: Scope, tell: Tell) -> None:
    """Check a deployment; `tell` is told of each step when it is done, without secrets.

    Args:
        config, folder: as `alertlog.deployment.handlers` has them.
    """
    watch = Stopwatch(clock)
    try:
        handlers = deployment.handlers(config, folder)
    except ConfigError as error:
        tell(unreadable_configuration_step(error, watch).without(Redactor.of(os.environ).known))
        return
    for handler in handlers:
        handler.stand_aloof()
    tell(configuration_step(deployment.source_of(config, folder), folder, handlers, watch))
    _Check(handlers, clock, scope, tell).run()


class _Check:
    """The check of some handlers, one after the other; what they share is looked at once."""

    def __init__(self, handlers: Sequence[AlertHandler], clock: Clock, scope: Scope, tell: Tell) -> None:
        self._handlers = handlers
        self._clock = clock
        self._scope = scope
        self._tell = tell
        self._places: set[Path] = set()
        self._skews: dict[str, float] = {}

    def run(self) -> None:
        free = [self._walk(handler) for handler in self._handlers]
        if not all(free):
            return
        watch = Stopwatch(self._clock)
        redis = None if self._scope.offline else redis_step(os.environ, self._clock, watch)
        if redis is not None:
            step, skew = redis
            self._clean(self._handlers[0], step)
            if skew is not None:
                self._skews["Redis"] = skew
        if not self._scope.offline:
            self._tell(clock_step(self._skews, watch))

    def _walk(self, handler: AlertHandler) -> bool:
        """Return whether nothing stops this handler's mail, as far as this goes: one server is enough."""
        steps, ways = settings_steps(handler, os.environ, Stopwatch(self._clock))
        for step in steps:
            self._clean(handler, step)
        if not ways:
            return False
        if handler.works.arguments.templates:
            self._clean(handler, templates_step(handler, Stopwatch(self._clock)))
        for step in self._outbox_steps(handler):
            self._clean(handler, step)
        if self._scope.offline:
            return True
        free = [self._reaches(handler, way) for way in ways]
        return any(free)

    def _reaches(self, handler: AlertHandler, settings: SmtpSettings) -> bool:
        network = self._scope.network
        walk = ServerWalk(settings, self._clock, lambda step: self._clean(handler, step), network)
        free = walk.walk()
        if walk.skew is not None:
            self._skews[settings.host] = walk.skew
        return free

    def _outbox_steps(self, handler: AlertHandler) -> Iterator[Step]:
        """Look at a handler's outbox, if no other handler's was the same one."""
        watch = Stopwatch(self._clock)
        try:
            place = outbox_path(handler.works.arguments.outbox, os.environ)
            fellows = [one for one in self._handlers if _is_at(one, place)]
            (desk,) = desks(fellows)
        except ConfigError as error:
            yield placeless_step(error, watch)
            return
        if place in self._places:
            return
        self._places.add(place)
        step = outbox_step(place, watch)
        where = ELSEWHERE if self._scope.offline else BELOW
        try:
            waiting = waiting_step(desk, self._scope.limits, where, self._clock.wall(), watch)
        except OutboxError as error:
            yield step if step.category else unusable_step(error, watch)
        else:
            yield from (step, waiting)

    def _clean(self, handler: AlertHandler, step: Step) -> None:
        """Tell of a step, in which no secret is that this process knows."""
        works = handler.works
        self._tell(replace(step.without(works.redactor.known), handler=works.owner.handler))


def _is_at(handler: AlertHandler, place: Path) -> bool:
    try:
        return outbox_path(handler.works.arguments.outbox, os.environ) == place
    except ConfigError:
        return False
