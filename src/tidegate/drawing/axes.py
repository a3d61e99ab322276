"""The frame of a plot: where a value lies, and which round values are written at the axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 390, 235
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 40


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of a value; one outside lies at the border."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def across(high: float) -> Axis:
    """Return the axis of time, in seconds from 0."""
    return Axis(0.0, max(high, 1.0), LEFT, WIDTH - RIGHT)


def upward(high: float) -> Axis:
    return Axis(0.0, high, HEIGHT - BOTTOM, TOP)


def nice_step(span: float, most: int) -> float:
    """Return a step of 1, 2 or 5 times a power of ten that divides `span` into at most `most` parts."""
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def nice_top(value: float, most: int = 4) -> float:
    """Return a round number at or above a positive value."""
    step = nice_step(value, most)
    return step * math.ceil(value / step - 1e-9)


def ticks(high: float, most: int = 4) -> list[float]:
    step = nice_step(high, most)
    return [index * step for index in range(math.floor(high / step + 1e-9) + 1)]


_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800)


def time_ticks(seconds: float, most: int = 5) -> list[float]:
    """Return times at which a person would look: whole seconds, minutes, hours, days."""
    step = next(
        (step for step in _TIMES if seconds / step <= most), _TIMES[-1] * math.ceil(seconds / _TIMES[-1] / most)
    )
    return [index * step for index in range(math.floor(seconds / step) + 1)]


def time_label(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s" if seconds < 60 else f"{int(seconds // 60)}:{int(seconds % 60):02d}"


def frame(x: Axis, y: Axis, y_labels: Sequence[tuple[float, str]], y_title: str) -> list[str]:
    """Return grid lines, labels of both axes, and the title of the upper one, as SVG."""
    parts = []
    for value, label in y_labels:
        row = y.at(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{row}" y2="{row}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{row + 4}" text-anchor="end">{escape(label)}</text>')
    for value in time_ticks(x.high):
        column = x.at(value)
        parts.append(
            f'<line class="grid" x1="{column}" x2="{column}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM + 4}"/>'
        )
        label = time_label(value)
        parts.append(f'<text class="tick" x="{column}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="title" x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">{escape(y_title)}</text>')
    return parts


def path(points: Sequence[tuple[float, float]], kind: str) -> str:
    """Return a line through pixels; `kind` is its CSS classes. One point is a dot, none is nothing."""
    if not points:
        return ""
    if len(points) == 1:
        return f'<circle class="dot {kind}" cx="{points[0][0]}" cy="{points[0][1]}" r="2.5"/>'
    moves = " L".join(f"{across_px} {up_px}" for across_px, up_px in points)
    return f'<path class="line {kind}" d="M{moves}"/>'


def svg(parts: Sequence[str], label: str, height: int = HEIGHT) -> str:
    """Return the whole picture; `label` is what a screen reader says."""
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">' + "".join(parts) + "</svg>"
