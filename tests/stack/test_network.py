"""What reaches what: tried from containers on each network."""

from __future__ import annotations

import json

from tests.stack.conftest import Stack, docker

EDGES = ("edge", "nginx")
#: Every port that anything in the stack listens on, and some that nothing should.
PORTS = (22, 80, 443, 3000, 5432, 6379, 6789, 8080, 8081, 8090, 8443, 9090, 9093, 54321, 54322)

#: Prints those of the addresses and ports that can be connected to.
PROBE = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reached(place):
    try:
        socket.create_connection(place, 2).close()
    except OSError:
        return None
    return place
places = [tuple(place) for place in json.loads(sys.argv[1])]
with ThreadPoolExecutor(64) as pool:
    print(json.dumps([place for place in pool.map(reached, places) if place]))
"""


def probe(stack: Stack, network: str) -> set[tuple[str, int]]:
    """Return what a container on a network reaches, by service and port: at each of its addresses, and by name."""
    named: dict[str, str] = {}
    for service in stack.services:
        for attached in stack.inspect(service)["NetworkSettings"]["Networks"].values():
            if attached["IPAddress"]:  # the agent is in no network
                named[attached["IPAddress"]] = service
        named[service] = service
    places = [(host, port) for host in named for port in PORTS]
    image = stack.inspect("tidegate")["Image"]
    words = ("run", "--rm", "--network", network, "--entrypoint", "python", image, "-c", PROBE, json.dumps(places))
    return {(named[host], port) for host, port in json.loads(docker(*words))}


def test_in_the_backend_services_reach_each_other(stack: Stack) -> None:
    found = probe(stack, f"{stack.project}_backend")
    expected = {("postgres", 5432), ("redis", 6379), ("gateway", 8080), ("tidegate", 8081), ("h2o", 54321)}
    expected |= {("mage", 6789), ("mage-redis", 6379), ("alertmanager", 9093)}
    assert expected | {("prometheus", 9090), ("edge", 8080), ("nginx", 8443)} <= found


def test_in_the_frontend_nothing_but_the_edge_is_reached(stack: Stack) -> None:
    found = probe(stack, f"{stack.project}_frontend")
    assert found == {
        *(("edge", port) for port in (3000, 6789, 8080, 9090, 9093)),
        *(("nginx", port) for port in (8080, 8443)),
    }


def test_from_another_network_nothing_is_reached(stack: Stack) -> None:
    assert probe(stack, "bridge") == set()


def test_nothing_but_the_edge_publishes_a_port(stack: Stack) -> None:
    for service in stack.services:
        published = {
            port: [one["HostIp"] for one in bound]
            for port, bound in stack.inspect(service)["NetworkSettings"]["Ports"].items()
            if bound
        }
        assert bool(published) == (service in EDGES), (service, published)
        if service == "edge":
            assert {host for hosts in published.values() for host in hosts} == {"127.0.0.1"}


def test_docker_forwards_nothing_out_of_the_backend(stack: Stack) -> None:
    (network,) = json.loads(docker("network", "inspect", f"{stack.project}_backend"))
    assert network["Internal"] is True
    assert set(stack.inspect("gateway")["NetworkSettings"]["Networks"]) == {f"{stack.project}_backend"}
    shared = stack.inspect("tidegate")["HostConfig"]
    assert shared["NetworkMode"] == shared["PidMode"] == f"container:{stack.inspect('gateway')['Id']}"
