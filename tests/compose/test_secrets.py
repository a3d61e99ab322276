"""stack/secrets.sh: what it makes, and what it leaves as it is."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import ssl
import stat
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "stack" / "secrets.sh"


def make(folder: Path, *names: str) -> str:
    environment = {**os.environ, "SECRETS_DIR": str(folder)}
    done = subprocess.run([str(SCRIPT), *names], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack") / "secrets"
    make(folder, "models.example.com")
    return folder


def test_the_folder_is_its_owners_alone_and_files_can_be_read_by_users_of_containers(made: Path) -> None:
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    files = [path for path in made.rglob("*") if path.is_file()]
    assert len(files) == 17
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o444}


def test_passwords_are_long_and_all_others(made: Path) -> None:
    others = ("controller_token", "mage_trigger_token", "mage_session_key")
    passwords = {path.read_text().strip() for path in (*made.glob("*_password"), *(made / name for name in others))}
    assert len(passwords) == 13
    assert {len(password) for password in passwords} == {48}


@pytest.mark.parametrize("name", ["redis", "mage_redis"])
def test_redis_lets_in_who_has_the_password_and_nobody_else(made: Path, name: str) -> None:
    digest = hashlib.sha256((made / f"{name}_password").read_text().strip().encode()).hexdigest()
    first, second = (made / f"{name}_users").read_text().splitlines()
    assert first == "user default off"
    assert f" on #{digest} " in second


def test_the_certificate_is_for_this_machine_and_the_names_given_and_fits_its_key(made: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made / "tls/tls.crt", made / "tls/tls.key")
    trusting = ssl.create_default_context(cafile=made / "tls/tls.crt")
    (certificate,) = trusting.get_ca_certs()
    names = certificate["subjectAltName"]
    assert set(names) == {("DNS", "localhost"), ("DNS", "models.example.com"), ("IP Address", "127.0.0.1")}


def test_what_is_there_stays_as_it_is(made: Path) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert make(made) == ""
    assert make(made, "other.example.com") == ""
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


def test_the_group_of_the_engines_socket_is_written_once_where_compose_reads_it(tmp_path: Path) -> None:
    script, engine, env = tmp_path / "secrets.sh", tmp_path / "docker.sock", tmp_path / ".env"
    shutil.copy(SCRIPT, script)
    environment = {name: value for name, value in os.environ.items() if name != "SECRETS_DIR"}
    environment["DOCKER_SOCKET"] = str(engine)
    subprocess.run([str(script)], env=environment, capture_output=True, check=True)
    assert not env.exists(), "there is no engine"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(engine))
        env.write_text("EDGE_PORT=8088\n")
        for _ in range(2):
            subprocess.run([str(script)], env=environment, capture_output=True, check=True)
    assert env.read_text() == f"EDGE_PORT=8088\nDOCKER_GID={engine.stat().st_gid}\n"
