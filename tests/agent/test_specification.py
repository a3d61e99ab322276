"""Whatever is asked for, a container is a replica of this project or nothing."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.agent.specification import (
    FOLDERS,
    SECRETS,
    VARIABLES,
    Limits,
    Mount,
    Place,
    ReplicaKey,
    Specification,
    container,
    container_name,
    key_of,
    parse,
    parse_key,
    parse_name,
)
from tidegate.contract.errors import InvalidInput

PLACE = Place(
    project="shop",
    image="sha256:0123",
    image_name="tidegate/api:0.1.0",
    network="shop_backend",
    folders=tuple(Mount("volume", f"shop_{at}", at, writable) for at, writable in FOLDERS.items()),
    secrets={name: Mount("bind", f"/host/{name}", f"/run/secrets/{name}") for name in SECRETS},
)
LIMITS = Limits(memory_bytes=1 << 30, cpus=1.5)

names = st.from_regex("[a-z]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
keys = st.builds(ReplicaKey, names, st.integers(1, 10**9), st.integers(0, 63))
texts = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=60)
specifications = st.builds(
    Specification,
    keys,
    st.booleans(),
    st.lists(texts, max_size=8).map(tuple),
    st.dictionaries(st.sampled_from(sorted(VARIABLES)), texts).map(lambda found: tuple(sorted(found.items()))),
    st.frozensets(st.sampled_from(sorted(SECRETS))),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
#: What is nearly a specification: its fields, with anything in them.
nearly = st.fixed_dictionaries(
    {},
    optional={
        "deployment": names | anything,
        "revision": st.integers(1, 9) | anything,
        "index": st.integers(0, 3) | anything,
        "supervised": st.booleans() | anything,
        "arguments": st.lists(texts, max_size=4) | anything,
        "environment": st.dictionaries(st.sampled_from([*sorted(VARIABLES), "LD_PRELOAD"]), texts) | anything,
        "secrets": st.lists(st.sampled_from([*sorted(SECRETS), "delivery_password"]), max_size=3) | anything,
        "image": anything,
        "HostConfig": anything,
    },
)


def held(body: dict[str, Any]) -> None:
    """What is so of every replica's container, whoever asked for it in whatever words."""
    host = body["HostConfig"]
    assert set(body) == {"Image", "Cmd", "User", "Env", "Labels", "Healthcheck", "StopSignal", "HostConfig"}
    assert set(host) == {
        *("NetworkMode", "Mounts", "Tmpfs", "ReadonlyRootfs", "Privileged", "CapDrop", "SecurityOpt", "Memory"),
        *("MemorySwap", "NanoCpus", "PidsLimit", "RestartPolicy", "LogConfig"),
    }
    assert body["Image"] == PLACE.image
    assert body["User"] == "10001:10001"
    assert body["Cmd"][:2] == ["python", "-m"]
    assert body["Cmd"][2] in {"tidegate.server", "tidegate.server.supervisor"}
    assert host["NetworkMode"] == PLACE.network
    assert (host["ReadonlyRootfs"], host["Privileged"], host["CapDrop"]) == (True, False, ["ALL"])
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (1 << 30, 1 << 30, 1_500_000_000)
    allowed = {mount.source: mount.target for mount in (*PLACE.folders, *PLACE.secrets.values())}
    assert all(allowed[mount["Source"]] == mount["Target"] for mount in host["Mounts"])
    assert [mount["Target"] for mount in host["Mounts"] if not mount["ReadOnly"]] == ["/var/lib/tidegate/containers"]
    assert all(mount["ReadOnly"] for mount in host["Mounts"] if mount["Type"] == "bind")
    set_by_who_asks = {pair.partition("=")[0] for pair in body["Env"]} - set(_fixed())
    assert set_by_who_asks <= VARIABLES
    assert key_of(body["Labels"], PLACE.project) is not None


def _fixed() -> list[str]:
    plain = container(Specification(ReplicaKey("a", 1, 0)), PLACE, LIMITS)
    return [pair.partition("=")[0] for pair in plain["Env"]]


