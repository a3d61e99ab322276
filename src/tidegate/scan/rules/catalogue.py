"""All rules of Tidegate's own, and the checks that say where they hit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from tidegate.dockerfile.model import Dockerfile
from tidegate.scan import ignores
from tidegate.scan.compose.services import ComposeFile
from tidegate.scan.records import Hit, Rule, Severity
from tidegate.scan.rules import building, credentials, downloads, images, isolation, limits, packages, ports, users

SYNTAX: Final = Rule(
    "syntax",
    Severity.ERROR,
    "A file cannot be read, or not all of it.",
    "What cannot be read cannot be scanned, and does not build. A folder's other files are scanned all the same.",
)

#: In the order of the reference page.
RULES: Final = (
    SYNTAX,
    users.ROOT_USER,
    users.SETUID,
    credentials.SECRET_VALUE,
    credentials.SECRET_ARGUMENT,
    credentials.SECRET_FILE,
    images.IMAGE_TAG,
    images.IMAGE_DIGEST,
    downloads.PIPE_TO_SHELL,
    downloads.TLS_OFF,
    building.ADD_UNVERIFIED,
    building.ADD_FOR_COPY,
    packages.UNSIGNED_PACKAGES,
    packages.APT_LISTS,
    packages.APT_UPDATE,
    packages.APT_RECOMMENDS,
    building.BUILD_TOOLS,
    building.SHELL_FORM,
    building.NO_HEALTHCHECK,
    ports.SENSITIVE_PORT,
    isolation.PRIVILEGED,
    isolation.CAPABILITY,
    isolation.HOST_NETWORK,
    isolation.DOCKER_SOCKET,
    isolation.WRITABLE_ROOT,
    limits.NO_LIMIT,
    limits.JAVA_HEAP,
    *ignores.RULES,
)
IDS: Final = frozenset(rule.id for rule in RULES)
#: Codes of hadolint that a rule of ours says.
COVERED: Final = frozenset(chain.from_iterable(rule.covers for rule in RULES))

_OF_DOCKERFILES: Final = (
    users.in_dockerfile,
    credentials.in_dockerfile,
    images.in_dockerfile,
    downloads.in_dockerfile,
    building.in_dockerfile,
    packages.in_dockerfile,
    ports.in_dockerfile,
    isolation.in_dockerfile,
)
_OF_COMPOSE: Final = (
    users.in_compose,
    credentials.in_compose,
    images.in_compose,
    downloads.in_compose,
    building.in_compose,
    ports.in_compose,
    isolation.in_compose,
    limits.in_compose,
)


def hits_in_dockerfile(file: Dockerfile) -> Iterator[Hit]:
    """Yield every hit of every rule; each hit once, however often an anchor or a loop leads to it."""
    problems = (Hit(SYNTAX, problem.line, problem.message) for problem in file.problems)
    yield from _once(chain(problems, *(check(file) for check in _OF_DOCKERFILES)))


def hits_in_compose(file: ComposeFile) -> Iterator[Hit]:
    """Yield every hit of every rule, each once."""
    yield from _once(chain.from_iterable(check(file) for check in _OF_COMPOSE))


def _once(hits: Iterable[Hit]) -> Iterator[Hit]:
    seen: set[tuple[str, int, str]] = set()
    for hit in hits:
        key = (hit.rule.id, hit.line, hit.message)
        if key not in seen:
            seen.add(key)
            yield hit
