"""From the outbox in memory into the file, once that can be used again."""

from __future__ import annotations

from collections.abc import Mapping

from alertlog.outbox import Outbox


def move(memory: Outbox, file: Outbox, read_to: Mapping[str, int], now: float) -> None:
    """Have the file take over all that memory holds; where this raises, nothing has happened.

    Letters that no server has seen dissolve; of the others the alerts count as told.

    Args:
        read_to: how far memory has read which journal: bytes by the file's name.
        now: Unix time in seconds.

    Raises:
        OutboxError: the file can't be used.
    """
    letters = memory.letters.all()
    seen = [letter for letter in letters if letter.offered]
    with memory.transaction():
        memory.dissolve(letter for letter in letters if not letter.offered)
        for letter in seen:
            if not (letter.told or letter.aside):
                memory.incidents.account(letter, now)
        with file.transaction():
            for incident in memory.incidents.all():
                file.incidents.adopt(incident)
            for letter in seen:
                file.letters.adopt(letter)
            file.journals.note(read_to)
