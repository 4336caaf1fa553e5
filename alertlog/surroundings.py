"""Where a process's secrets come from: its environment and the files that it names, looked at again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote

from alertlog.errors import ConfigError
from alertlog.known import URL
from alertlog.place import variable
from alertlog.secret_names import is_secret_name

NOTHING: Mapping[str, str] = MappingProxyType({})


class _Look(NamedTuple):
    """What was there; `rotates` if a file was among it."""

    environ: Mapping[str, str]
    secrets: tuple[str, ...]
    rotates: bool


class Surroundings:
    """An environment, and how it was when it was last looked at. Safe to use from several threads."""

    __slots__ = ("_environ", "_is_secret", "_look")

    def __init__(self, environ: Mapping[str, str], is_secret: Callable[[str], bool]) -> None:
        """Looks at nothing yet.

        Args:
            is_secret: whether what is called so is one.
        """
        self._environ = environ
        self._is_secret = is_secret
        self._look = _Look(NOTHING, (), rotates=False)

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets that are there now.

        Names are looked at only where a variable has changed. Files are read each time: one that is written twice
        within a tick of the system's clock keeps its time of change.
        """
        environ = self._environ
        now = {name: environ.get(name, "") for name in list(environ)}  # os.environ may lose a variable meanwhile
        look = self._look
        if look.rotates or now != look.environ:
            rotates = any(_names_file(name, self._is_secret) for name in now)
            self._look = look = _Look(now, tuple(in_environ(now, self._is_secret)), rotates)
        return look.secrets


def in_environ(environ: Mapping[str, str], is_secret: Callable[[str], bool] = is_secret_name) -> Iterator[str]:
    """Yield the values of secret-named variables and of their files, and passwords in URLs."""
    for name in list(environ):
        value = environ.get(name, "")
        if is_secret(name) and name not in ("PWD", "OLDPWD"):
            yield value
            yield value.strip()
        elif _names_file(name, is_secret):
            with suppress(ConfigError):  # whoever needs the file reports it
                value = variable(name.removesuffix("_FILE"), {name: value})
                yield value
                yield value.strip()
        for _start, password in URL.findall(value) if "://" in value else ():
            yield password
            yield unquote(password)


def _names_file(name: str, is_secret: Callable[[str], bool]) -> bool:
    return name.endswith("_FILE") and is_secret(name.removesuffix("_FILE"))
