"""How a candidate gets its traffic: the steps of a rollout, named lists of them, and what the other strategies take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    Strict,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tidegate.contract.documents import Document
from tidegate.contract.problems import problem
from tidegate.contract.quantities import Duration, between

MOST_STEPS = 100

_PERSON = "person"
#: What a step is: one of these.
KINDS = ("weight", "shadow", "pause", "bake")
# No `multipleOf`: 0.29 is no multiple of 0.01 in floating point.
_PERCENTAGE_SCHEMA: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0, "maximum": 100}


def _percent(value: Any) -> float:
    """Read a percentage above 0 with at most two decimals; a whole one is an integer."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= 100 or abs(value * 100 - round(value * 100)) > 1e-6:
        raise problem("a percentage from 0.01 to 100 with at most two decimals", value)
    return int(value) if value == int(value) else round(float(value), 2)


def _pause(value: Any) -> Duration | Literal["person"]:
    if value == _PERSON:
        return "person"
    quantity = value if isinstance(value, Duration) else Duration._read(value)
    if quantity is None or not Duration.parse("100ms") <= quantity <= Duration.parse("24h"):
        raise problem('"person", or a duration from 100ms to 24h', value)
    return quantity


Percentage = Annotated[
    int | float,
    PlainValidator(_percent),
    WithJsonSchema(_PERCENTAGE_SCHEMA),
]
Pause = Annotated[
    Duration | Literal["person"],
    PlainValidator(_pause),
    WithJsonSchema({"anyOf": [{"const": _PERSON}, {"type": "string", "pattern": Duration.pattern()}]}),
]
StepTime = Annotated[Duration, between("100ms", "24h", Duration)]


class Step(Document):
    """One stage of a rollout: one of `weight`, `pause`, `shadow` and `bake`. In a document, a bare number is a step
    with that weight."""

    weight: Percentage | None = None
    """Percent of the requests that go to the candidate, to the hundredth."""

    shadow: Percentage | None = None
    """Percent of the requests that are copied to the candidate. Users get stable's answers alone, and none of them
    waits for the copy. Inference is copied, which changes nothing, and what only reads; no other request is."""

    pause: Pause | None = None
    """How long to hold what the step before asked for, or `person`: until somebody resumes. Harm takes the candidate
    back all the same."""

    bake: StepTime | None = None
    """How long stable is kept ready while the candidate has all requests; comes after a weight of 100."""

    duration: StepTime | None = None
    """How long a `weight` or `shadow` may take at most; `analysis.stepDuration` when absent."""

    replicas: Annotated[int, Strict(), Field(ge=1, le=64)] | None = None
    """Replicas that the candidate has in a `weight` or `shadow`; all of them when absent."""

    @model_validator(mode="before")
    @classmethod
    def _bare_weight(cls, value: Any) -> Any:
        return {"weight": value} if isinstance(value, int | float) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        kinds = [name for name in KINDS if getattr(self, name) is not None]
        if len(kinds) != 1:
            raise problem("one of weight, shadow, pause and bake", kinds)
        given = [name for name in ("duration", "replicas") if getattr(self, name) is not None]
        if given and kinds[0] in ("pause", "bake"):
            raise problem(f"no {given[0]} beside {kinds[0]}", given[0])
        return self

    @model_serializer(mode="wrap")
    def _shortest(self, serialise: Any) -> Any:
        is_bare = self.weight is not None and self.duration is None and self.replicas is None
        return self.weight if is_bare else serialise(self)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        schema["oneOf"] = [{"required": [kind]} for kind in KINDS]
        return {"anyOf": [_PERCENTAGE_SCHEMA, schema]}


class BlueGreen(Document):
    """The switch of `blue-green`. Before it, the candidate is reached at its preview address."""

    preview: Annotated[Duration, between("0s", "24h", Duration)] = Duration.parse("10s")
    """How long the candidate stands ready, with its preview address and without users, before the switch."""

    switch: Literal["auto", "person"] = "auto"
    """Whether the switch comes by itself, or waits until somebody resumes."""

    bake: StepTime = Duration.parse("10m")
    """How long stable stays ready after the switch; until then the way back takes milliseconds."""


