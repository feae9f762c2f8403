"""Progress bars in notebooks, without widgets."""

import sys
from collections.abc import Callable
from html import escape
from time import monotonic
from typing import Any

from rich.progress import Progress, TaskID

REFRESH_SECONDS = 0.2


def in_notebook() -> bool:
    """Return True in the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class NotebookBar(Progress):
    """Progress bar below a cell of a notebook, which disappears at the end."""

    def __init__(self, noun: str = "", note: Callable[[], str] = lambda: "") -> None:
        """Create a bar.

        Args:
            noun: Name of what the bar counts; "" for an activity of unknown duration.
            note: Function that returns the text after the count.
        """
        super().__init__(disable=True)  # nothing on the terminal
        self._noun, self._note = noun, note
        self._shown_at = -REFRESH_SECONDS
        self._handle: Any = None

    def start(self) -> None:
        """Show the bar."""
        from IPython.display import HTML, display

        self._handle = display(HTML(""), display_id=True)  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """Remove the bar."""
        self._show("")

    def add_task(self, description: str, *args: Any, **keys: Any) -> TaskID:
        """Add the activity that the bar shows."""
        task = super().add_task(description, *args, **keys)
        self._show(self._html())
        return task

    def update(self, task_id: TaskID, **keys: Any) -> None:
        """Update the bar, at most five times per second."""
        super().update(task_id, **keys)
        if monotonic() - self._shown_at >= REFRESH_SECONDS:
            self._show(self._html())

    def _show(self, html: str) -> None:
        from IPython.display import HTML

        self._shown_at = monotonic()
        if self._handle is not None:
            self._handle.update(HTML(html))  # type: ignore[no-untyped-call]

    def _html(self) -> str:
        task = self.tasks[0]
        words, bar = [task.description], ""
        if self._noun and task.total:
            words.append(f"{int(task.completed):,} of {int(task.total):,} {self._noun}")
            bar = f'<progress max="{task.total:g}" value="{task.completed:g}"></progress> '
        text = ", ".join(filter(None, [*words, self._note()]))
        return f"<div>{bar}{escape(text)}</div>"
