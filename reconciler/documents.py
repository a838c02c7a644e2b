"""The stable JSON forms of what several parts answer together; docs/state.md describes them. Pure.

The form of a plan is in `plan/views/data.py`, that of a status beside `status/statuses.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reconciler.model.resources import JSON
from reconciler.plan.views.data import plan_document

if TYPE_CHECKING:
    from reconciler.engine.execute import Outcome
    from reconciler.plan.model import Plan
    from specs.problems import Problem


def outcome_document(plan: Plan, outcome: Outcome) -> JSON:
    """How a round went, with the plan that it carried out."""
    return {
        "plan": plan_document(plan),
        "results": [
            {
                "id": str(result.id),
                "phase": result.phase.value if result.phase else "Gone",
                "message": result.message,
                "url": result.url,
                "log": list(result.log),
            }
            for result in sorted(outcome.results, key=lambda result: result.id)
        ],
    }


def validation_document(tenants: Iterable[str], problems: Iterable[Problem]) -> JSON:
    """The tenants that the specs name, and everything that is wrong with the specs."""
    return {
        "tenants": sorted(tenants),
        "problems": [
            {
                "severity": problem.severity,
                "code": problem.code,
                "file": problem.place.file if problem.place else None,
                "line": (problem.place.line or None) if problem.place else None,
                "column": (problem.place.column or None) if problem.place else None,
                "summary": problem.summary,
                "detail": problem.detail,
            }
            for problem in problems
        ],
    }
