"""What a Dockerfile brings together, stage by stage. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tidegate.components.allowed import exactly
from tidegate.components.image_contents import contents_of, java_versions
from tidegate.components.installs import pip_installs, system_packages
from tidegate.components.projects import project_of
from tidegate.components.records import H2O, Component, Found
from tidegate.components.requirements import (
    Asked,
    Lookup,
    asked_of,
    constraints_of,
    found_of,
    included,
    names_of,
    narrowed,
)
from tidegate.dockerfile.model import Dockerfile, Stage, read_dockerfile, scripts_of
from tidegate.dockerfile.source import Instruction
from tidegate.dockerfile.substitution import Variables, filled
from tidegate.dockerfile.words import unquoted

_SYSTEM_JAVA = re.compile(r"(?:openjdk-?|temurin-?|java-|zulu-?|amazon-corretto-?)(\d[\d.]*).*")
_SYSTEM_JAVA_ANY = re.compile(r"default-(?:jre|jdk)(?:-headless)?|openjdk")
#: Archives of H2O's releases: the whole of it, and its jar. The Python wheel is a requirement.
_ARCHIVE = re.compile(r"\bh2o-(\d+(?:\.\d+){3})(?:\.zip|\.jar|/h2o\.jar|\b(?!-py))")
_JAR = re.compile(r"\bh2o\.jar\b")
#: Where installed packages lie, so that they come along with what is copied.
_PACKAGES_FOLDER = re.compile(r"site-packages|dist-packages|venv|virtualenv|/install\b|/usr/local\b")
_JAVA_FOLDER = re.compile(r"java|jdk|jre|jvm", re.IGNORECASE)


@dataclass
class _Layer:
    """What one stage adds by itself."""

    found: list[tuple[int, Found]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    client: Asked | None = None
    jar_line: int | None = None

    def has_server(self) -> bool:
        return any(one.component is Component.SERVER for _, one in self.found)


@dataclass(frozen=True)
class _Reading:
    """A file, what it is called, the texts of files beside it, and what its stages add, as far as they were read."""

    file: Dockerfile
    place: str
    lookup: Lookup
    layers: list[_Layer] = field(default_factory=list)


def found_in_dockerfile(
    text: str, place: str, lookup: Lookup, build_args: Mapping[str, str] | None = None
) -> list[Found]:
    """Return what each instruction states of H2O, Java and Python, by lines.

    Args:
        place: what the file is called.
        lookup: texts of the files of requirements that it names.
        build_args: what a build gives instead of the defaults of ARG.
    """
    reading = _Reading(read_dockerfile(text, build_args), place, lookup)
    file, layers = reading.file, reading.layers
    for stage in file.stages:
        layers.append(_layer(reading, stage, _steps(file, stage, build_args)))
        _add_server_of_the_wheel(reading, stage.index)
        if layers[-1].has_server():
            layers[-1].names.add(H2O)
    found: list[tuple[int, Found]] = []
    for number, layer in enumerate(layers):
        beside = frozenset().union(*(layers[other].names for other in file.family(number)))
        found += [(line, replace(one, beside=beside)) for line, one in layer.found]
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _steps(file: Dockerfile, stage: Stage, build_args: Variables | None) -> Iterator[Instruction]:
    """Yield a stage's own instructions with the variables filled in that are known, as Docker and shells do.

    What ONBUILD holds is among them: the file states it, whoever builds on the image.
    """
    for step, known in file.walk(stage, build_args, keeps=True):
        if step.line > stage.start.line:
            heredocs = tuple(replace(one, content=filled(one.content, known)) for one in step.heredocs)
            flags = tuple(filled(flag, known) for flag in step.flags)
            yield replace(step, text=filled(step.text, known), flags=flags, heredocs=heredocs)


def _whole(step: Instruction) -> str:
    """Return all that an instruction says."""
    return "\n".join((*step.flags, step.text, *(one.content for one in step.heredocs)))


def _layer(reading: _Reading, stage: Stage, steps: Iterable[Instruction]) -> _Layer:
    layer, place = _Layer(), reading.place
    if stage.parent is None:
        layer.found += _of_image(stage.written, stage.start.line, place)
    for step in steps:
        whole = _whole(step)
        if _JAR.search(whole):
            layer.jar_line = layer.jar_line or step.line
        if step.keyword == "RUN":
            _add_run(layer, step, place, reading.lookup)
        elif step.keyword in ("COPY", "ADD"):
            _add_copy(layer, step, reading, stage.index)
        if step.keyword in ("RUN", "ADD") and (archive := _ARCHIVE.search(whole)) is not None:
            text = f"{H2O}-{archive[1]}"
            server = Found(Component.SERVER, f"{place}:{step.line}", text, exactly(archive[1]))
            layer.found.append((step.line, server))
    return layer


def _add_run(layer: _Layer, step: Instruction, place: str, lookup: Lookup) -> None:
    where = f"{place}:{step.line}"
    # Whatever the shell is: pip and installers of the system are called alike in all of them.
    commands = [command for script in scripts_of(step, 0, is_posix=True) for command in script.commands]
    for install in pip_installs(commands):
        constraints = constraints_of(install.constraints, lookup)
        layer.folders |= {install.folder} if install.folder else set()
        for text in install.requirements:
            one = asked_of(text)
            if one is None:
                layer.names |= _names_of_project_at(text, lookup)
                continue
            one = narrowed(one, constraints)
            layer.names |= names_of([one])
            layer.client = one if one.name == H2O else layer.client
            found = found_of(one, where, frozenset())
            layer.found += [] if found is None else [(step.line, found)]
        for file in install.files:
            # The file is a place of its own; here it only says what comes into the image.
            listed = list(included(lookup(file) or "", lookup, frozenset({file})))
            layer.names |= names_of(listed)
            layer.client = next((one for one in listed if one.name == H2O), layer.client)
    for package in system_packages(commands):
        layer.found += _of_system_package(package, step.line, where)


def _names_of_project_at(path: str, lookup: Lookup) -> frozenset[str]:
    """Return what comes with a project that is installed from its folder."""
    if not path.startswith((".", "/")) or path.endswith((".whl", ".zip", ".gz")):
        return frozenset()
    file = posixpath.join(path.partition("[")[0], "pyproject.toml")
    text = lookup(file)
    return frozenset() if text is None else project_of(text, file).names


def _add_copy(layer: _Layer, step: Instruction, reading: _Reading, stage: int) -> None:
    """A Java, H2O's jar or installed packages that come from another stage or image are here what they were there."""
    source = step.flag("from")
    if not source:
        return
    paths = " ".join(unquoted(word.text, step.escape) for word in step.words)
    file, place = reading.file, reading.place
    other = file.stage_named(source, stage)
    own = list(_of_image(source, step.line, place))
    is_jar = _JAR.search(paths) is not None
    if other is not None:
        origin = [reading.layers[one] for one in sorted(file.family(other.index, other.index + 1))]
        own = [entry for one in origin for entry in one.found]
        if is_jar or _has_packages(paths, origin):
            layer.client = layer.client or next((one.client for one in origin if one.client is not None), None)
            layer.names.update(*(one.names for one in origin))
    wanted = Component.SERVER if is_jar else Component.JAVA
    if is_jar or _JAVA_FOLDER.search(paths):
        where = f"{place}:{step.line}"
        layer.found += [(step.line, replace(one, place=where)) for _, one in own if one.component is wanted]


