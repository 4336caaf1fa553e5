"""One server's turn in a round, and what sending needs of whoever stands for `alertlog.smtp`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from alertlog.clock import Clock
from alertlog.composing import Composer
from alertlog.letter import Detour, Letter
from alertlog.outbox import Waiting
from alertlog.planning import Round
from alertlog.smtp import Peer, Receipt

if TYPE_CHECKING:
    from alertlog.settings import SmtpSettings


class Sends(Protocol):
    """What delivering needs of an `alertlog.smtp.Session`."""

    @property
    def usable(self) -> bool: ...
    @property
    def peer(self) -> Peer: ...
    def send(self, letter: Letter, recipients: Sequence[str]) -> Receipt: ...


class Connect(Protocol):
    """How to get to a server: `alertlog.smtp.connect`, or what stands for it where time is virtual."""

    def __call__(self, settings: SmtpSettings, clock: Clock) -> AbstractContextManager[Sends]: ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """One server's turn in a round.

    Attributes:
        another: whether there is another server to try after it.
        composer: writes the letters for it.
        detour: what there is to tell where it is not the first.
        noted: the numbers of letters whose next time is noted already, whatever the next servers say.
        handed: letters that this server could not take now, for the next one.
    """

    todo: Round
    way: SmtpSettings
    another: bool
    composer: Composer
    detour: Detour | None
    noted: set[int]
    handed: list[Waiting] = field(default_factory=list)
