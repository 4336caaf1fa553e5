"""The deployment's own configuration, as a command reads it: its AlertHandlers, and nothing else of it.

Building everything would open, and with `mode: w` truncate, the log files of the program that runs. Whatever is wrong
is a ConfigError: also what the deployment's own modules raise, or that they exit, when they are imported.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from logging.config import DictConfigurator  # documented as dictConfigClass
from pathlib import Path
from typing import Any

from alertlog.errors import ConfigError
from alertlog.event_lines import FORMATTER
from alertlog.handler import AlertHandler

DEFAULT = "logging.yaml"


def handlers(config: str | None, folder: Path) -> list[AlertHandler]:
    """Return the deployment's AlertHandlers, named as there, attached to no logger.

    Args:
        config: a YAML or JSON file, or `module:ATTRIBUTE` naming a dict; None for `logging.yaml` in the folder if it
            is there, else the environment alone. Modules are found in the folder, too.

    Raises:
        ConfigError: there is no such configuration, it can't be read, or it has no AlertHandler.
    """
    with suppress(ImportError):  # now, while there is one thread
        importlib.import_module(FORMATTER)
    source = source_of(config, folder)
    if source is None:
        return [AlertHandler()]
    with _modules_of(folder), redirect_stdout(sys.stderr):  # what they print is no data of the command's
        return _Builder(_read(source, folder), source).handlers()


def has_default(folder: Path) -> bool:
    """Return whether there is a configuration of the name that is looked for where none is given."""
    return (folder / DEFAULT).exists()


def source_of(config: str | None, folder: Path) -> str | None:
    """Return what is read, as `handlers` does; None for the environment alone."""
    return config or (DEFAULT if has_default(folder) else None)


@contextmanager
def _modules_of(folder: Path) -> Iterator[None]:
    """As `python -m` does, and a script of that folder; an installed command does not look there."""
    before = list(sys.path)
    sys.path.insert(0, str(folder.absolute()))
    try:
        yield
    finally:
        sys.path[:] = before


def _read(source: str, folder: Path) -> Mapping[str, Any]:
    path = folder / source
    module, colon, attribute = source.partition(":")
    try:
        if colon and not path.exists():
            config = getattr(importlib.import_module(module), attribute)
        elif path.suffix == ".json":
            config = json.loads(path.read_text("utf-8"))
        else:
            config = _yaml(path.read_text("utf-8"), source)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError({source: f"can't be read: {_said(error)}"}) from error
    if not isinstance(config, Mapping):
        raise ConfigError({source: "is not a mapping, as logging.config.dictConfig takes it"})
    return config


def _yaml(text: str, source: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError({source: "reading YAML takes PyYAML: pip install 'alertlog[yaml]'"}) from None
    return yaml.safe_load(text)


def _said(error: BaseException) -> str:
    """Return an error in one line; a YAML parser's have several."""
    return " ".join(f"{type(error).__name__}: {error}".split())


class _Builder:
    """Builds the AlertHandlers of one configuration, and of the rest only what belongs to them."""

    def __init__(self, config: Mapping[str, Any], source: str) -> None:
        # It keeps what it converts and builds in dicts of its own. A deep copy of the program's would fail at a stream.
        self._configurator: Any = DictConfigurator(dict(config))
        self._source = source
        self._built: set[tuple[str, str]] = set()
        self._unresolved: list[str] = []

    def handlers(self) -> list[AlertHandler]:
        found = [self._build(name) for name in self._section("handlers") if self._is_ours(name)]
        if not found:
            raise ConfigError(
                {self._source: "; ".join(["has no handler of the class alertlog.AlertHandler", *self._unresolved])}
            )
        return found

    def _section(self, name: str) -> Any:
        section = self._configurator.config.get(name, {})
        if not isinstance(section, Mapping):
            raise ConfigError({self._source: f"{name} is not a mapping"})
        return section

    def _is_ours(self, name: str) -> bool:
        entry = self._section("handlers")[name]
        if not isinstance(entry, Mapping):
            raise ConfigError({self._where(name): "is not a mapping"})
        try:
            made_by = entry.get("()") or entry["class"]
            if isinstance(made_by, str):
                made_by = self._configurator.resolve(made_by)
        except (Exception, SystemExit) as error:  # somebody else's, and not to be had where the command runs
            self._unresolved.append(f"the class of handler {name} is not known: {_said(error)}")
            return False
        return isinstance(made_by, type) and issubclass(made_by, AlertHandler)

    def _build(self, name: str) -> AlertHandler:
        entry = self._section("handlers")[name]
        try:
            self._build_parts(entry)
            handler = self._configurator.configure_handler(entry)
        except (Exception, SystemExit) as error:
            cause = error.__cause__ or error
            problem = str(cause) if isinstance(cause, (TypeError, ValueError)) else _said(cause)
            raise ConfigError({self._where(name): " ".join(problem.split())}) from error
        handler.name = name
        assert isinstance(handler, AlertHandler)  # _is_ours has seen to it
        handler.release_hooks()
        return handler

    def _build_parts(self, entry: Any) -> None:
        formatter, filters = entry.get("formatter"), entry.get("filters") or []
        if not isinstance(filters, (list, tuple)):
            raise ValueError("filters is not a list")
        if formatter:
            self._build_part("formatter", formatter, self._configurator.configure_formatter)
        for wanted in filters:
            if isinstance(wanted, str):  # in Python it may be a filter itself
                self._build_part("filter", wanted, self._configurator.configure_filter)

    def _build_part(self, part: str, name: str, build: Any) -> None:
        section = self._section(f"{part}s")
        if name not in section:
            raise ValueError(f"its {part} {name} is not among the {part}s of {self._source}")
        if (part, name) in self._built:
            return
        if not isinstance(section[name], Mapping):
            raise ValueError(f"its {part} {name} is not a mapping")
        try:
            section[name] = build(section[name])
        except (Exception, SystemExit) as error:
            raise ValueError(f"its {part} {name} can't be made: {_said(error)}") from None
        self._built.add((part, name))

    def _where(self, name: str) -> str:
        return f"{self._source}, handler {name}"
