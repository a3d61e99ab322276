"""How far an output of the candidate may lie from stable's before it counts as another answer. Pure."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.contract.analysis import Analysis
from tidegate.judge.agreement import Allowed


def tolerances(analysis: Analysis) -> Callable[[str], Allowed]:
    """Return what gives each output its tolerance by its name: its own, or the usual one."""
    usual = Allowed(analysis.tolerance.absolute, analysis.tolerance.relative)
    named = {name: Allowed(held.absolute, held.relative) for name, held in analysis.tolerances.items()}
    return lambda output: named.get(output, usual)
