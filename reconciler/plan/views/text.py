"""The plan for people: as text for a terminal. Pure; colours come from the caller's `paint`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from reconciler.model.resources import Kind, tenant_id
from reconciler.model.text import (
    TerminalText,
    terminal,
    terminal_block,
    terminal_joined,
    terminal_line,
    terminal_lines,
    value_text,
)
from reconciler.plan.model import Action, Change, Plan
from reconciler.plan.objects import Objects, behind
from reconciler.plan.views.objects import field_lines, object_lines

Paint = Callable[[str, str], TerminalText]
"""(text, style) -> text; the styles are the names of colours, "bold" and "dim"."""

SYMBOLS = {
    Action.CREATE: ("+", "green"),
    Action.CHANGE: ("~", "yellow"),
    Action.REPLACE: ("±", "yellow"),
    Action.DELETE: ("-", "red"),
    Action.RETRY: ("r", "yellow"),
    Action.ADOPT: ("=", "cyan"),
    Action.UNCHANGED: (" ", "dim"),
}
WORDS = {
    Action.CREATE: "to create",
    Action.CHANGE: "to change",
    Action.REPLACE: "to replace",
    Action.DELETE: "to delete",
    Action.RETRY: "to retry",
    Action.ADOPT: "to take over",
    Action.UNCHANGED: "unchanged",
}
SHOWN_OF_NEW = frozenset({"version", "traffic", "replicas", "cpu", "memory"})
"""Fields that the line of a new deployment shows; the JSON has all."""

_EMPTY = TerminalText()
_GAP = TerminalText("  ")

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class _View:
    plan: Plan
    paint: Paint
    objects: Objects
    symbols: Mapping[Action, TerminalText]


def plain(text: str, _style: str) -> TerminalText:
    return terminal_line(text)


def render_text(
    plan: Plan,
    paint: Paint = plain,
    *,
    show_unchanged: bool = False,
    partial: bool = False,
    objects: Objects | None = None,
) -> TerminalText:
    """Changes grouped by tenant, then what is held back, then a line that counts. No line break at its end.

    `partial`: some specs have errors, so the plan covers the others. `objects`: what to show below each change.
    """
    symbols = {action: paint(*symbol) for action, symbol in SYMBOLS.items()}
    lines = _lines(_View(plan, paint, objects or {}, symbols), show_unchanged)
    return terminal_lines((_heading(plan, paint, partial), *lines))


def size(number: int) -> str:
    """A number of bytes as people write it."""
    value = float(number)
    for unit in UNITS:
        if value < 1024 or unit == UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


def summary(plan: Plan) -> str:
    """`1 to create, 2 to change, 7 unchanged; 3.4 MiB to upload`, of all but variants."""
    counts = Counter(change.action for change in plan.changes if change.id.kind is not Kind.VARIANT)
    parts = [f"{counts[action]} {word}" for action, word in WORDS.items() if counts[action]]
    upload = sum(change.size for change in plan.changes)
    return (", ".join(parts) or "nothing") + (f"; {size(upload)} to upload" if upload else "")


def _heading(plan: Plan, paint: Paint, partial: bool) -> TerminalText:
    if not plan.is_empty or plan.errors:
        subject = f" for {plan.revision}" if plan.revision else ""
        return paint(f"Plan{subject} on target {plan.target}", "bold")
    if partial:
        return terminal("Nothing to do for the tenants whose specs have no errors.")
    if plan.revision:
        return terminal("Nothing to do: what runs is what {} asks for.", plan.revision)
    return terminal("Nothing to do.")


def _lines(view: _View, show_unchanged: bool) -> Iterator[TerminalText]:
    plan = view.plan
    for tenant, group in groupby(plan.changes, key=lambda change: change.id.tenant):
        changes = [change for change in group if show_unchanged or change.is_work or change.error]
        if changes:
            yield _EMPTY
            yield from _tenant(tenant, changes, view)
    yield from _held_back(plan, view.paint)
    yield _EMPTY
    yield terminal("Plan: {}.", summary(plan))


def _tenant(tenant: str, changes: list[Change], view: _View) -> Iterator[TerminalText]:
    plan, paint = view.plan, view.paint
    own = next((change for change in changes if change.id.kind is Kind.TENANT), None)
    yield terminal("{} {}{}", _symbol(own, view), paint(f"tenant {tenant}", "bold"), _because(own, paint))
    if own is not None and own.action is Action.CHANGE:
        yield from _indented(4, field_lines(own.fields))
    yield from _indented(4, _error(own, view))
    whole = plan.by_id.get(tenant_id(tenant))
    if whole is not None and whole.note and whole.action is not Action.DELETE:
        yield terminal("    {}", paint(f"warning: {whole.note}", "yellow"))
    if own is not None and view.objects:
        yield from _indented(4, object_lines(behind(own, plan, view.objects), paint))
    for change in changes:
        if change.id.kind in (Kind.VERSION, Kind.DEPLOYMENT):
            yield from _change(change, view)


def _change(change: Change, view: _View) -> Iterator[TerminalText]:
    plan, paint = view.plan, view.paint
    is_version = change.id.kind is Kind.VERSION
    new = change.action not in (Action.CHANGE, Action.REPLACE) and all(f.old is None for f in change.fields)
    what = ""
    if is_version and change.action is Action.CREATE and not change.error:
        what = f"  upload {size(change.size)}" if change.size else "  upload"
    elif new and change.fields:
        what = "  " + ", ".join(f"{f.field} {value_text(f.new)}" for f in change.fields if f.field in SHOWN_OF_NEW)
    head = terminal_line(f"   {'version' if is_version else 'deployment'} {change.id.name}{what}")
    yield terminal_joined(_symbol(change, view), head, _because(change, paint))
    if not new:
        yield from _indented(8, field_lines(change.fields))
    if not is_version:
        yield from _indented(8, _variants(plan.variants_of.get(change.id, ()), paint))
    if view.objects:
        yield from _indented(8, object_lines(behind(change, plan, view.objects), paint))
    if change.error:
        yield from _indented(8, _error(change, view))


def _variants(variants: Collection[Change], paint: Paint) -> Iterator[TerminalText]:
    yield from (paint(line, "dim") for line in _steps(variants))
    for variant in variants:
        if variant.replacement:
            yield paint(f"{SYMBOLS[Action.REPLACE][0]} {variant.replacement}", "yellow")


def _indented(width: int, lines: Iterable[TerminalText]) -> Iterator[TerminalText]:
    indent = TerminalText(" " * width)
    return (terminal_joined(indent, line) for line in lines)


def _error(change: Change | None, view: _View) -> Iterator[TerminalText]:
    """In full at the first change that it stops; at the others a reference to that."""
    if change is None or change.error is None:
        return
    first = view.plan.shared_errors[change.error][0]
    if first is not change:
        yield view.paint(f"error: {change.error.summary}, as for {first.id} above", "red")
        return
    yield view.paint(f"error: {change.error.summary}", "red")
    yield from (terminal("  {}", line) for line in change.error.detail.split("\n") if line)


def _symbol(change: Change | None, view: _View) -> TerminalText:
    if change is None:
        return terminal(" ")
    return view.paint("!", "red") if change.error else view.symbols[change.action]


def _because(change: Change | None, paint: Paint) -> TerminalText:
    if change is None:
        return _EMPTY
    words = []
    if change.drift:
        words.append("drift: what runs was changed from outside")
    if change.action is Action.RETRY:
        words.append(f"retry: {change.note}" if change.note else "retry")
    elif change.action is Action.ADOPT:
        words.append(f"{'is stored' if change.id.kind is Kind.VERSION else 'runs'} as asked; to be recorded")
    elif change.action is Action.DELETE:
        consequence = "its URL stops answering" if change.id.kind is Kind.DEPLOYMENT else "with all that is in it"
        words.append(change.note or consequence)
    return terminal_joined(_GAP, paint(f"({'; '.join(words)})", "dim")) if words else _EMPTY


def _steps(variants: Iterable[Change]) -> Iterator[str]:
    starts = [f"{v.id.name} ({v.note})" for v in variants if v.action is Action.CREATE]
    removes = [f"{v.id.name} ({v.note})" for v in variants if v.action is Action.DELETE]
    if starts and removes:
        yield f"starts {', '.join(starts)}; once it answers, removes {', '.join(removes)}"
    elif starts:
        yield f"starts {', '.join(starts)}"
    elif removes:
        yield f"removes {', '.join(removes)}"


def _held_back(plan: Plan, paint: Paint) -> Iterator[TerminalText]:
    for guard in plan.guards:
        yield _EMPTY
        yield paint(f"Held back: {guard.summary}", "red")
        yield terminal_block(guard.detail)
        yield from (terminal("    {}", resource) for resource in guard.withheld)
    if plan.unclaimed:
        yield _EMPTY
        yield paint("Unclaimed: belongs to this installation, but is not in the state file", "yellow")
        yield from (terminal("    {}  {}", item.id, item.note) for item in plan.unclaimed)
        yield terminal("  Not touched. To remove it, pass --prune-unclaimed.")
