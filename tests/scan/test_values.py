"""What counts as a secret, as memory, as a heap and as a port."""

from __future__ import annotations

import pytest

from tidegate.scan.heap import heap_in, memory
from tidegate.scan.ports import ADMINISTRATION, named_in
from tidegate.scan.secrets import is_secret_file, named_secret, shape_in


@pytest.mark.parametrize(
    "name",
    ["DB_PASSWORD", "password", "GITHUB_TOKEN", "clientSecret", "API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PWD", "APIKEY"],
)
def test_names_of_secrets(name: str) -> None:
    assert named_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "DB_PASSWORD_FILE",
            "SECRET_NAME",
            "TOKEN_TTL",
            "MAX_TOKENS",
            "TOKENIZERS_PARALLELISM",
            "PASSWORD_MIN_LENGTH",
        ),
        *(
            "GPG_KEY",
            "KEY",
            "PWD",
            "SSH_AUTH_SOCK",
            "ALLOW_EMPTY_PASSWORD",
            "AWS_ACCESS_KEY_ID",
            "PRIMARY_KEY",
            "KEYCLOAK",
        ),
        *("", "_", "AUTHOR", "PATH", "PASSWORDLESS", "TOKEN_SERVER", "SECRET_KEY_BASE_DUMMY"),
    ],
)
def test_names_that_only_look_like_it(name: str) -> None:
    assert not named_secret(name)


@pytest.mark.parametrize(
    "text",
    [
        "id AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "postgres://app:letmein@db/app",
        "redis://:letmein@cache:6379",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlc2ln",
    ],
)
def test_shapes_of_credentials(text: str) -> None:
    assert shape_in(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "postgres://app@db/app",
        "postgres://app:${PASSWORD}@db/app",
        "postgres://app:$PASSWORD@db/app",
        "https://example.com:8443/@scope/package",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "git@github.com:team/app.git",
        "AKIA of Helsinki",
    ],
)
def test_what_has_no_such_shape(text: str) -> None:
    assert shape_in(text) is None


@pytest.mark.parametrize(
    "path",
    [
        *(".env", "conf/.env.production", "id_rsa", ".ssh/", "keys/id_ed25519", ".npmrc", ".docker/config.json"),
        *(
            "server.key",
            "tls/example.com-tls.key",
            "privkey.pem",
            "server-key.pem",
            "store.p12",
            "service-account.json",
        ),
    ],
)
def test_files_that_hold_secrets(path: str) -> None:
    assert is_secret_file(path)


@pytest.mark.parametrize(
    "path",
    [
        *(
            ".env.example",
            "id_rsa.pub",
            "ca.pem",
            "fullchain.pem",
            "server.crt",
            "nginx_signing.key",
            "jenkins-2026.key",
        ),
        *("docker-archive-keyring.gpg", "environment.py", "keys.py", "tls.py", "config.json", "public-key.pem"),
    ],
)
def test_files_that_do_not(path: str) -> None:
    assert not is_secret_file(path)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512m", 512 << 20),
        ("1.5GB", 3 << 29),
        ("2Gi", 2 << 30),
        ("1073741824", 1 << 30),
        ("4096k", 4 << 20),
        ("100b", 100),
        ("much", None),
        ("", None),
        ("-1", None),
        ("1g 2g", None),
    ],
)
def test_amounts_of_memory(text: str, size: int | None) -> None:
    assert memory(text) == size


@pytest.mark.parametrize(
    ("text", "size", "percent"),
    [
        ("java -Xmx4g -jar a.jar", 4 << 30, None),
        ("-Xms1g -Xmx700M", 700 << 20, None),
        ("-XX:MaxHeapSize=1073741824", 1 << 30, None),
        ("-Xmx1g -Xmx2g", 2 << 30, None),
        ('"-Xmx1g"', 1 << 30, None),
        ("-XX:MaxRAMPercentage=75.0", None, 75.0),
        ("-Xmx1g -XX:MaxRAMPercentage=90", 1 << 30, None),
    ],
)
def test_the_heap_that_options_ask_for(text: str, size: int | None, percent: float | None) -> None:
    heap = heap_in(text)
    assert heap is not None
    assert (heap.size, heap.percent) == (size, percent)


@pytest.mark.parametrize("text", ["java -jar a.jar", "-Xms4g", "--Xmx4g", "-Xmx$HEAP", "-Xmx4gb", "not-Xmx4g", "-Xmx"])
def test_what_asks_for_no_heap_that_is_known(text: str) -> None:
    assert heap_in(text) is None


@pytest.mark.parametrize(
    ("written", "ports"),
    [("22", [22]), ("22/TCP", [22]), ("20-23", [21, 22, 23]), ("22/udp", []), ("220", []), ("", []), ("a", [])],
)
def test_ports_in_ranges(written: str, ports: list[int]) -> None:
    assert [port for port, _ in named_in(written, ADMINISTRATION)] == ports
