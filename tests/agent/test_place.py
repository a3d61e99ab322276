"""Where replicas run is read off the agent's own container, as the engine shows it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tidegate.agent.place import place_of
from tidegate.agent.specification import Mount
from tidegate.contract.errors import Unavailable

#: What Engine 20.10 shows of an agent, without what nobody reads.
OWN: dict[str, Any] = {
    "Name": "/shop-agent-1",
    "Image": "sha256:0123",
    "Config": {"Image": "tidegate/api:0.1.0", "Labels": {"com.docker.compose.project": "shop"}},
    "Mounts": [
        {"Type": "volume", "Name": "shop_agent", "Destination": "/run/tidegate-agent", "RW": True},
        {"Type": "volume", "Name": "shop_bundles", "Destination": "/var/lib/tidegate/bundles", "RW": False},
        {"Type": "volume", "Name": "shop_containers", "Destination": "/var/lib/tidegate/containers", "RW": False},
        {"Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/var/run/docker.sock", "RW": True},
        {
            "Type": "bind",
            "Source": "/srv/replica_password",
            "Destination": "/run/secrets/replica_password",
            "RW": False,
        },
    ],
}
NETWORKS = [
    {"Name": "shop_frontend", "Labels": {"com.docker.compose.network": "frontend"}},
    {"Name": "shop_backend", "Labels": {"com.docker.compose.network": "backend"}},
]


def test_replicas_have_the_agents_image_folders_and_secrets_and_not_its_engine() -> None:
    place = place_of(OWN, NETWORKS, "backend")
    assert (place.project, place.image, place.image_name) == ("shop", "sha256:0123", "tidegate/api:0.1.0")
    assert place.network == "shop_backend"
    assert place.folders == (
        Mount("volume", "shop_bundles", "/var/lib/tidegate/bundles"),
        Mount("volume", "shop_containers", "/var/lib/tidegate/containers", is_writable=True),
    )
    assert place.secrets == {
        "replica_password": Mount("bind", "/srv/replica_password", "/run/secrets/replica_password")
    }


def test_an_agent_outside_of_compose_is_refused() -> None:
    own = deepcopy(OWN)
    own["Config"]["Labels"] = None
    with pytest.raises(Unavailable, match="not started by Docker Compose"):
        place_of(own, NETWORKS, "backend")


def test_an_agent_without_a_folder_that_replicas_need_is_refused_by_its_name() -> None:
    own = deepcopy(OWN)
    del own["Mounts"][1]
    with pytest.raises(Unavailable, match="/var/lib/tidegate/bundles"):
        place_of(own, NETWORKS, "backend")


def test_a_folder_of_the_machine_in_place_of_a_volume_is_refused() -> None:
    own = deepcopy(OWN)
    own["Mounts"][1] = {"Type": "bind", "Source": "/", "Destination": "/var/lib/tidegate/bundles", "RW": True}
    with pytest.raises(Unavailable, match="no volume"):
        place_of(own, NETWORKS, "backend")


@pytest.mark.parametrize("networks", [[], NETWORKS[:1]])
def test_a_project_without_the_network_of_replicas_is_refused(networks: list[dict[str, Any]]) -> None:
    with pytest.raises(Unavailable, match="no network 'backend'"):
        place_of(OWN, networks, "backend")
