"""How a round goes, on a terminal: what ended scrolls up, what is under way stays below with a spinner or a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from reconciler.cli.console import label, outcome_line
from reconciler.engine.context import Event
from reconciler.plan.model import Plan
from reconciler.resources import ResourceId

MAX_LINES = 12  # of what is under way; the others wait unseen


@contextmanager
def live_progress(plan: Plan) -> Iterator[Callable[[Event], None]]:
    """Yields the listener; clears what is left when the round ends."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), _Upload(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Listener(bars, {change.id: change.size for change in plan.work()})


class _Upload(ProgressColumn):
    """A bar and bytes, for what has bytes to send."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = BarColumn(bar_width=20)
        self._bytes = DownloadColumn(binary_units=True)

    def render(self, task: Task) -> Text:
        if not task.fields["sends"]:
            return Text("")
        return Text.assemble(f"{task.percentage:3.0f}% ", self._bytes.render(task))


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
        task = self._tasks.get(event.id)
        if task is None:
            size = self._sizes.get(event.id, 0)
            visible = len(self._tasks) < MAX_LINES
            fields = {"text": event.text, "sends": bool(size)}
            task = self._bars.add_task(label(event), total=size or None, visible=visible, **fields)
            self._tasks[event.id] = task
        self._bars.update(task, advance=event.sent, **({"text": event.text} if event.text else {}))

    def _end(self, event: Event) -> None:
        task = self._tasks.pop(event.id, None)
        if task is not None:
            self._bars.remove_task(task)
        self._bars.console.print(Text.from_ansi(f"{label(event)}  {outcome_line(event)}"))
