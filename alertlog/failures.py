"""What smtplib, ssl and socket raise in an SMTP session becomes an error of this library here only."""

from __future__ import annotations

import smtplib
import ssl
from typing import TYPE_CHECKING, cast

from alertlog.errors import (
    DeadlineExceeded,
    DeliveryError,
    LetterRejected,
    OutcomeUnknown,
    ServerUnavailable,
    SessionRefused,
)
from alertlog.wire import WireError

if TYPE_CHECKING:
    from alertlog.login import Credentials
    from alertlog.settings import SmtpSettings

_STEPS = {
    "connect": "the attempt to connect",
    "tls": "the TLS handshake",
    "greeting": "the connection",
    "dot": "the final dot",
}
FOREIGN = (OSError, ValueError, WireError)
"""What a step of a session may raise, beside programming errors."""

_OF_THE_LETTER = frozenset({"data", "dot"})
_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Failures:
    """Says what an error means that was raised in a session with these settings."""

    def __init__(self, settings: SmtpSettings, credentials: Credentials) -> None:
        self._server = settings.server
        self._variable = f"{settings.prefix}TIMEOUT_SECONDS"
        self._transport = settings.transport
        self._seconds = settings.timeout
        self._unset = settings.unset_transport
        self._credentials = credentials

    def of(self, error: Exception, stage: str) -> DeliveryError:
        """Return this library's error for one raised at a stage, without its traceback, cause and context.

        Those could hold the password: in a reply that repeats it, in the object of a UnicodeEncodeError.
        """
        failure = error if isinstance(error, DeliveryError) else self._meaning(error, stage)
        failure.__cause__ = failure.__context__ = failure.__traceback__ = None
        return failure

    def _meaning(self, error: Exception, stage: str) -> DeliveryError:
        if isinstance(error, smtplib.SMTPResponseException):
            return self._answered(error, stage)
        if isinstance(error, WireError):
            error = error.error
        if stage == "dot":
            return self._unknown(error)
        if isinstance(error, TimeoutError):
            return DeadlineExceeded(self._silence(stage), stage=stage)
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return SessionRefused(f"{self._server} does not offer STARTTLS{self._advice(stage)}", stage=stage)
        if isinstance(error, ssl.SSLError) and not isinstance(error, _BROKEN_OFF):
            text = f"no TLS with {self._server}: {self._tls_fault(error)}{self._advice(stage)}"
            return SessionRefused(text, stage=stage)
        if isinstance(error, OSError):
            text = f"the connection to {self._server} failed at {_step(stage)}: {_reason(error)}"
            return ServerUnavailable(text, stage=stage)
        text = f"{_step(stage)} is not possible with {self._server}: {type(error).__name__}"
        return SessionRefused(text, stage=stage)

    def _answered(self, error: smtplib.SMTPResponseException, stage: str) -> DeliveryError:
        code = error.smtp_code
        said = self._credentials.readable(cast(bytes, error.smtp_error))
        text = f"{self._server} answered {_step(stage)} with {code} {said}{self._advice(stage)}"
        if code // 100 == 5:
            kind = LetterRejected if stage in _OF_THE_LETTER else SessionRefused
            return kind(text, stage=stage, code=code)
        if stage == "dot" and code // 100 != 4:
            return OutcomeUnknown(text, stage=stage, code=code)
        return ServerUnavailable(text, stage=stage, code=code)

    def _unknown(self, error: Exception) -> OutcomeUnknown:
        in_time = isinstance(error, TimeoutError)
        how = f"within {self._seconds:g} s ({self._variable})" if in_time else f"({_reason(error)})"
        text = f"no reply after the final dot {how} from {self._server}: it may have accepted the mail"
        return OutcomeUnknown(text, stage="dot")

    def _silence(self, stage: str) -> str:
        text = f"{self._server} did not answer {_step(stage)} within {self._seconds:g} s"
        if stage == "greeting" and self._transport != "ssl":
            text += "; a server that expects TLS from the first byte keeps silent: does this port want `ssl`?"
        return text

    def _tls_fault(self, error: ssl.SSLError) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {error.verify_message}"
        text = (error.reason or "the handshake failed").replace("_", " ").lower()
        if self._transport == "ssl":
            text += "; does this port want `starttls`?"
        return text

    def _advice(self, stage: str) -> str:
        """Nobody chose STARTTLS: whoever moves over from SMTPHandler has to learn where to choose."""
        if self._unset and stage in ("starttls", "tls"):
            return f"; set {self._unset} to choose another transport"
        return ""


def _step(stage: str) -> str:
    return _STEPS.get(stage, stage.upper())


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
