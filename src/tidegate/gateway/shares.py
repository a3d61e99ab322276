"""Which part of the users each revision has, and who moves when the weights change. Pure.

A user's key has a place on a line of 10,000 hundredths of a percent (`sticky`), and a revision has pieces of that line.
When weights change, a revision that loses gives the ends of its pieces, a revision that gains takes what was given, and
every other user keeps their place: as many move as the weights say, and nobody else. What the pieces are depends on how
the weights came to be, so they are kept with everything else that the gateway is to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: Pieces in the order of the line: a revision, and how many hundredths of a percent are its.
Shares = tuple[tuple[int, int], ...]

WHOLE = 10_000


def shares_of(split: Mapping[int, float]) -> Shares:
    """Return the pieces of a split that nobody was assigned by before, in the order of the revisions."""
    return tuple((revision, size) for revision, size in sorted(_sizes(split).items()) if size)


def reassigned(before: Shares, split: Mapping[int, float]) -> Shares:
    """Return the pieces for another split; only those change hands that have to.

    Args:
        before: the pieces so far; empty when there were none.
        split: percent by revision, to the hundredth, 100 together.
    """
    if not before:
        return shares_of(split)
    wanted = _sizes(split)
    surplus = {owner: _total(before, owner) - wanted.get(owner, 0) for owner, _ in before}
    missing = {revision: size - _total(before, revision) for revision, size in sorted(wanted.items())}
    takers = [(revision, size) for revision, size in missing.items() if size > 0]
    pieces: list[tuple[int, int]] = []
    # From the end of the line, since a revision gives the last that it has.
    for owner, size in reversed(before):
        given = min(size, max(0, surplus[owner]))
        surplus[owner] -= given
        kept = size - given
        while given:
            taker, wants = takers[-1]
            took = min(given, wants)
            pieces.append((taker, took))
            given -= took
            takers[-1:] = [(taker, wants - took)] if wants > took else []
        pieces.append((owner, kept))
    return _joined(reversed(pieces))


def _total(shares: Shares, revision: int) -> int:
    return sum(size for owner, size in shares if owner == revision)


def _sizes(split: Mapping[int, float]) -> dict[int, int]:
    return {revision: round(weight * WHOLE / 100) for revision, weight in split.items()}


def _joined(pieces: Iterable[tuple[int, int]]) -> Shares:
    """Return the pieces without empty ones, neighbours of one revision as one piece."""
    joined: list[tuple[int, int]] = []
    for owner, size in pieces:
        if joined and joined[-1][0] == owner:
            joined[-1] = (owner, joined[-1][1] + size)
        elif size:
            joined.append((owner, size))
    return tuple(joined)
