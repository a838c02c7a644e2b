"""Whole rounds over the in-memory target: plan, apply, plan again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.artifacts.protocol import Content
from reconciler.engine.execute import Outcome, execute
from reconciler.engine.run import Event, Run
from reconciler.model.resources import Desired, FileOrigin, ResourceId, Scope
from reconciler.plan.diff import make_plan
from reconciler.plan.inputs import PlanOptions, World
from reconciler.plan.model import Plan
from reconciler.reconcile import list_stored
from reconciler.state.file import StateFile
from reconciler.state.model import State
from reconciler.state.recorder import Recorder
from tests.support.engine.memory_store import MemoryStore
from tests.support.engine.memory_target import MemoryTarget


@dataclass
class Sandbox:
    """A target, a store and a state file, and what goes on between them."""

    folder: Path
    target: MemoryTarget = field(default_factory=MemoryTarget)
    store: MemoryStore = field(default_factory=MemoryStore)
    events: list[Event] = field(default_factory=list)
    listen: Callable[[Event], None] = lambda event: None
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def file(self) -> StateFile:
        return StateFile(self.folder / "state.json", "default", "memory")

    @property
    def state(self) -> State:
        return self.file.load()

    def plan(self, desired: Desired, **options: Any) -> Plan:
        chosen = PlanOptions(**options)
        return make_plan(self._world(desired, chosen.scope), chosen, target="memory", revision="test")

    def _world(self, desired: Desired, scope: Scope) -> World:
        live = self.target.observe(scope)
        stored = list_stored(self.store, {tenant.tenant for tenant in desired.tenants})
        return World(desired, live, stored, self.target.prepare(desired, live), self.state)

    def apply(self, desired: Desired, file: StateFile | None = None, **options: Any) -> Outcome:
        return self.carry_out(self.plan(desired, **options), desired, file)

    def carry_out(self, plan: Plan, desired: Desired, file: StateFile | None = None) -> Outcome:
        recorder = Recorder(file or self.file, self.state)
        run = Run(
            plan=plan,
            world=self._world(desired, plan.scope),
            store=self.store,
            contents=lambda origin: content(origin.path),
            recorder=recorder,
            url_of=lambda deployment: f"http://test/{deployment.tenant}/{deployment.name}",
            listen=self._listen,
            cancelled=self.cancelled,
        )
        try:
            return execute(run)
        finally:
            self.cancelled = threading.Event()  # an event is set once: the next round has its own

    def _listen(self, event: Event) -> None:
        self.events.append(event)
        self.listen(event)

    def phase(self, resource: ResourceId) -> str:
        return str(self.state.resources[resource].phase)


def content(text: str) -> Content:
    @contextmanager
    def opened() -> Any:
        yield iter([text.encode()])

    return Content(opened, len(text))


Contents = Callable[[FileOrigin], Content]
