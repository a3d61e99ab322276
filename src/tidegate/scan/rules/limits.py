"""Rules on how much of the machine a service may take, and how much of that Java."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping

from tidegate.dockerfile.words import expanded
from tidegate.scan.compose.services import ComposeFile, Service
from tidegate.scan.compose.values import Value
from tidegate.scan.heap import MIB, SHARE, Heap, heap_in, memory, shown
from tidegate.scan.records import Hit, Rule, Severity

NO_LIMIT = Rule(
    "no-limit",
    Severity.WARNING,
    "A service has no limit of memory or processors.",
    "One that leaks takes the machine with it, and the kernel picks who dies. Set `mem_limit` and `cpus`, or "
    "`deploy.resources.limits`.",
)
JAVA_HEAP = Rule(
    "java-heap",
    Severity.ERROR,
    "A Java heap takes more than 70 % of its container's memory.",
    "Threads, classes, buffers and native libraries (XGBoost in H2O) need the rest; without it the kernel kills the "
    "container, exit code 137, and no Java error says why.",
)


def in_compose(file: ComposeFile) -> Iterator[Hit]:
    for service in file.services:
        if service.is_whole:
            yield from _missing(service)
        yield from _heap(file, service)


def _missing(service: Service) -> Iterator[Hit]:
    missing = [what for what, found in (("memory", service.memory), ("processors", service.cpus)) if found is None]
    if missing:
        yield Hit(NO_LIMIT, service.line, f"service {service.name} has no limit of {' and '.join(missing)}")


def _heap(file: ComposeFile, service: Service) -> Iterator[Hit]:
    limit = service.memory
    size = memory(file.resolved(limit) or "") if limit is not None else None
    if not size:
        return
    found = _asked_by_service(file, service) or _asked_by_image(file, service)
    if found is None:
        return
    heap, line = found
    asked = heap.within(size)
    # Who computes 70 % rounds to a whole MiB.
    if asked > size * SHARE + MIB:
        share = f"{shown(asked)}, {asked / size:.0%} of its limit of {shown(size)}"
        message = f"service {service.name}: {heap.option} is {share}; at most 70 % ({shown(int(size * SHARE))})"
        yield Hit(JAVA_HEAP, line, message)


def _asked_by_service(file: ComposeFile, service: Service) -> tuple[Heap, int] | None:
    """Return the heap that command or environment ask for. The command line comes after the environment for Java."""
    for key in ("command", "entrypoint"):
        value = service.value(key)
        for part in () if value is None else (value.items if value.is_list else (value,)):
            heap = heap_in(file.resolved(part) or "")
            if heap is not None:
                return heap, part.line
    for value in service.environment.values():
        heap = heap_in(file.resolved(value) or "") if value is not None else None
        if heap is not None and value is not None:
            return heap, value.line
    return None


def _asked_by_image(file: ComposeFile, service: Service) -> tuple[Heap, int] | None:
    """Return the heap that the service's Dockerfile asks for, at the service's own line."""
    built = file.builds.get(service.name)
    if built is None or built.stage is None:
        return None
    given = _resolved(file, service.build_arguments)
    overridden = _resolved(file, service.environment)
    started: Heap | None = None
    environment: Heap | None = None
    for instruction, known in built.file.walk(built.stage, given):
        if instruction.keyword in ("CMD", "ENTRYPOINT"):
            # The shell of the container replaces variables there, by what the service and ENV say.
            there = ChainMap(dict(overridden), dict(known))
            texts = instruction.json if instruction.json is not None else (instruction.text,)
            text = " ".join(expanded(part, there, instruction.escape) or "" for part in texts)
            started = heap_in(text) or started
        elif instruction.keyword == "ENV":
            for name, value, _ in instruction.pairs:
                heap = heap_in(expanded(value or "", known, instruction.escape) or "")
                if heap is not None and name not in overridden:
                    environment = heap
    heap = started or environment
    return None if heap is None else (heap, service.line)


def _resolved(file: ComposeFile, pairs: Mapping[str, Value | None]) -> dict[str, str | None]:
    return {name: file.resolved(value) for name, value in pairs.items() if value is not None}
