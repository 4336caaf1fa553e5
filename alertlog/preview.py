"""What a mail would look like, without sending it: about made-up alerts, or about what is in the outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from alertlog import layout, specimens
from alertlog.alert import Incident
from alertlog.correspondents import correspondents
from alertlog.draft import Draft, Reason
from alertlog.hindsight import clean_draft
from alertlog.letter import compose, view_for
from alertlog.specimens import Occasion
from alertlog.subjects import subject_line

if TYPE_CHECKING:
    from alertlog.desk import Desk
    from alertlog.handler import AlertHandler
    from alertlog.letter import Wording
    from alertlog.ownership import Owner
    from alertlog.planning import Post
    from alertlog.works import Works

Form = Literal["text", "html", "eml"]

_REASONS: Mapping[Occasion, Reason] = {
    "first": "opening",
    "late": "opening",
    "follow-up": "follow-up",
    "digest": "digest",
    "closing": "closing",
    "resolved": "resolved",
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class Planned:
    """A mail that is not sent, and who would send it how."""

    draft: Draft
    works: Works
    post: Post


@dataclass(frozen=True, slots=True)
class Meant:
    """Open incidents of one owner, in one outbox."""

    desk: Desk
    owner: Owner
    incidents: tuple[Incident, ...]

    def __str__(self) -> str:
        numbers = ", ".join(str(incident.id) for incident in self.incidents)
        return f"{numbers} of {self.owner.service} {self.owner.handler}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail as its reader, or a server, would see it.

    Attributes:
        content: in ASCII with CRLF line ends if it is a whole mail, else in UTF-8.
        trouble: what is wrong with the deployer's templates, or "".
        unknown: what is not known of who writes to whom, "" if that matters not or all is.
    """

    content: bytes
    trouble: str = ""
    unknown: str = ""


def sample(handler: AlertHandler, kind: str, occasion: Occasion) -> Planned:
    """Return a mail about made-up alerts of a kind; "" for one about an exception."""
    return Planned(specimens.draft(handler, kind, occasion), handler.works, handler.works.post())


def waiting(desks: Sequence[Desk], number: int) -> list[Planned]:
    """Return the letters of that number: each outbox has its own.

    Raises:
        OutboxError: an outbox can't be read.
    """
    found = []
    for desk in desks:
        for owner in desk.registered():
            with desk.part(owner) as outbox:
                letters = [letter for letter in outbox.letters.all() if letter.id == number]
            found += [Planned(letter.draft, desk.works(owner), desk.post(owner)) for letter in letters]
    return found


def meant(desks: Sequence[Desk], targets: Sequence[str]) -> list[Meant]:
    """Return what is meant in the outboxes, for each owner: no mail tells of the incidents of two.

    Args:
        targets: numbers or fingerprints of incidents, or kinds.

    Raises:
        OutboxError: an outbox can't be read.
    """
    found = []
    for desk in desks:
        for owner in desk.registered():
            with desk.part(owner) as outbox:
                incidents = tuple(incident for incident in outbox.incidents.all() if _is_meant(incident, targets))
            if incidents:
                found.append(Meant(desk, owner, incidents))
    return found


def about(meant: Meant, occasion: Occasion | None) -> Planned:
    """Return a mail about what is in the outbox, as it stands now: of several incidents, a digest.

    Args:
        occasion: by default what the next mail is for.

    Raises:
        ValueError: several incidents are meant, which only a digest can tell.
    """
    works = meant.desk.works(meant.owner)
    return Planned(_draft(meant.incidents, occasion, works.clock.wall()), works, meant.desk.post(meant.owner))


def _is_meant(incident: Incident, targets: Sequence[str]) -> bool:
    return not {str(incident.id), incident.fingerprint, incident.kind}.isdisjoint(targets)


def _draft(incidents: Sequence[Incident], occasion: Occasion | None, now: float) -> Draft:
    reason = _REASONS[occasion] if occasion else _next_reason(incidents)
    if len(incidents) > 1 and reason != "digest":
        raise ValueError(f"{len(incidents)} incidents are meant; only a digest tells several")
    return Draft(specimens.MESSAGE_ID, now, reason, tuple(incidents), "repair" if occasion == "late" else "")


def _next_reason(incidents: Sequence[Incident]) -> Reason:
    if len(incidents) > 1:
        return "digest"
    (incident,) = incidents
    if incident.resolved:
        return "resolved"
    return "follow-up" if incident.mails else "opening"


def rendered(planned: Planned, form: Form) -> Rendered:
    """Return a mail in one of its forms; only the whole mail asks who writes to whom."""
    draft, wording = clean_draft(planned.draft, planned.works.redactor), planned.post.wording()
    if form == "eml":
        known = correspondents(planned.works, planned.post)
        letter = compose(draft, wording, known.sender, known.recipients)
        return Rendered(letter.content, _trouble(letter.problems.items()), known.unknown)
    if form == "html":
        return _part(layout.HTML, layout.page, draft, wording, "")
    return _part(layout.TEXT, layout.plain, draft, wording, f"Subject: {subject_line(draft, wording)}\n\n")


def _part(name: str, lay: Callable[..., layout.Laid], draft: Draft, wording: Wording, head: str) -> Rendered:
    laid = lay(view_for(draft, wording), wording.templates)
    return Rendered(f"{head}{laid.text}".encode(), _trouble([(name, laid.problem)]))


def _trouble(problems: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {problem}" for name, problem in problems if problem)
