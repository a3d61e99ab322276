"""Rehearsals: the safety net of a deployment proved on copies of its model, with faults injected into them.

    from tidegate.rehearsal import Settings, rehearse

    told = rehearse(home, "churn", Settings(faults=("errors=20%", "crash")))
    assert told["holds"], told["holes"]

A rehearsal has a home, a store, a gateway and ports of its own, so no user's request reaches it and the user's store
never hears of it. `script` and `findings` decide and are pure; `play` does.
"""

from tidegate.rehearsal.play import Progress, Settings, rehearse

__all__ = ["Progress", "Settings", "rehearse"]
