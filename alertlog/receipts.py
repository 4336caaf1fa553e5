"""What a mail server answered to one letter: who gets it, and who does not."""

from __future__ import annotations

from dataclasses import dataclass

from alertlog.errors import DeliveryError, ServerUnavailable, SessionRefused


@dataclass(frozen=True, slots=True)
class Refusal:
    """A recipient that the server does not take, or that cannot even be named to it.

    Attributes:
        code: the SMTP reply code; 553 if the address was not sent at all.
        text: the server's words, printable and redacted, or ours.
    """

    address: str
    code: int
    text: str

    @property
    def temporary(self) -> bool:
        """Whether it may be taken later."""
        return 400 <= self.code < 500


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the server answered to one letter that it accepted.

    Attributes:
        accepted: the recipients it took, as they were given.
        reply: its reply to the final dot, code included, printable and redacted.
    """

    message_id: str
    accepted: tuple[str, ...]
    refused: tuple[Refusal, ...]
    reply: str


def nobody(refused: tuple[Refusal, ...]) -> DeliveryError:
    """Return the error for a letter whose recipients were all refused, with the refusals in its `refused`."""
    later = [refusal.code for refusal in refused if refusal.temporary]
    kind = ServerUnavailable if later else SessionRefused
    text = "; ".join(f"{refusal.address!r}: {refusal.code} {refusal.text}" for refusal in refused)
    code = next(iter(later or [refusal.code for refusal in refused]), None)
    error = kind(f"no recipient was accepted: {text or 'there is none'}", stage="rcpt", code=code)
    error.refused = refused
    return error
