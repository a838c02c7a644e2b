"""The plan for a comment on a pull request: as Markdown. Pure.

Everything but our own words is code, in spans or fenced blocks: neither Markdown nor a Git host looks for links,
mentions, references or HTML there.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from reconciler.model.resources import Kind, ResourceId
from reconciler.model.text import code, code_block
from reconciler.plan.model import Action, Change, Plan
from reconciler.plan.objects import Objects, behind
from reconciler.plan.views.objects import markdown_field, object_rows
from reconciler.plan.views.text import size, summary
from specs.untrusted import visible


def render_markdown(plan: Plan, objects: Objects | None = None) -> str:
    """A table; below it what is held back or can't be done; at the end, collapsed, the objects."""
    return "\n".join((*_plan(plan), *_objects(plan, objects or {}))) + "\n"


def _plan(plan: Plan) -> Iterator[str]:
    yield f"### Plan: {summary(plan)}"
    yield ""
    yield f"{f'Revision {code(plan.revision)}, target' if plan.revision else 'Target'} {code(plan.target)}."
    if rows := [c for c in plan.changes if c.is_work and c.id.kind is not Kind.VARIANT]:
        yield ""
        yield "| tenant | resource | action | what changes |"
        yield "| --- | --- | --- | --- |"
        yield from (_row(change) for change in rows)
    for error, changes in plan.shared_errors.items():
        if ids := [change.id for change in changes if change.id.kind is not Kind.VARIANT]:
            yield from _part("Error", ids, f"{error.summary}\n{error.detail}")
    for change in plan.work(Kind.VARIANT):
        if change.replacement:
            yield from _part("Replaced", (), change.replacement)
    for change in plan.changes:
        if change.id.kind is Kind.TENANT and change.note and change.action is not Action.DELETE:
            yield from _part("Warning", (change.id,), change.note)
    for guard in plan.guards:
        yield from _part("Held back", guard.withheld, f"{guard.summary}\n{guard.detail}")
    for item in plan.unclaimed:
        yield from _part("Unclaimed", (item.id,), item.note)


def _part(title: str, about: Iterable[ResourceId], text: str) -> Iterator[str]:
    yield ""
    yield f"**{title}** {', '.join(code(str(resource)) for resource in about)}".rstrip()
    yield ""
    yield code_block(text.strip("\n"))


def _row(change: Change) -> str:
    what = [markdown_field(f) for f in change.fields]
    if change.size:
        what.append(f"upload {size(change.size)}")
    if change.action is Action.RETRY and change.note:
        what.append(code(change.note))
    name = code(change.id.name or change.id.tenant)
    cells = (code(change.id.tenant), f"{change.id.kind} {name}", change.action.value, "<br>".join(what))
    return f"| {' | '.join(cells)} |"


def _objects(plan: Plan, objects: Objects) -> Iterator[str]:
    for change in plan.work(Kind.TENANT, Kind.DEPLOYMENT):
        if touched := behind(change, plan, objects):
            yield ""
            name = html.escape(visible(str(change.id)))
            yield f"<details><summary><code>{name}</code>: {len(touched)} objects</summary>"
            yield ""
            yield from object_rows(touched)
            yield ""
            yield "</details>"
