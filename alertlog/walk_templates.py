"""The step of a check that tries the deployer's own templates, for each occasion that a mail is written on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alertlog.advice import Advice, Seen, advise
from alertlog.mistakes_settings import OF_THE_TEMPLATES
from alertlog.preview import Form, rendered, sample
from alertlog.specimens import OCCASIONS
from alertlog.steps import Step, Stopwatch

if TYPE_CHECKING:
    from alertlog.handler import AlertHandler

_FORMS: tuple[Form, ...] = ("text", "html")


def templates_step(handler: AlertHandler, watch: Stopwatch) -> Step:
    """Say whether a handler's own templates can be used. A warning if not: alertlog's take their place, and mail goes.

    They are tried with made-up alerts: of one that fails at what a real one holds, the event `template_failed` tells.
    """
    folder = handler.works.arguments.templates or ""
    problems = _problems(handler)
    advice: list[Advice] = []
    for problem in problems:
        advice += advise(Seen("templates", problem, words={"folder": folder, "problem": problem}), OF_THE_TEMPLATES)
    text = f"{folder}: {'; '.join(problems) or 'tried with made-up alerts'}"
    facts = {"folder": folder, "problems": problems}
    return Step("templates", text, advice=tuple(dict.fromkeys(advice)), seconds=watch.lap(), facts=facts)


def _problems(handler: AlertHandler) -> list[str]:
    """Return what is wrong with them, each problem once, with the template's name before it."""
    found = (rendered(sample(handler, "", occasion), form).trouble for occasion in OCCASIONS for form in _FORMS)
    return list(dict.fromkeys(filter(None, found)))
