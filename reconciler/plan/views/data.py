"""The plan for programs: as JSON. Pure."""

from __future__ import annotations

from dataclasses import asdict

from reconciler.model.graph_digest import sha256_digest
from reconciler.model.resources import JSON
from reconciler.model.text import json_text
from reconciler.plan.model import Change, Plan
from reconciler.plan.objects import Objects
from reconciler.plan.views.objects import field_document, object_document
from reconciler.plan.views.text import summary

PLAN_FORMAT = 1


def plan_document(plan: Plan, objects: Objects | None = None) -> JSON:
    """The stable JSON form of a plan, which `kubeserve plan -o json` prints. `apply --plan` compares it without
    `objects`."""
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
    return json_text(plan_document(plan)) + "\n"


def plan_digest(document: JSON) -> str:
    """Equal for plans with the same effect, also when their specs come from different commits."""
    rest = {key: value for key, value in document.items() if key != "revision"}
    return sha256_digest(json_text(rest, sort=True).encode())


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
        document["objects"] = [object_document(each) for each in objects.get(change.id, ())]
    return document
