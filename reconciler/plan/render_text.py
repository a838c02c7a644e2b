"""The plan for people: as text for a terminal. Pure; colours come from the caller's `paint`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby

from reconciler.plan.model import Action, Change, Plan
from reconciler.resources import Kind, tenant_id
from reconciler.targets.protocol import FieldChange

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


def plain(text: str, _style: str) -> str:
    return text


def render_text(plan: Plan, paint: Paint = plain, *, show_unchanged: bool = False, partial: bool = False) -> str:
    """Grouped by tenant; ends with a line that counts, and with what was held back. `partial`: some specs have errors,
    so the plan is of the others."""
    return "\n".join((_heading(plan, paint, partial), *_lines(plan, paint, show_unchanged))) + "\n"


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


def _lines(plan: Plan, paint: Paint, show_unchanged: bool) -> Iterator[str]:
    for tenant, group in groupby(plan.changes, key=lambda change: change.id.tenant):
        changes = [change for change in group if show_unchanged or change.is_work or change.error]
        if changes:
            yield ""
            yield from _tenant(tenant, changes, plan, paint)
    yield from _held_back(plan, paint)
    yield ""
    yield f"Plan: {summary(plan)}."


def _tenant(tenant: str, changes: list[Change], plan: Plan, paint: Paint) -> Iterator[str]:
    own = next((change for change in changes if change.id.kind is Kind.TENANT), None)
    symbol = _symbol(own, paint) + " " if own else "  "
    yield symbol + paint(f"tenant {tenant}", "bold") + _because(own, paint)
    if own is not None and own.action is Action.CHANGE:
        yield from (f"    {line}" for line in _fields(own.fields))
    yield from (f"    {line}" for line in _error(own, paint))
    whole = plan.by_id.get(tenant_id(tenant))
    if whole is not None and whole.note and whole.action is not Action.DELETE:
        yield "    " + paint(f"warning: {whole.note}", "yellow")
    for change in changes:
        if change.id.kind in (Kind.VERSION, Kind.DEPLOYMENT):
            yield from _change(change, plan, paint)


def _change(change: Change, plan: Plan, paint: Paint) -> Iterator[str]:
    kind = "version" if change.id.kind is Kind.VERSION else "deployment"
    head = f"{_symbol(change, paint)}   {kind} {change.id.name}"
    if change.id.kind is Kind.VERSION and change.action is Action.CREATE and not change.error:
        head += f"  upload {size(change.size)}" if change.size else "  upload"
    new = change.action is not Action.CHANGE and all(f.old is None for f in change.fields)
    if new and change.fields:
        head += "  " + ", ".join(f"{f.field} {f.new}" for f in change.fields if f.field in SHOWN_OF_NEW)
    yield head + _because(change, paint)
    if not new:
        yield from (f"        {line}" for line in _fields(change.fields))
    yield from (f"        {paint(line, 'dim')}" for line in _steps(change, plan))
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


def _fields(fields: tuple[FieldChange, ...]) -> Iterator[str]:
    width = max((len(change.field) for change in fields), default=0)
    for change in fields:
        old = "none" if change.old is None else change.old
        new = "none" if change.new is None else change.new
        yield f"{change.field:<{width}}  {old} -> {new}"


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
