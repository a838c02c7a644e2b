"""How a round goes, on a terminal: what ended scrolls up, what is under way stays below with a spinner or a bar.

Called by `progress.py`. Everything that is drawn is gone when the round has ended; what scrolled up stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from reconciler.cli.progress import label, outcome_line
from reconciler.engine.run import Event
from reconciler.model.resources import ResourceId
from reconciler.plan.model import Plan
from reconciler.plan.views.text import size

MAX_LINES = 12  # of what is under way; the others are counted
BAR_WIDTH = 20


@contextmanager
def live_round(plan: Plan) -> Iterator[Callable[[Event], None]]:
    """Yields the listener; clears what is left when the round ends."""
    with _bars() as bars:
        yield _Listener(bars, {change.id: change.size for change in plan.work()})


@contextmanager
def live_upload(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """One bar; its listener is called with the bytes that went on."""
    with _bars() as bars:
        task = bars.add_task(name, total=total, text="uploading", sends=True)
        yield lambda sent: bars.advance(task, sent)


class _Bars(Progress):
    """Shows so many tasks as fit, and counts the others."""

    def __init__(self, *columns: ProgressColumn, console: Console) -> None:
        self._screen = console  # asked for its height while the base class is still being made
        super().__init__(*columns, console=console, transient=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        tasks = self.tasks
        lines = max(1, min(MAX_LINES, self._screen.height - 3))
        yield self.make_tasks_table(tasks[:lines])
        if len(tasks) > lines:
            yield Text(f"  … and {len(tasks) - lines} more", style="dim")


class _Doing(ProgressColumn):
    """What is done, with a bar where bytes are sent."""

    def render(self, task: Task) -> Text:
        text = Text(task.fields["text"], no_wrap=True, overflow="ellipsis")
        if task.fields["sends"]:
            done = round(task.percentage / 100 * BAR_WIDTH)
            text.append(" ").append("━" * done, "green").append("━" * (BAR_WIDTH - done), "dim")
            text.append(f" {task.percentage:3.0f}% of {size(int(task.total or 0))}")
        return text


def _bars() -> _Bars:
    name = TextColumn("{task.description}", table_column=Column(no_wrap=True), markup=False)
    doing = _Doing(table_column=Column())  # cut before the name is, where there is no room for both
    return _Bars(SpinnerColumn(), name, doing, console=Console(stderr=True))


class _Listener:
    """Called from the engine's thread and from workers that upload."""

    def __init__(self, bars: Progress, sizes: dict[ResourceId, int]) -> None:
        self._bars = bars
        self._sizes = sizes
        self._tasks: dict[ResourceId, TaskID] = {}
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
            task = self._bars.add_task(label(event), total=total or None, text=event.text, sends=bool(total))
            self._tasks[event.resource] = task
        if event.text:
            self._bars.update(task, text=event.text)
        self._bars.advance(task, event.sent)

    def _end(self, event: Event) -> None:
        task = self._tasks.pop(event.resource, None)
        if task is not None:
            self._bars.remove_task(task)
        self._bars.console.print(Text.from_ansi(f"{label(event)}  {outcome_line(event)}"), soft_wrap=True)
