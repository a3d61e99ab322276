"""Runs of Mage's pipelines in the stack, as its database has them."""

from __future__ import annotations

from tests.stack.conftest import Stack, eventually

RUN_SECONDS = 900.0


def in_mage(stack: Stack, statement: str) -> list[list[str]]:
    """Ask Mage's database."""
    done = stack.psql("mage", statement, "mage")
    assert done.returncode == 0, done.stderr
    return [line.split("|") for line in done.stdout.splitlines()]


def start(stack: Stack, pipeline: str, **variables: object) -> int:
    """Start a pipeline as a person does in the container; return the number of the run."""
    words = [f"{name}={value}" for name, value in variables.items()]
    return int(stack.run("mage", "mage-trigger", pipeline, *words))


def ended(stack: Stack, run: int) -> str:
    """Wait for the end of a run; return its status."""

    def status() -> str:
        query = f"SELECT status FROM pipeline_run WHERE id = {run};"  # noqa: S608 (a number)
        ((found,),) = in_mage(stack, query)
        return "" if found in ("INITIAL", "RUNNING") else found

    return str(eventually(f"the end of run {run}", status, RUN_SECONDS))
