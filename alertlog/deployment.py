"""The deployment's own configuration, as a command reads it: its AlertHandlers, and nothing else of it.

Building everything would open, and with `mode: w` truncate, the log files of the program that runs.
"""

from __future__ import annotations

import copy
import importlib
import json
from collections.abc import Mapping
from logging.config import DictConfigurator  # documented as dictConfigClass
from pathlib import Path
from typing import Any

from alertlog.errors import ConfigError
from alertlog.handler import AlertHandler

DEFAULT = "logging.yaml"


def handlers(config: str | None, folder: Path) -> list[AlertHandler]:
    """Return the deployment's AlertHandlers, named as there, attached to no logger.

    Args:
        config: a YAML or JSON file, or `module:ATTRIBUTE` naming a dict; None for `logging.yaml` in the folder if it
            is there, else the environment alone.

    Raises:
        ConfigError: there is no such configuration, it can't be read, or it has no AlertHandler.
    """
    if config is None and not (folder / DEFAULT).exists():
        return [AlertHandler()]
    source = config or DEFAULT
    found = _alert_handlers(_read(source, folder), source)
    if not found:
        raise ConfigError({source: "has no handler of the class alertlog.AlertHandler"})
    return found


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
    except Exception as error:  # an import runs the deployment's code: whatever it raises is an answer
        raise ConfigError({source: f"can't be read: {type(error).__name__}: {error}"}) from error
    if not isinstance(config, Mapping):
        raise ConfigError({source: "is not a mapping, as logging.config.dictConfig takes it"})
    return config


def _yaml(text: str, source: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError({source: "reading YAML takes PyYAML: pip install 'alertlog[yaml]'"}) from None
    return yaml.safe_load(text)


def _alert_handlers(config: Mapping[str, Any], source: str) -> list[AlertHandler]:
    configurator = DictConfigurator(copy.deepcopy(dict(config)))
    found = []
    for name, arguments in (config.get("handlers") or {}).items():
        if _is_ours(configurator, arguments):
            try:
                found.append(_build(configurator, name))
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                raise ConfigError({f"{source}, handler {name}": str(error.__cause__ or error)}) from error
    return found


def _is_ours(configurator: Any, arguments: Mapping[str, Any]) -> bool:
    made_by = arguments.get("()", arguments.get("class", ""))
    if isinstance(made_by, str):
        try:
            made_by = configurator.resolve(made_by)
        except ValueError:  # somebody else's, and not installed where the command runs
            return False
    return isinstance(made_by, type) and issubclass(made_by, AlertHandler)


def _build(configurator: Any, name: str) -> AlertHandler:
    arguments = configurator.config["handlers"][name]
    for part, build in (("formatter", configurator.configure_formatter), ("filters", configurator.configure_filter)):
        names = arguments.get(part) or []
        section = configurator.config.get(part if part.endswith("s") else f"{part}s") or {}
        for wanted in [names] if isinstance(names, str) else names:
            if isinstance(section.get(wanted), Mapping):
                section[wanted] = build(section[wanted])
    handler = configurator.configure_handler(arguments)
    handler.name = name
    assert isinstance(handler, AlertHandler)  # _is_ours has seen to it
    return handler
