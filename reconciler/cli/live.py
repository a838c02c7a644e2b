"""The progress of a round on a terminal: outcomes scroll up, what is being done stays below with a spinner or a bar.

Called by `progress.py`. When the round ends, the lower part is cleared and the outcomes stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from reconciler.cli.causes import SeenCauses
from reconciler.cli.events import label, outcome_line
from reconciler.engine.run import Event
from reconciler.model.resources import ResourceId
from reconciler.model.text import terminal
from reconciler.plan.model import Plan
from reconciler.plan.views.text import size
from specs.untrusted import visible

MAX_LINES = 12  # of what is being done; the others are counted
BAR_WIDTH = 20


@contextmanager
def live_round(plan: Plan) -> Iterator[Callable[[Event], None]]:
    """Yields the listener; clears what is left when the round ends."""
    with _bars() as bars:
        yield _Listener(bars, {change.id: change.size for change in plan.work()})


@contextmanager
def live_upload(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """One bar. The listener takes the number of bytes that were sent since the last call."""
    with _bars() as bars:
        task = bars.add_task(visible(name), total=total, text="uploading", sends=True)
        yield lambda sent: bars.advance(task, sent)


class _Bars(Progress):
    """Shows as many tasks as fit, and counts the others."""

    def __init__(self, *columns: ProgressColumn, console: Console) -> None:
        self._screen = console  # the base class's constructor asks for its height
        super().__init__(*columns, console=console, transient=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        tasks = self.tasks
        lines = max(1, min(MAX_LINES, self._screen.height - 3))
        yield self.make_tasks_table(tasks[:lines])
        if len(tasks) > lines:
            yield Text(f"  … and {len(tasks) - lines} more", style="dim")


class _Doing(ProgressColumn):
    """What is being done, with a bar for uploads."""

    def render(self, task: Task) -> Text:
        text = Text(visible(task.fields["text"]), no_wrap=True, overflow="ellipsis")
        if task.fields["sends"]:
            done = round(task.percentage / 100 * BAR_WIDTH)
            text.append(" ").append("━" * done, "green").append("━" * (BAR_WIDTH - done), "dim")
            text.append(f" {task.percentage:3.0f}% of {size(int(task.total or 0))}")
        return text


def _bars() -> _Bars:
    name = TextColumn("{task.description}", table_column=Column(no_wrap=True), markup=False)
    doing = _Doing(table_column=Column())  # is cut before the name where there is no room for both
    return _Bars(SpinnerColumn(), name, doing, console=Console(stderr=True))


class _Listener:
    """Called from the engine's thread and from workers that upload."""

    def __init__(self, bars: Progress, sizes: dict[ResourceId, int]) -> None:
        self._bars = bars
        self._sizes = sizes
        self._tasks: dict[ResourceId, TaskID] = {}
        self._causes = SeenCauses()
        self._lock = Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event.phase is not None:
                self._end(event)
            else:
                self._go_on(event)

    def _go_on(self, event: Event) -> None:
        task = self._tasks.get(event.resource)
        if task is None:
            total = self._sizes.get(event.resource, 0)
            task = self._bars.add_task(visible(label(event)), total=total or None, text=event.text, sends=bool(total))
            self._tasks[event.resource] = task
        if event.text:
            self._bars.update(task, text=event.text)
        self._bars.advance(task, event.sent)

    def _end(self, event: Event) -> None:
        task = self._tasks.pop(event.resource, None)
        if task is not None:
            self._bars.remove_task(task)
        line = terminal("{}  {}", label(event), outcome_line(event, self._causes))
        self._bars.console.print(Text.from_ansi(line), soft_wrap=True)
