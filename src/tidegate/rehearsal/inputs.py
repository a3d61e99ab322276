"""What a rehearsal sends: rows that users sent, where they were logged, else golden requests and the sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from tidegate.artifact.bundle import Bundle
from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import DeploymentRequest
from tidegate.gate.kept import read_golden

#: Enough to be varied; each is asked of stable once before the first fault.
MOST_BODIES = 500
#: A line of the prediction log may have a thousand rows; a request of a rehearsal has these at most.
_MOST_ROWS = 20
_MOST_LINE_BYTES = 4 * 1024**2


@dataclass(frozen=True)
class Inputs:
    """Bodies for `/predict`, and where they are from, in words."""

    bodies: tuple[bytes, ...]
    source: str


def inputs_of(
    request: DeploymentRequest, serving: DeploymentRequest, revision: int, bundle: Bundle, given: Path | None
) -> Inputs:
    """Return what to send.

    Args:
        request: of the candidate; it may name golden requests.
        serving, revision: that serves, and the request that made it; its replicas' prediction logs are looked for.
        given: a file of JSON lines, each a record of a prediction log or a body for `/predict`; None to look for some.

    Raises:
        InvalidInput: the file cannot be read, or has nothing in it that can be sent.
    """
    if given is not None:
        return Inputs(_from_file(given), f"{given.name}")
    logged = [body for path in _logs(serving, revision) if path.is_file() for body in _logged(path)]
    if logged:
        return Inputs(tuple(logged[:MOST_BODIES]), "what users sent, from the prediction log")
    golden = _golden(request)
    sample = [orjson.dumps({"records": [row]}) for row in bundle.sample]
    source = "the sample of the bundle" + (" and the golden requests" if golden else "")
    return Inputs((*golden, *sample)[:MOST_BODIES], source)


def body_of(line: Any) -> bytes | None:
    """Return the body for `/predict` that one line stands for; None where it stands for none."""
    if isinstance(line, dict) and isinstance(line.get("inputs"), dict) and isinstance(line.get("rows"), int):
        columns = line["inputs"]
        if not columns or not all(isinstance(values, list) for values in columns.values()):
            return None
        rows = min(len(values) for values in columns.values())
        records = [{name: values[row] for name, values in columns.items()} for row in range(min(rows, _MOST_ROWS))]
        return orjson.dumps({"records": records}) if records else None
    return orjson.dumps(line) if isinstance(line, dict | list) and line else None


def _from_file(path: Path) -> tuple[bytes, ...]:
    try:
        bodies = tuple(_logged(path))
    except OSError as error:
        raise InvalidInput(
            f"--inputs: {path} cannot be read: {(error.strerror or 'unknown reason').lower()}", subject=str(path)
        ) from error
    if not bodies:
        expected = "JSON lines, each a record of a prediction log or a body for /predict"
        raise InvalidInput(f"--inputs: {path} has nothing to send", subject=str(path), expected=expected)
    return bodies


def _logged(path: Path) -> Iterator[bytes]:
    """Yield the first bodies in a file of JSON lines; a line that is none is left out."""
    return islice(_bodies(path), MOST_BODIES)


def _bodies(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while line := stream.readline(_MOST_LINE_BYTES):
            try:
                body = body_of(orjson.loads(line))
            except orjson.JSONDecodeError:  # cut short, or still being written
                continue
            if body is not None:
                yield body


def _logs(request: DeploymentRequest, revision: int) -> Sequence[Path]:
    """Return the files in which the replicas of the revision log their predictions."""
    template = request.prediction_log.path
    personal = request.prediction_log.personal
    if template is None or personal.drop or personal.hash:  # what is in them is not what users sent
        return ()
    named = template.replace("{deployment}", request.name).replace("{revision}", str(revision))
    replicas = request.infrastructure.resources.replicas
    return [Path(named.replace("{replica}", str(replica))) for replica in range(replicas)]


def _golden(request: DeploymentRequest) -> tuple[bytes, ...]:
    if request.gates.golden is None:
        return ()
    golden, _ = read_golden(Path(request.gates.golden))
    return tuple(orjson.dumps(asked.predict) for asked in golden.requests if asked.predict is not None)
