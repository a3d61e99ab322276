"""The services of a Compose file, and what each asks for, in one form whichever way it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from tidegate.dockerfile.model import Dockerfile, Stage
from tidegate.dockerfile.substitution import substituted
from tidegate.scan.compose.values import Merger, Unreadable, Value, read_documents


@dataclass(frozen=True)
class Built:
    """The Dockerfile of a service, and the stage that it ends with (None where its `target` names none)."""

    file: Dockerfile
    stage: Stage | None


@dataclass(frozen=True)
class BuildPlace:
    """Where a service is built: `context` and `dockerfile` as written, relative to the Compose file."""

    context: str
    dockerfile: str
    target: str | None


@dataclass(frozen=True)
class Mount:
    """What a service mounts of the machine; a named volume has its name as its source."""

    source: str
    line: int


@dataclass(frozen=True)
class PublishedPort:
    """A port that a service publishes: the container's, and the address of the machine (empty for all)."""

    target: str
    address: str
    line: int


@dataclass(frozen=True)
class Service:
    """One service. `line` is that of its name."""

    name: str
    line: int
    body: Value

    def value(self, *path: str) -> Value | None:
        """Return what is at a path of keys; None where there is nothing, or null."""
        return self.body.get(*path)

    @property
    def is_whole(self) -> bool:
        """True where all of it is here: a part that lies over another file says nothing of what is missing."""
        extends_a_file = self.value("extends", "file") is not None
        return not extends_a_file and (self.value("image") is not None or self.value("build") is not None)

    @cached_property
    def environment(self) -> dict[str, Value | None]:
        return _pairs(self.value("environment"))

    @cached_property
    def build_arguments(self) -> dict[str, Value | None]:
        return _pairs(self.value("build", "args"))

    @property
    def memory(self) -> Value | None:
        return self.value("deploy", "resources", "limits", "memory") or self.value("mem_limit")

    @property
    def cpus(self) -> Value | None:
        found = self.value("deploy", "resources", "limits", "cpus") or self.value("cpus")
        return found or self.value("cpu_quota") or self.value("cpu_count")

    @property
    def restart(self) -> str | None:
        value = self.value("restart")
        return None if value is None else value.text.lower()

    @property
    def awaited_ends(self) -> tuple[str, ...]:
        """The services whose end this one waits for: they do one thing and are gone."""
        waits = self.value("depends_on")
        if waits is None:
            return ()
        conditions = {name: entry.get("condition") for name, entry in waits.fields.items()}
        return tuple(
            name
            for name, condition in conditions.items()
            if condition is not None and condition.text == "service_completed_successfully"
        )

    def mounts(self, file: ComposeFile) -> Iterator[Mount]:
        volumes = self.value("volumes")
        for item in volumes.items if volumes is not None else ():
            if item.is_map:
                source = item.get("source") or item.get("src")
                text = file.resolved(source) if source is not None else None
            else:
                resolved = file.resolved(item)
                text = resolved.partition(":")[0] if resolved else None
            if text:
                yield Mount(text, item.line)

    def published(self, file: ComposeFile) -> Iterator[PublishedPort]:
        ports = self.value("ports")
        for item in ports.items if ports is not None else ():
            if item.is_map:
                target, address = item.get("target"), item.get("host_ip")
                where = file.resolved(address) if address is not None else ""
                protocol = item.get("protocol")
                written = file.resolved(target) if target is not None else None
                if written and where is not None:
                    yield PublishedPort(f"{written}/{protocol.text if protocol else 'tcp'}", where, item.line)
                continue
            resolved = file.resolved(item)
            if resolved:
                before, _, target_text = resolved.rpartition(":")
                # What is left of the machine's port is its address: `127.0.0.1:5432:5432`.
                yield PublishedPort(target_text, before.rpartition(":")[0], item.line)

    def build_place(self, file: ComposeFile) -> BuildPlace | None:
        """Return where it is built, or None where it is not or a variable hides that."""
        build = self.value("build")
        if build is None or build.get("dockerfile_inline") is not None:
            return None
        if not build.is_map:
            context = file.resolved(build)
            return BuildPlace(context, "Dockerfile", None) if context else None
        parts = [(build.get("context"), "."), (build.get("dockerfile"), "Dockerfile")]
        places = [file.resolved(value) if value is not None else default for value, default in parts]
        target = build.get("target")
        if not places[0] or not places[1] or "://" in places[0]:
            return None
        return BuildPlace(places[0], places[1], file.resolved(target) if target is not None else None)


@dataclass(frozen=True)
class ComposeFile:
    """A whole file. `builds` are the Dockerfiles of its services that could be read, by the services' names."""

    services: tuple[Service, ...]
    builds: Mapping[str, Built] = field(default_factory=dict)

    def resolved(self, value: Value) -> str | None:
        """Return a scalar with its variables at their defaults; None where one has none.

        What stands in `.env` or the environment is not read: a report is about the file, on every machine.
        """
        return None if value.is_map or value.is_list else substituted(value.text, {}, dollars=True)


def read_compose(text: str) -> ComposeFile:
    """Return the services of a Compose file; documents of one file lie over each other.

    Raises:
        Unreadable: it is no YAML, or no Compose file.
    """
    documents = [document for document in read_documents(text) if not document.is_null]
    if not documents:
        raise Unreadable(1, "the file is empty")
    whole, merger = documents[0], Merger()
    for document in documents:
        if not document.is_map:
            raise Unreadable(document.line, "a Compose file is a map, with `services`")
    for over in documents[1:]:
        whole = merger.merged(whole, over)
    services = whole.get("services")
    if services is None:
        if whole.get("include") is not None:
            return ComposeFile(())
        raise Unreadable(whole.line, "there are no `services`")
    if not services.is_map:
        raise Unreadable(services.line, "`services` is a map of names")
    return ComposeFile(tuple(_service(name, services, merger) for name in services.fields))


def _service(name: str, services: Value, merger: Merger) -> Service:
    own = services.fields[name]
    body, seen = own, {name}
    while True:
        extends = body.get("extends")
        if extends is None or extends.get("file") is not None:
            return Service(name, own.line, body)
        named = extends.get("service") if extends.is_map else extends
        base = services.fields.get(named.text) if named is not None else None
        if named is None or base is None or named.text in seen:
            return Service(name, own.line, body)
        seen.add(named.text)
        rest = replace(body, fields={key: value for key, value in body.fields.items() if key != "extends"})
        body = merger.merged(base, rest)


def _pairs(value: Value | None) -> dict[str, Value | None]:
    """Return `environment` or `args`, written as a map or as a list; None for what the caller's environment gives."""
    if value is None:
        return {}
    if value.is_map:
        return {name: None if entry.is_null else entry for name, entry in value.fields.items()}
    found: dict[str, Value | None] = {}
    for item in value.items:
        name, equals, text = item.text.partition("=")
        found[name] = replace(item, text=text) if equals else None
    return found