@given(specifications)
def test_what_is_within_bounds_is_read_back_as_it_was_asked_for(asked: Specification) -> None:
    assert parse(json.loads(json.dumps(asked.as_document()))) == asked
    body = container(asked, PLACE, LIMITS)
    held(body)
    assert body["Cmd"][3:] == list(asked.arguments)
    assert key_of(body["Labels"], PLACE.project) == asked.key
    mounted = {mount["Target"].removeprefix("/run/secrets/") for mount in body["HostConfig"]["Mounts"]} - set(FOLDERS)
    assert mounted == asked.secrets


@given(nearly | anything)
def test_whatever_is_asked_for_is_refused_or_a_replica(document: Any) -> None:
    try:
        asked = parse(document)
    except InvalidInput:
        return
    held(container(asked, PLACE, LIMITS))


@given(keys)
def test_a_replicas_name_says_which_it_is(key: ReplicaKey) -> None:
    assert parse_name(str(key)) == key
    assert set(container_name("shop", key)) <= set(string.ascii_lowercase + string.digits + "-.")


@given(st.text(max_size=80))
def test_a_name_is_of_a_replica_or_refused(name: str) -> None:
    try:
        key = parse_name(name)
    except InvalidInput:
        return
    assert str(key) == name or str(key) == ".".join([key.deployment, *(str(int(part)) for part in name.split(".")[1:])])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("deployment", "../../etc"),
        ("deployment", "Churn"),
        ("deployment", "churn\n"),
        ("revision", 0),
        ("revision", True),
        ("revision", "1"),
        ("index", 64),
        ("index", -1),
        ("supervised", 1),
        ("arguments", "--bundle"),
        ("arguments", ["a\x00b"]),
        ("arguments", ["x"] * 257),
        ("arguments", ["x" * 8193]),
        ("environment", {"LD_PRELOAD": "/models/x.so"}),
        ("environment", {"PYTHONPATH": "/models"}),
        ("environment", {"PGPASSFILE": "/elsewhere"}),
        ("environment", {"TIDEGATE_STORE": "a\nb"}),
        ("secrets", ["delivery_password"]),
        ("secrets", ["../agent"]),
        ("image", "alpine"),
        ("mounts", [{"Source": "/"}]),
        ("privileged", True),
    ],
)
def test_what_is_beyond_bounds_is_refused_by_name(field: str, value: Any) -> None:
    good = Specification(ReplicaKey("churn", 1, 0)).as_document()
    with pytest.raises(InvalidInput) as refused:
        parse({**good, field: value})
    assert field in str(refused.value.subject)


def test_a_secret_in_a_refused_value_is_not_repeated() -> None:
    good = Specification(ReplicaKey("churn", 1, 0)).as_document()
    with pytest.raises(InvalidInput) as refused:
        parse({**good, "environment": {"TIDEGATE_STORE": "postgresql://a:hunter2@b\n"}})
    assert "hunter2" not in str(refused.value)


def test_a_secret_that_the_agent_has_not_is_refused() -> None:
    without = replace(PLACE, secrets={})
    with pytest.raises(InvalidInput, match="secrets"):
        container(Specification(ReplicaKey("churn", 1, 0), secrets=frozenset({"redis_password"})), without, LIMITS)


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"tidegate.project": "other", "tidegate.deployment": "a", "tidegate.revision": "1", "tidegate.replica": "0"},
        {"tidegate.project": "shop", "tidegate.deployment": "a", "tidegate.revision": "x", "tidegate.replica": "0"},
        {"tidegate.project": "shop", "tidegate.deployment": "../a", "tidegate.revision": "1", "tidegate.replica": "0"},
        {"tidegate.project": "shop"},
    ],
)
def test_a_container_without_a_replicas_labels_is_none_of_ours(labels: dict[str, str]) -> None:
    assert key_of(labels, "shop") is None


def test_a_key_is_a_name_and_two_numbers() -> None:
    assert parse_key("churn", 3, 1) == ReplicaKey("churn", 3, 1)
