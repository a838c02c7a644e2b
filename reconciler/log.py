"""The log: events with the round, tenant and deployment that they belong to.

Silent until `start` is called. structlog takes longer to import than a whole `validate`, so it is loaded only then.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.model.resources import ResourceId
from reconciler.model.text import TerminalText
from specs.untrusted import visible, visible_line

_logger: Any = None
"""structlog's, between `start` and `stop`."""


@dataclass(frozen=True, slots=True)
class Log:
    """What is bound is part of every event. Event and values may be foreign text: they are escaped when shown."""

    bound: Mapping[str, object] = field(default_factory=dict)

    def bind(self, **values: object) -> Log:
        return Log({**self.bound, **values})

    def about(self, resource: ResourceId) -> Log:
        """Binds its tenant, and its name by its kind: `deployment=churn`."""
        if not resource.name:
            return self.bind(tenant=resource.tenant)
        return Log({**self.bound, "tenant": resource.tenant, resource.kind.value: resource.name})

    def debug(self, event: str, **values: object) -> None:
        self._write(logging.DEBUG, event, values)

    def info(self, event: str, **values: object) -> None:
        self._write(logging.INFO, event, values)

    def warning(self, event: str, **values: object) -> None:
        self._write(logging.WARNING, event, values)

    def _write(self, level: int, event: str, values: Mapping[str, object]) -> None:
        if _logger is not None:
            _logger.log(level, event, **{**self.bound, **values})


def start(write: Callable[[TerminalText], None], level: int, *, coloured: bool = False) -> None:
    """Writes every event of at least `level` (one of the numbers of `logging`) as a line for people, in time order.
    `write` is called from any thread."""
    import structlog

    global _logger
    _logger = structlog.wrap_logger(
        _Lines(write),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _show_everything,
            structlog.dev.ConsoleRenderer(columns=_columns(coloured), sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    )


def stop() -> None:
    global _logger
    _logger = None


class _Lines:
    """structlog calls the method named as the event's level."""

    def __init__(self, write: Callable[[TerminalText], None]) -> None:
        self._write = write
        self.debug = self.info = self.warning = self.error = self.critical = self._line

    def _line(self, text: str) -> None:
        self._write(TerminalText(text))  # every value in it was made visible


def _show_everything(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """One line of visible characters a value, except for a traceback, which has a line for each of its own."""
    error = event.pop("error", None)
    shown: dict[str, Any] = {name: visible(str(value)) for name, value in event.items()}
    if isinstance(error, BaseException):
        lines = "".join(traceback.format_exception(error)).splitlines()
        shown["exception"] = "\n".join(map(visible_line, lines))
    return shown


def _columns(coloured: bool) -> list[Any]:
    from structlog.dev import Column, KeyValueColumnFormatter

    def style(code: str) -> str:
        return f"\x1b[{code}m" if coloured else ""

    def shown(name: str, code: str, *, width: int = 0) -> Any:
        return Column(name, KeyValueColumnFormatter(None, style(code), style("0"), value_repr=str, width=width))

    rest = KeyValueColumnFormatter(style("36"), "", style("0"), value_repr=_quoted)
    return [shown("timestamp", "2"), shown("level", "32", width=7), shown("event", "1"), Column("", rest)]


def _quoted(value: object) -> str:
    """A value that is visible already; in quotes where a blank would make it look like several."""
    text = str(value)
    return text if text and not set(text) & set(' "=') else '"' + text.replace('"', '\\"') + '"'