def _has_packages(paths: str, origin: list[_Layer]) -> bool:
    """Say whether what is copied has the packages in it that were installed where it comes from."""
    copied = paths.split(maxsplit=1)[0].rstrip("/") + "/" if paths else ""
    folders = (f"{folder.rstrip('/')}/" for one in origin for folder in one.folders)
    return _PACKAGES_FOLDER.search(paths) is not None or any(
        copied.startswith(folder) or folder.startswith(copied) for folder in folders
    )


def _add_server_of_the_wheel(reading: _Reading, number: int) -> None:
    """Where `h2o.jar` is named, the cluster is started from it: that of the wheel, unless a release was fetched."""
    layers = reading.layers
    layer = layers[number]
    family = [layers[other] for other in sorted(reading.file.family(number, number + 1))]
    if layer.jar_line is None or any(one.has_server() for one in family):
        return
    client = next((one.client for one in family if one.client is not None), None)
    text = "h2o.jar" if client is None else f"h2o.jar of {client.text}"
    trouble = "nothing says which version h2o.jar is of" if client is None else client.trouble
    versions = None if client is None else client.versions
    where = f"{reading.place}:{layer.jar_line}"
    layer.found.append((layer.jar_line, Found(Component.SERVER, where, text, versions, trouble=trouble)))


def _of_image(image: str, line: int, place: str) -> Iterator[tuple[int, Found]]:
    for one in contents_of(image):
        where = f"{place}:{line}"
        yield line, Found(one.component, where, one.text, one.versions, one.remedy, one.trouble)


def _of_system_package(package: str, line: int, where: str) -> Iterator[tuple[int, Found]]:
    numbered_java = _SYSTEM_JAVA.fullmatch(package)
    if numbered_java is not None:
        versions = java_versions(numbered_java[1])
        yield line, Found(Component.JAVA, where, package, versions, "install openjdk-17-jre-headless")
    elif _SYSTEM_JAVA_ANY.fullmatch(package):
        trouble = f"which Java {package} is depends on the distribution"
        yield line, Found(Component.JAVA, where, package, None, "install openjdk-17-jre-headless", trouble)
