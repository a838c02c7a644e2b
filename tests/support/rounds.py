"""Whole rounds over the in-memory target: plan, apply, plan again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.artifacts.protocol import Content
from reconciler.engine.execute import Outcome, execute
from reconciler.engine.run import Event, Run
from reconciler.model.resources import Desired, FileOrigin, ResourceId
from reconciler.plan.diff import Options, make_plan
from reconciler.plan.model import Plan
from reconciler.reconcile import list_stored
from reconciler.state.file import StateFile
from reconciler.state.model import State
from reconciler.state.recorder import Recorder
from tests.support.memory_store import MemoryStore
from tests.support.memory_target import MemoryTarget


@dataclass
class World:
    """A target, a store and a state file, and what goes on between them."""

    folder: Path
    target: MemoryTarget = field(default_factory=MemoryTarget)
    store: MemoryStore = field(default_factory=MemoryStore)
    events: list[Event] = field(default_factory=list)
    listen: Callable[[Event], None] = lambda event: None

    @property
    def file(self) -> StateFile:
        return StateFile(self.folder / "state.json", "default", "memory")

    @property
    def state(self) -> State:
        return self.file.load()

    def plan(self, desired: Desired, **options: Any) -> Plan:
        chosen = Options(**options)
        live = self.target.observe(chosen.scope)
        stored = list_stored(self.store, {tenant.tenant for tenant in desired.tenants})
        prepared = self.target.prepare(desired, live)
        return make_plan(desired, live, stored, prepared, self.state, chosen, target="memory", revision="test")

    def apply(self, desired: Desired, file: StateFile | None = None, **options: Any) -> Outcome:
        return self.carry_out(self.plan(desired, **options), desired, file)

    def carry_out(self, plan: Plan, desired: Desired, file: StateFile | None = None) -> Outcome:
        live = self.target.observe(plan.scope)
        recorder = Recorder(file or self.file, self.state)
        run = Run(
            plan=plan,
            desired=desired,
            live=live,
            prepared=self.target.prepare(desired, live).resources,
            target=self.target,
            store=self.store,
            contents=lambda origin: content(origin.path),
            recorder=recorder,
            url_of=lambda deployment: f"http://test/{deployment.tenant}/{deployment.name}",
            listen=self._listen,
        )
        return execute(run)

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
