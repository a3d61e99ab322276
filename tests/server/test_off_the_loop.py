"""No model runs on the event loop: the rule over the code finds planted faults, the guard finds the rest."""

from __future__ import annotations

import asyncio
from timeit import repeat

import numpy as np
import pytest

from scripts.check_loop import server_sources, violations
from tests.server.conftest import Serve
from tidegate.artifact.bundle import Bundle, load_model
from tidegate.runtime.base import Columns, Signature, TensorSpec
from tidegate.runtime.rows import inputs_from_rows
from tidegate.server.off_loop import OffLoop, OnTheLoop

ROUTE = """
def add(app, replica):
    @app.get("/x")
    {kind}def x(request):
        return {answer}
"""


class Doubling:
    """A model that notes on which threads it ran."""

    def __init__(self) -> None:
        self.signature = Signature("tensors", (TensorSpec("x", "FP64"),), (TensorSpec("y", "FP64"),))
        self.runs = 0

    def predict(self, inputs: Columns) -> Columns:
        self.runs += 1
        return {"y": inputs["x"] * 2}

    def close(self) -> None:
        """Hold nothing."""


def planted(**modules: str) -> list[str]:
    return violations({**server_sources(), **modules})


def test_the_server_as_it_is_keeps_the_rule() -> None:
    assert planted() == []


@pytest.mark.parametrize("name", ["_predict", "_compute_group", "_compute", "_serve", "_serve_cached"])
def test_the_rule_sees_what_runs_models_all_of_the_way_down(name: str) -> None:
    changed = server_sources()["dataplane"].replace(f"    def {name}(", f"    async def {name}(")
    assert any(f"the coroutine DataPlane.{name} runs a model" in line for line in planted(dataplane=changed))


@pytest.mark.parametrize(
    ("module", "text", "told"),
    [
        ("planted", ROUTE.format(kind="async ", answer="replica.model.predict({})"), "the coroutine x runs a model"),
        ("planted", ROUTE.format(kind="", answer="{}"), "the route x must be a coroutine"),
        ("planted", "def done(self):\n    return self._model.predict({})", "done runs a model"),
        (
            "planted",
            "async def go(model, xs):\n    return list(map(model.predict, xs))",
            "the coroutine go runs a model",
        ),
        (
            "planted",
            "from tidegate.server.batching import rows_are_independent as same\nasync def go(m):\n    same(m, {})",
            "it calls rows_are_independent",
        ),
        (
            "batching",
            (
                "def rows_are_independent(model, x):\n    return model.predict(x)\n"
                "def helper(model):\n    return rows_are_independent(model, {})\n"
                "async def go(model):\n    return helper(model)"
            ),
            "the coroutine go runs a model on the event loop: it calls helper",
        ),
        (
            "planted",
            "async def go(m):\n    def work():\n        m.predict({})\n    work()\n    await to_thread(work)",
            "work runs a model",
        ),
        ("planted", "async def go(plane):\n    plane._compute(None, [])", "it calls DataPlane._compute"),
    ],
)
def test_the_rule_finds_a_planted_fault(module: str, text: str, told: str) -> None:
    found = planted(**{module: text})
    assert any(told in line and line.startswith(f"{module}.py:") for line in found), found


@pytest.mark.parametrize(
    "text",
    [
        "async def go(model):\n    return await run_in_daemon_thread(lambda: model.predict({}))",
        "async def go(model):\n    return await asyncio.to_thread(model.predict, {})",
        "async def go(m):\n    def work():\n        return m.predict({})\n    return await run_in_daemon_thread(work)",
        ROUTE.format(kind="async ", answer="await replica.answer(request)"),
    ],
)
def test_the_rule_lets_be_what_runs_on_another_thread(text: str) -> None:
    assert planted(planted=text) == []


def test_a_guarded_model_refuses_the_loops_thread_and_answers_others() -> None:
    model = Doubling()

    async def story() -> Columns:
        guarded = OffLoop(model)
        guarded.prove()
        with pytest.raises(OnTheLoop):
            guarded.predict({"x": np.ones(1)})
        assert model.runs == 0
        return await asyncio.to_thread(guarded.predict, {"x": np.ones(1)})

    assert asyncio.run(story())["y"].tolist() == [2.0]


def test_a_guard_that_keeps_another_thread_free_does_not_pass_its_proof() -> None:
    async def story() -> None:
        elsewhere = await asyncio.to_thread(OffLoop, Doubling())
        with pytest.raises(RuntimeError, match="nothing keeps the model off"):
            elsewhere.prove()

    asyncio.run(story())


def test_a_replica_serves_a_guarded_model(serve: Serve, quick_bundle: Bundle) -> None:
    replica, client = serve(quick_bundle)
    assert client.post("/predict", json={"records": list(quick_bundle.sample)}).status_code == 200

    async def on_the_loop() -> str:
        plane = replica._data_plane
        assert plane is not None
        with pytest.raises(OnTheLoop) as caught:
            plane._model.predict({})
        return str(caught.value)

    assert "event loop" in client.call(on_the_loop)


def test_the_guard_costs_nothing_that_shows(quick_bundle: Bundle) -> None:
    """It is below a twentieth of what one row of a small network takes, however slow the machine is."""
    model = load_model(quick_bundle, threads=1)
    inputs = inputs_from_rows(model.signature.inputs, list(quick_bundle.sample)[:1])
    guarded = asyncio.run(asyncio.to_thread(OffLoop, Doubling()))
    bare = Doubling()
    one = {"x": np.ones(1)}
    times = 20_000
    cost = min(repeat(lambda: guarded.predict(one), number=times, repeat=5)) - min(
        repeat(lambda: bare.predict(one), number=times, repeat=5)
    )
    whole = min(repeat(lambda: model.predict(inputs), number=2000, repeat=5))
    assert cost / times < whole / 2000 / 20
