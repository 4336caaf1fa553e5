"""An outbox as a command of the operator's sees it: whose it is, and what can be changed in it by hand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from alertlog import journal
from alertlog.database import Database
from alertlog.errors import ConfigError, OutboxError
from alertlog.handler import AlertHandler
from alertlog.outbox import Outbox
from alertlog.ownership import Owner, is_owned
from alertlog.place import handler_name, outbox_path, variable
from alertlog.works import Works

if TYPE_CHECKING:
    from alertlog.letter import Wording
    from alertlog.planning import Post


@dataclass(frozen=True, slots=True)
class Muting:
    """A mute that was set: until when, Unix time in seconds, and for whom."""

    until: float
    owners: tuple[Owner, ...]


@dataclass(frozen=True, slots=True)
class Unmuting:
    """A mute that was ended for one owner: how many alerts it held back, and whether a process runs to tell them."""

    held: int
    running: bool


def desks(handlers: Iterable[AlertHandler]) -> list[Desk]:
    """Return one for each outbox file that a deployment's handlers use.

    Raises:
        ConfigError: there is no place for an outbox, or a service's name can't be read.
    """
    places: dict[Path, list[Works]] = {}
    for handler in handlers:
        works = handler.works
        places.setdefault(outbox_path(works.arguments.outbox, os.environ), []).append(works)
    return [Desk(place, works) for place, works in places.items()]


class Desk:
    """One outbox file, and those of a deployment's handlers that use it.

    What is changed here is changed for each owner in the file that fits the configuration: of the service that a
    handler or ALERTLOG_SERVICE names or, where neither does, of any service. A service that is named after its main
    program has another name here, where the command is the main program; and a handler that has a name in the
    program may have none here.

    All methods raise OutboxError where the file can't be used.

    Attributes:
        place: the outbox's file.
    """

    def __init__(self, place: Path, works: Sequence[Works]) -> None:
        self.place = place
        self._works = tuple(works)
        self._services = [_service(one) for one in works]

    # Whose it is

    def owners(self) -> list[Owner]:
        """Return all owners that have something here, by name: in the outbox, or in a journal that is not read yet."""
        found = {*self.registered(), *journal.owners(self.place), *self._unregistered()}
        return sorted(found, key=astuple)

    def registered(self) -> list[Owner]:
        """Return the owners that the outbox knows; opening it for one of these adds nothing to it."""
        if not _is_there(self.place):
            return []
        database = Database(self.place)
        try:
            return [Owner(*names) for names in database.rows("SELECT service, handler FROM owner ORDER BY id")]
        finally:
            database.close()

    def _unregistered(self) -> list[Owner]:
        """Return the owners that only the configuration knows, and that have a journal which does not name them."""
        return [works.owner for works in self._works if journal.journal_paths(self.place, works.owner.key)]

    def own(self) -> list[Owner]:
        """Return the owners that fit the configuration."""
        return [owner for owner in self.owners() if self._serving(owner)]

    def others(self) -> list[Owner]:
        """Return the owners that the configuration leaves alone."""
        return [owner for owner in self.owners() if not self._serving(owner)]

    def _serving(self, owner: Owner) -> Works | None:
        """Return what stands behind the handler that does this owner's work; None if it is another service's."""
        fitting = [
            works for works, service in zip(self._works, self._services, strict=True) if service in ("", owner.service)
        ]
        return next((works for works in fitting if owner.handler in _names(works)), fitting[0] if fitting else None)

    def works(self, owner: Owner) -> Works:
        """Return what stands behind the handler whose settings hold for this owner, as far as one can tell."""
        return self._serving(owner) or self._works[0]

    def post(self, owner: Owner) -> Post:
        """Return how that handler writes, in this owner's name."""
        post = self.works(owner).post()

        def wording() -> Wording:
            return replace(post.wording(), service=owner.service)

        return replace(post, wording=wording)

    def part(self, owner: Owner) -> Outbox:
        """Open an owner's part of the outbox, to be closed; one that is not registered is registered by that."""
        return Outbox(owner, self.post(owner).pace, self.place)

    def numbers(self, owners: Iterable[Owner]) -> set[int]:
        """Return the numbers of these owners' letters."""
        found = set[int]()
        for owner in owners:
            with self.part(owner) as outbox:
                found |= {letter.id for letter in outbox.letters.all()}
        return found

    # By hand

    def hurry(self) -> None:
        """Make all that waits due now, and open the gates. Registers nobody."""
        for owner in filter(self._serving, self.registered()):
            with self.part(owner) as outbox:
                outbox.hurry()

    def mute(self, target: str, seconds: float, reason: str) -> Muting:
        """Silence a kind or a fingerprint from now on; also for an owner that has not had an alert yet.

        Raises:
            ConfigError: no owner is there, and the configuration names none.
        """
        owners = self.own()
        served = [self._serving(owner) for owner in owners]
        for works, service in zip(self._works, self._services, strict=True):
            if service and works not in served:
                owners.append(works.owner)
        if not owners:
            problem = "is not set, and nothing is in the outbox yet that would say which service it is"
            raise ConfigError({"ALERTLOG_SERVICE": problem})
        now = self._works[0].clock.wall()
        reason = self._works[0].redactor.text(reason)
        for owner in owners:
            with self.part(owner) as outbox:
                outbox.mutes.add(target, now, now + seconds, reason)
        return Muting(now + seconds, tuple(owners))

    def unmute(self, target: str) -> list[Unmuting]:
        """End a mute now, for all who have one; what it held back is due."""
        now = self._works[0].clock.wall()
        ended = [self._unmute(owner, target, now) for owner in self.registered() if self._serving(owner)]
        return [one for one in ended if one is not None]

    def _unmute(self, owner: Owner, target: str, now: float) -> Unmuting | None:
        with self.part(owner) as outbox:
            mutes = [mute for mute in outbox.mutes.in_force(now) if mute.target == target]
            held = sum(one.untold for one in outbox.incidents.unspoken() if any(mute.covers(one) for mute in mutes))
            outbox.mutes.remove(target, now)
        return Unmuting(held, is_owned(self.place, owner)) if mutes else None

    def trouble(self) -> str:
        """Return why an alert could not be kept here now, "" if nothing is known to be in the way. Changes nothing."""
        folder = next(folder for folder in self.place.parents if os.path.exists(folder))
        try:
            with TemporaryFile(dir=folder):  # it has no name there, or none for long
                pass
            if _is_there(self.place):
                with closing(Database(self.place)) as database, database.transaction():
                    return ""
        except OutboxError as error:
            return "" if error.busy else str(error)
        except OSError as error:
            return f"{folder}: {error.strerror}"
        return ""


def _service(works: Works) -> str:
    """Return the service that the configuration names, "" if it is to be the main program's name."""
    given = (works.arguments.service or "").strip()
    return given or variable("ALERTLOG_SERVICE", os.environ).strip()


def _names(works: Works) -> tuple[str, str]:
    """Return what the handler is called here, and where its configuration has no name for it."""
    return works.owner.handler, handler_name(None, works.arguments.env_prefix)


def _is_there(place: Path) -> bool:
    """Raises OutboxError where nobody can tell: a folder that is not ours to look into may hold anything."""
    try:
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise OutboxError(f"{place}: {error.strerror}") from error
    return True