class Rolling(Document):
    """How `rolling` exchanges replicas."""

    max_surge: Annotated[int, Strict(), Field(ge=1, le=64)] = 1
    """Replicas that may be there at a time beyond those that are wanted."""

    max_unavailable: Annotated[int, Strict(), Field(ge=0, le=64)] = 0
    """Replicas of those that are wanted that may be missing meanwhile; fewer where the throughput needs more."""

    hold: StepTime = Duration.parse("10s")
    """How long each exchange is watched for harm before the next."""


def _weights(*weights: float) -> tuple[Step, ...]:
    return tuple(Step(weight=weight) for weight in weights)


_HALF_AN_HOUR = Duration.parse("30m")

#: Lists of steps by name.
PRESETS: Mapping[str, tuple[Step, ...]] = MappingProxyType(
    {
        "cautious": (
            *(Step(weight=weight, duration=Duration.parse("15m")) for weight in (1, 5, 10, 25, 50, 100)),
            Step(bake=_HALF_AN_HOUR),
        ),
        "standard": _weights(5, 25, 50, 100),
        "fast": _weights(25, 100),
    }
)

#: What `shadow` does when it is not told: copy a share that costs users little where both models have the same
#: processors (`benchmarks.delivery --only shadow`), compare, and leave the rest to a person.
SHADOW_STEPS = (Step(shadow=10), Step(pause="person"))


def _named(value: Any) -> Any:
    """Return the steps of a preset for its name; everything else as it is."""
    if not isinstance(value, str):
        return value
    if value not in PRESETS:
        raise problem(f"a list of steps, or one of {', '.join(PRESETS)}", value)
    return PRESETS[value]


class _StepsSchema:
    """Adds the names of the lists to the JSON Schema of a list."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"enum": list(PRESETS)}, handler(core)]}


#: Steps as a document has them: a list, or the name of one.
Steps = Annotated[tuple[Step, ...], Field(min_length=1, max_length=MOST_STEPS), BeforeValidator(_named), _StepsSchema()]


def default_steps(strategy: str) -> tuple[Step, ...] | None:
    """Return the steps of a strategy that is not told any; None where it has none of its own."""
    return {"canary": PRESETS["standard"], "shadow": SHADOW_STEPS}.get(strategy)


def check_order(steps: Sequence[Step]) -> None:
    """Refuse steps that cannot follow each other. Raises pydantic's error for the field under validation."""
    weights = [step.weight for step in steps if step.weight is not None]
    if weights != sorted(set(weights)) or (weights and weights[-1] != 100):
        raise problem("weights that rise and end with 100, such as [5, 25, 50, 100]", weights)
    first = next((at for at, step in enumerate(steps) if step.weight is not None), len(steps))
    last = max((at for at, step in enumerate(steps) if step.weight is not None), default=len(steps))
    for at, step in enumerate(steps):
        if step.shadow is not None and at > first:
            raise problem("shadow before the first weight: users' answers are compared from then on", at)
        if step.bake is not None and at < last:
            raise problem("bake after the weight of 100", at)
        if step.bake is not None and not weights:
            raise problem("a weight of 100 before bake", at)


def parse_list(text: str) -> str | list[dict[str, Any]]:
    """Read steps as they are typed: "5,25,100", "cautious", "shadow:20,1,pause,10:15m,100,bake:1h".

    Returns:
        What a request document has as `steps`; whether that makes sense is for the document to say.

    Raises:
        ValueError: a part is neither a percentage nor one of the words.
    """
    if text in PRESETS:
        return text
    return [_parse_part(part.strip()) for part in text.split(",")]


def _parse_part(part: str) -> dict[str, Any]:
    word, colon, rest = part.partition(":")
    if word == "pause":
        return {"pause": rest if colon else _PERSON}
    if word == "bake" and colon:
        return {"bake": rest}
    if word == "shadow" and colon:
        share, _, duration = rest.partition(":")
        return {"shadow": _number(share), **({"duration": duration} if duration else {})}
    return {"weight": _number(word), **({"duration": rest} if colon else {})}


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value == int(value) else value
