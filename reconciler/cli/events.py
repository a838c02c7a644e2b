"""One event of a round in words, for the live display and for plain lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli.causes import SeenCauses
from reconciler.cli.console import paint_talk
from reconciler.model.text import TerminalText, terminal

if TYPE_CHECKING:
    from reconciler.engine.run import Event

PHASE_STYLES = {"Ready": "green", "Degraded": "yellow", "Failed": "red", "Progressing": "cyan", "Deleting": "dim"}


def outcome_line(event: Event, causes: SeenCauses) -> TerminalText:
    """The outcome for one resource, in one line."""
    phase = str(event.phase)
    if phase == "Deleting" and not event.text:
        return paint_talk("gone", "dim")
    painted = paint_talk(phase, PHASE_STYLES.get(phase, "bold"))
    return terminal("{}: {}", painted, causes.message(event.resource, event.text)) if event.text else painted


def label(event: Event) -> str:
    name = f"{event.resource.tenant}/{event.resource.name}" if event.resource.name else event.resource.tenant
    return f"{event.resource.kind.value} {name}"
