"""The plan for programs and for pull requests: as JSON and as Markdown. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict

import orjson

from reconciler.model.resources import JSON, Kind
from reconciler.plan.model import Action, Change, Plan
from reconciler.plan.objects import Objects, behind
from reconciler.plan.views.objects import field_document, object_document, object_rows
from reconciler.plan.views.text import size, summary

PLAN_FORMAT = 1


def plan_document(plan: Plan, objects: Objects | None = None) -> JSON:
    """The stable JSON form of a plan; `kubeserve plan -o json` prints it and `apply --plan` compares it, without the
    objects that may be asked for beside it."""
    return {
        "format": PLAN_FORMAT,
        "target": plan.target,
        "revision": plan.revision,
        "binding": asdict(plan.binding),
        "empty": plan.is_empty,
        "summary": summary(plan),
        "changes": [_change(change, objects) for change in plan.changes],
        "guards": [
            {
                "code": guard.code,
                "summary": guard.summary,
                "detail": guard.detail,
                "withheld": [str(resource) for resource in guard.withheld],
            }
            for guard in plan.guards
        ],
        "unclaimed": [{"id": str(item.id), "note": item.note} for item in plan.unclaimed],
    }


def render_json(plan: Plan) -> str:
    return orjson.dumps(plan_document(plan), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def plan_digest(document: JSON) -> str:
    """Equal for two plans that do the same to the same, if from another commit that asks for the same."""
    rest = {key: value for key, value in document.items() if key != "revision"}
    return "sha256:" + hashlib.sha256(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)).hexdigest()


def render_markdown(plan: Plan, objects: Objects | None = None) -> str:
    """For a comment on a pull request: a table, then what is held back or can't be done; last, folded, the objects."""
    return "\n".join((*_markdown(plan), *_objects(plan, objects or {}))) + "\n"


def _change(change: Change, objects: Objects | None) -> JSON:
    document: JSON = {"id": str(change.id), "kind": change.id.kind.value, "tenant": change.id.tenant}
    document |= {"name": change.id.name, "action": change.action.value, "drift": change.drift}
    document["fields"] = [field_document(f) for f in change.fields]
    if change.note:
        document["note"] = change.note
    if change.size:
        document["bytes"] = change.size
    if change.deployment:
        document["deployment"] = str(change.deployment)
    if change.error:
        document["error"] = asdict(change.error)
    if change.replacement:
        document["replacement"] = change.replacement
    if objects is not None:
        document["objects"] = [object_document(one) for one in objects.get(change.id, ())]
    return document


def _markdown(plan: Plan) -> Iterator[str]:
    yield f"### Plan: {_escape(summary(plan))}"
    yield ""
    yield f"Revision `{plan.revision}`, target `{plan.target}`."
    rows = [c for c in plan.changes if c.is_work and c.id.kind is not Kind.VARIANT]
    if rows:
        yield ""
        yield "| tenant | resource | action | what changes |"
        yield "| --- | --- | --- | --- |"
        yield from (_row(change) for change in rows)
    for change in plan.errors:
        if change.id.kind is not Kind.VARIANT and change.error:
            yield ""
            yield f"**Error** `{change.id}`: {_escape(change.error.summary)}. {_escape(change.error.detail)}"
    for change in plan.work(Kind.VARIANT):
        if change.replacement:
            yield ""
            yield f"**Replaced** {_escape(change.replacement)}."
    for change in plan.changes:
        if change.id.kind is Kind.TENANT and change.note and change.action is not Action.DELETE:
            yield ""
            yield f"**Warning** `{change.id}`: {_escape(change.note)}."
    for guard in plan.guards:
        yield ""
        yield f"**Held back**: {_escape(guard.summary)}. {_escape(guard.detail)}"


def _row(change: Change) -> str:
    what = [f"{f.field}: {f.old or 'none'} → {f.new or 'none'}" for f in change.fields]
    if change.size:
        what.append(f"upload {size(change.size)}")
    if change.action is Action.RETRY and change.note:
        what.append(change.note)
    name = change.id.name or change.id.tenant
    cells = (change.id.tenant, f"{change.id.kind} {name}", change.action.value, "; ".join(what))
    return "| " + " | ".join(_escape(cell) for cell in cells) + " |"


def _objects(plan: Plan, objects: Objects) -> Iterator[str]:
    for change in plan.work(Kind.TENANT, Kind.DEPLOYMENT):
        if found := behind(change, plan, objects):
            yield ""
            yield f"<details><summary>{_escape(str(change.id))}: {len(found)} objects</summary>"
            yield ""
            yield from object_rows(found, _escape)
            yield ""
            yield "</details>"


def _escape(text: str) -> str:
    cleaned = " ".join(text.split())
    for character in "\\`*_|<>[]":
        cleaned = cleaned.replace(character, "\\" + character)
    return cleaned
