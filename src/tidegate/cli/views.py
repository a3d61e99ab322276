"""Showing what `follow` sees: redrawn in place in a terminal, one line per event everywhere else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from tidegate.cli.humanize import duration
from tidegate.cli.render import event_line, status_view
from tidegate.client import Event, Look, Status

#: Events that stay visible below the live view.
EVENTS_SHOWN = 6
AWAY_NOTE = "the controller does not answer; the models go on serving; trying again"


class View(Protocol):
    """Where looks are shown; a context manager that leaves the terminal as it was."""

    def show(self, look: Look) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LineView:
    """One line per event, and one when the controller goes away or comes back."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._away = False

    def show(self, look: Look) -> None:
        if look.away_seconds is not None:
            if not self._away:
                self._write(f"{_now()} {AWAY_NOTE}")
            self._away = True
            return
        if self._away:
            self._write(f"{_now()} the controller answers again")
        self._away = False
        for event in look.events:
            self._write(event_line(event))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class LiveView:
    """The deployment, its rollout and the last events, redrawn four times a second."""

    def __init__(self, console: Console) -> None:
        self._spinner = Spinner("dots", style="cyan")
        self._events: deque[Event] = deque(maxlen=EVENTS_SHOWN)
        self._status: Status | None = None
        self._away_seconds: float | None = None
        # Last, because it draws the first frame at once.
        self._live = Live(
            console=console, get_renderable=self._frame, refresh_per_second=4, transient=True, redirect_stdout=False
        )

    def show(self, look: Look) -> None:
        self._away_seconds = look.away_seconds
        self._events.extend(look.events)
        if look.status is not None:
            status = look.status.copy()
            status["rollout"] = look.rollout
            self._status = status

    def _frame(self) -> RenderableType:
        parts: list[RenderableType] = []
        if self._status is not None:
            parts += [status_view(self._status, datetime.now(UTC)), Text()]
        parts += [Text(event_line(event), style="dim", no_wrap=True, overflow="ellipsis") for event in self._events]
        if self._away_seconds is not None:
            note = f"{AWAY_NOTE} ({duration(self._away_seconds)})"
            self._spinner.update(text=Text(note, style="yellow"))
        else:
            self._spinner.update(text=Text("Ctrl-C stops watching and nothing else", style="dim"))
        parts.append(self._spinner)
        return Group(*parts)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")
