"""Where logged predictions go: looked up by entry point, the built-in file like everybody else's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.server.recording.shared_file import SharedFile

GROUP = "tidegate.prediction_sinks"
_FILE_BYTES, _FILES = 64 << 20, 4
#: Each call wakes a thread beside those that answer, locks the file and writes to it.
_GATHER_SECONDS = 0.05


class Sink(Protocol):
    """Takes records, each one JSON object in UTF-8 without a line end. Called from one thread.

    A sink for which few large calls are cheaper than many small ones has an attribute `gather_seconds`: for so long
    records are gathered before a call. One that would take records apart again has a method `write_predictions`, which
    is called instead of `write`, with a sequence of `contract.predictions.Prediction`, and fails as that does.
    """

    def write(self, records: Sequence[bytes]) -> None:
        """Keep these. An exception counts them as failed and is logged; the next call is made all the same.

        Where some of them were kept, the exception has an attribute `failed`, the number of those that were not.
        """
        ...

    def close(self) -> None: ...


#: Makes a sink from the part of the option after the colon.
SinkFactory = Callable[[str], Sink]


class JsonlSink:
    """A file with one record per line; at 64 MiB a new one is begun, and four are kept. Processes may share it.

    Raises:
        InvalidInput: there is no path.
        Unavailable: the file cannot be written.
    """

    def __init__(
        self,
        path: str,
        file_bytes: int = _FILE_BYTES,
        files: int = _FILES,
        gather_seconds: float = _GATHER_SECONDS,
    ) -> None:
        self.gather_seconds = gather_seconds
        if not path:
            raise InvalidInput(
                "The sink jsonl needs a path.", subject="--prediction-log", expected="jsonl:PATH", got="jsonl"
            )
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._file = SharedFile(Path(path), file_bytes, files)
        except OSError as error:
            raise Unavailable(
                f"The prediction log {path} cannot be written: {error.strerror or error}.", subject=path
            ) from error

    def write(self, records: Sequence[bytes]) -> None:
        self._file.append(records)

    def close(self) -> None:
        self._file.close()


def open_sink(wanted: str) -> Sink:
    """Return the sink that an option such as `jsonl:/var/log/predictions.jsonl` names.

    Raises:
        InvalidInput: there is no such sink, or it does not take what stands after the colon.
        Unavailable: it cannot be opened.
    """
    name, _, argument = wanted.partition(":")
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        raise InvalidInput(
            f"There is no sink for predictions named {name!r}.",
            subject="--prediction-log",
            expected=f"one of {', '.join(sorted(points))}, as NAME:ARGUMENT",
            got=wanted,
        )
    factory: SinkFactory = points[name].load()
    return factory(argument)
