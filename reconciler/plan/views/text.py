"""The plan for people: as text for a terminal. Pure; colours come from the caller's `paint`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from reconciler.model.resources import Kind, tenant_id
from reconciler.plan.model import Action, Change, Plan
from reconciler.plan.objects import Objects, behind
from reconciler.plan.views.objects import field_lines, object_lines

Paint = Callable[[str, str], str]
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
"""What is said of a new deployment on its line; the JSON has all."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class _View:
    plan: Plan
    paint: Paint
    objects: Objects


def plain(text: str, _style: str) -> str:
    return text


def render_text(
    plan: Plan,
    paint: Paint = plain,
    *,
    show_unchanged: bool = False,
    partial: bool = False,
    objects: Objects | None = None,
) -> str:
    """Grouped by tenant; ends with a line that counts, and with what was held back. `partial`: some specs have errors,
    so the plan is of the others. `objects`: what to show below each change."""
    lines = _lines(_View(plan, paint, objects or {}), show_unchanged)
    return "\n".join((_heading(plan, paint, partial), *lines)) + "\n"


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


def _heading(plan: Plan, paint: Paint, partial: bool) -> str:
    if not plan.is_empty or plan.errors:
        subject = f" for {plan.revision}" if plan.revision else ""
        return paint(f"Plan{subject} on target {plan.target}", "bold")
    if partial:
        return "Nothing to do for the tenants whose specs have no errors."
    return f"Nothing to do: what runs is what {plan.revision} asks for." if plan.revision else "Nothing to do."


def _lines(view: _View, show_unchanged: bool) -> Iterator[str]:
    plan = view.plan
    for tenant, group in groupby(plan.changes, key=lambda change: change.id.tenant):
        changes = [change for change in group if show_unchanged or change.is_work or change.error]
        if changes:
            yield ""
            yield from _tenant(tenant, changes, view)
    yield from _held_back(plan, view.paint)
    yield ""
    yield f"Plan: {summary(plan)}."


def _tenant(tenant: str, changes: list[Change], view: _View) -> Iterator[str]:
    plan, paint = view.plan, view.paint
    own = next((change for change in changes if change.id.kind is Kind.TENANT), None)
    symbol = _symbol(own, paint) + " " if own else "  "
    yield symbol + paint(f"tenant {tenant}", "bold") + _because(own, paint)
    if own is not None and own.action is Action.CHANGE:
        yield from (f"    {line}" for line in field_lines(own.fields))
    yield from (f"    {line}" for line in _error(own, paint))
    whole = plan.by_id.get(tenant_id(tenant))
    if whole is not None and whole.note and whole.action is not Action.DELETE:
        yield "    " + paint(f"warning: {whole.note}", "yellow")
    if own is not None:
        yield from (f"    {line}" for line in object_lines(behind(own, plan, view.objects), paint))
    for change in changes:
        if change.id.kind in (Kind.VERSION, Kind.DEPLOYMENT):
            yield from _change(change, view)


def _change(change: Change, view: _View) -> Iterator[str]:
    plan, paint = view.plan, view.paint
    kind = "version" if change.id.kind is Kind.VERSION else "deployment"
    head = f"{_symbol(change, paint)}   {kind} {change.id.name}"
    if change.id.kind is Kind.VERSION and change.action is Action.CREATE and not change.error:
        head += f"  upload {size(change.size)}" if change.size else "  upload"
    new = change.action not in (Action.CHANGE, Action.REPLACE) and all(f.old is None for f in change.fields)
    if new and change.fields:
        head += "  " + ", ".join(f"{f.field} {f.new}" for f in change.fields if f.field in SHOWN_OF_NEW)
    yield head + _because(change, paint)
    if not new:
        yield from (f"        {line}" for line in field_lines(change.fields))
    yield from (f"        {paint(line, 'dim')}" for line in _steps(change, plan))
    for variant in plan.variants_of.get(change.id, ()):
        if variant.replacement:
            yield "        " + paint(f"{SYMBOLS[Action.REPLACE][0]} {variant.replacement}", "yellow")
    yield from (f"        {line}" for line in object_lines(behind(change, plan, view.objects), paint))
    yield from (f"        {line}" for line in _error(change, paint))


def _error(change: Change | None, paint: Paint) -> Iterator[str]:
    if change is not None and change.error:
        yield paint(f"error: {change.error.summary}", "red")
        yield from (f"  {line}" for line in change.error.detail.splitlines())


def _symbol(change: Change | None, paint: Paint) -> str:
    if change is None:
        return " "
    if change.error:
        return paint("!", "red")
    symbol, style = SYMBOLS[change.action]
    return paint(symbol, style)


def _because(change: Change | None, paint: Paint) -> str:
    if change is None:
        return ""
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
    return "  " + paint(f"({'; '.join(words)})", "dim") if words else ""


def _steps(change: Change, plan: Plan) -> Iterator[str]:
    variants = plan.variants_of.get(change.id, ())
    starts = [f"{v.id.name} ({v.note})" for v in variants if v.action is Action.CREATE]
    removes = [f"{v.id.name} ({v.note})" for v in variants if v.action is Action.DELETE]
    if starts and removes:
        yield f"starts {', '.join(starts)}; once it answers, removes {', '.join(removes)}"
    elif starts:
        yield f"starts {', '.join(starts)}"
    elif removes:
        yield f"removes {', '.join(removes)}"


def _held_back(plan: Plan, paint: Paint) -> Iterator[str]:
    for guard in plan.guards:
        yield ""
        yield paint(f"Held back: {guard.summary}", "red")
        yield f"  {guard.detail}"
        yield from (f"    {resource}" for resource in guard.withheld)
    if plan.unclaimed:
        yield ""
        yield paint("Unclaimed: carries this installation's mark, but the state file does not know it", "yellow")
        yield from (f"    {item.id}  {item.note}" for item in plan.unclaimed)
        yield "  Left alone. Remove it with --prune-unclaimed."
