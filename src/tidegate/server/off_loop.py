"""A model that refuses to run on the event loop's thread.

While a model computes there, nothing else happens: no request is read, no health check answered, no deadline kept.
`scripts.check_loop` finds code that would do it; this finds what no reading of code can, and costs less than a tenth
of a microsecond for each run of the model.
"""

from __future__ import annotations

from threading import get_ident

from tidegate.runtime.base import Columns, Model


class OnTheLoop(RuntimeError):  # noqa: N818
    """A model was asked on the event loop's thread: a fault of the server's own code."""


class OffLoop:
    """The model behind it, for every thread but the one that this was constructed on."""

    __slots__ = ("_loop", "_model", "signature")

    def __init__(self, model: Model) -> None:
        """Guard the model; called on the event loop's thread."""
        self.signature = model.signature
        self._model = model
        self._loop = get_ident()

    def predict(self, inputs: Columns) -> Columns:
        """Run the model; see `Model.predict`. Raises OnTheLoop on the event loop's thread, before the model runs."""
        if get_ident() == self._loop:
            raise OnTheLoop("the model was asked on the event loop's thread")
        return self._model.predict(inputs)

    def close(self) -> None:
        self._model.close()

    def prove(self) -> None:
        """Have it refuse once. Raises RuntimeError when it does not: this is not the thread that it keeps free."""
        reached: Exception | None = None
        try:
            self.predict({})
        except OnTheLoop:
            return
        except Exception as error:  # noqa: BLE001 -- the model's own: it was reached
            reached = error
        raise RuntimeError("nothing keeps the model off the event loop's thread") from reached
