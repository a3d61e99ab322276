"""Which containers the agent starts again: those alone whose start failed, and whose neighbour runs now."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.agent.keeper import left_behind

NEIGHBOUR = "5c1f"
RUNNING = frozenset({NEIGHBOUR, "77ab"})


def container(
    error: str = "cannot join network of a non running container: 5c1f",
    *,
    status: str = "exited",
    network: str = f"container:{NEIGHBOUR}",
    policy: str = "unless-stopped",
) -> dict[str, Any]:
    """Return what Engine 20.10 shows of one, without what nobody reads."""
    return {
        "Id": "e0d2",
        "State": {"Status": status, "Error": error},
        "HostConfig": {"NetworkMode": network, "RestartPolicy": {"Name": policy}},
    }


def test_a_container_whose_start_failed_is_started_once_its_neighbour_runs() -> None:
    assert left_behind([container()], frozenset()) == []
    assert left_behind([container()], RUNNING) == ["e0d2"]


@pytest.mark.parametrize(
    "other",
    [
        container(error=""),  # a person stopped it, or it ended
        container(status="running"),
        container(status="restarting"),
        container(status="created"),  # `docker compose up` tells who typed it
        container(policy="no"),
        container(network="shop_backend"),
        container(network="77ab"),  # a network that is called like a container
        container(network="container:gone"),  # what it shared was replaced, and so it has to be
    ],
)
def test_every_other_container_is_left_as_it_is(other: dict[str, Any]) -> None:
    assert left_behind([other], RUNNING) == []
