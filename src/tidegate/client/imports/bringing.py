"""What was found elsewhere is registered, one version after another; what is refused stops none of the others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.client.imports.found import FoundVersion
from tidegate.client.registry import ModelRegistry
from tidegate.contract.errors import Conflict, InvalidInput, NotFound, TidegateError, Unavailable
from tidegate.contract.models import check_alias, check_model_name, check_stage

#: As long as a description may be.
_LONGEST = 2000


@dataclass(frozen=True)
class Brought:
    """What became of one version.

    Attributes:
        version: its number in the registry; None where it was refused.
        created: False where it was there before.
        notes: what is not as it is there, in sentences.
        refusal: why it was refused.
    """

    model: str
    number: str
    version: int | None = None
    created: bool = False
    notes: tuple[str, ...] = field(default=())
    refusal: TidegateError | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "there": self.number,
            "version": self.version,
            "created": self.created,
            "notes": list(self.notes),
            "error": None if self.refusal is None else self.refusal.as_dict(),
        }


def bring_in(
    registry: ModelRegistry, found: Iterable[FoundVersion], *, trust: bool = False, by: str | None = None
) -> Iterator[Brought]:
    """Register versions in their order and yield what became of each.

    An alias is taken over where the model has none of that name here, and a stage for a version that is new here:
    what was moved here stays. Importing the same again changes nothing.

    Args:
        trust: code in the artifacts may run, as `--trust` says it for one.

    Raises:
        Unavailable: the controller does not answer.
    """
    for one in found:
        if one.refusal is not None:
            yield Brought(one.model, one.number, refusal=one.refusal)
            continue
        try:
            yield _brought(registry, one, trust=trust, by=by)
        except Unavailable:
            raise
        except TidegateError as refused:
            yield Brought(one.model, one.number, refusal=refused)


def _brought(registry: ModelRegistry, one: FoundVersion, *, trust: bool, by: str | None) -> Brought:
    check_model_name(one.model)
    metrics, left_out = finite(one.metrics)
    notes = [f"{name} is {value} there, and is left out" for name, value in left_out.items()]
    added = registry.add(
        one.model,
        {"path": str(one.artifact), **({"trust": True} if trust else {})},
        metrics=metrics,
        lineage=one.lineage,
        description=one.description[:_LONGEST],
        about=None if one.about is None else one.about[:_LONGEST],
        source=one.source,
        by=by,
    )
    number = added["version"]["version"]
    notes += [str(warning) for warning in added["warnings"]]
    if added["created"] and one.stage is not None:
        notes += _stage(registry, one, number, by)
    for alias in one.aliases:
        notes += _alias(registry, one, alias, number, by)
    return Brought(one.model, one.number, number, added["created"], tuple(notes))


def finite(metrics: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the metrics that are finite numbers, and those that are not."""

    def is_finite(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

    good = {name: float(value) for name, value in metrics.items() if is_finite(value)}
    return good, {name: value for name, value in metrics.items() if name not in good}


def _stage(registry: ModelRegistry, one: FoundVersion, number: int, by: str | None) -> list[str]:
    try:
        registry.set_stage(one.model, number, check_stage(str(one.stage)), reason=f"as in {one.source}", by=by)
    except (InvalidInput, Conflict) as refused:
        return [f"its stage was not taken over: {refused.message}"]
    return []


def _alias(registry: ModelRegistry, one: FoundVersion, alias: str, number: int, by: str | None) -> list[str]:
    try:
        named = _named(registry, one.model, check_alias(alias))
        if named is None:
            registry.move_alias(one.model, alias, number, expected=0, reason=f"as in {one.source}", by=by)
    except (InvalidInput, Conflict) as refused:
        return [f"the alias {alias!r} was not taken over: {refused.message}"]
    if named in (None, number):
        return []
    return [f"the alias {alias} names version {named} here, and stays there"]


def _named(registry: ModelRegistry, model: str, alias: str) -> int | None:
    try:
        return registry.version(f"{model}@{alias}")["version"]
    except NotFound:
        return None
