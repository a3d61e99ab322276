"""Which files of a folder are scanned, and how each is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.scan import WithHadolint, files, scan


def made(folder: Path, *names: str, content: bytes = b"") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_files_are_found_by_their_names(tmp_path: Path) -> None:
    wanted = {
        *("Dockerfile", "dockerfile", "Dockerfile.api", "docker/Dockerfile-h2o", "api.Dockerfile", "x/Containerfile"),
        *("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.prod.yaml", "compose.override.yaml"),
    }
    others = {
        *("Dockerfile.dockerignore", "Dockerfile.md", "Dockerfile.j2", "Dockerfile~", "MyDockerfile", "dockerfiles.py"),
        *("recompose.yaml", "compose.json", "composer.yaml", ".git/Dockerfile", "node_modules/a/Dockerfile"),
    }
    made(tmp_path, *wanted, *others)
    assert {path.relative_to(tmp_path).as_posix() for path in files.find([tmp_path])} == wanted


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    made(tmp_path, "Dockerfile.a")
    os.mkfifo(tmp_path / "Dockerfile")
    assert [path.name for path in files.find([tmp_path])] == ["Dockerfile.a"]


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").symlink_to(tmp_path / "gone")
    with pytest.raises(InvalidInput, match="cannot be read"):
        scan([tmp_path])


def test_a_file_that_is_named_is_scanned_whatever_it_is_called(tmp_path: Path) -> None:
    made(tmp_path, "build.txt", "stack.yml")
    assert [kind.value for kind in files.find([tmp_path / "build.txt", tmp_path / "stack.yml"]).values()] == [
        "Dockerfile",
        "Compose file",
    ]


def test_a_file_that_is_reached_twice_is_scanned_once(tmp_path: Path) -> None:
    made(tmp_path, "Dockerfile")
    assert len(files.find([tmp_path, tmp_path / "Dockerfile"])) == 1


def test_nothing_to_scan_is_an_error_and_no_success(tmp_path: Path) -> None:
    made(tmp_path, "README.md")
    with pytest.raises(InvalidInput, match="nothing would be scanned"):
        scan([tmp_path])
    with pytest.raises(InvalidInput, match="does not exist"):
        scan([tmp_path / "Dockerfile"])


@pytest.mark.parametrize("content", [b"\xff\xfe", b"FROM a\n" + b"# x\n" * (1 << 19)], ids=["no text", "too large"])
def test_what_cannot_be_read_is_a_finding_and_the_rest_is_scanned(tmp_path: Path, content: bytes) -> None:
    made(tmp_path, "Dockerfile.a", content=content)
    made(tmp_path, "Dockerfile.b", content=b"FROM scratch\nUSER root")
    report = scan([tmp_path], with_hadolint=WithHadolint.OFF)
    assert [(Path(one.path).name, one.rule) for one in report.findings] == [
        ("Dockerfile.a", "syntax"),
        ("Dockerfile.b", "root-user"),
    ]


def test_the_dockerfile_of_a_service_answers_for_it(tmp_path: Path) -> None:
    made(tmp_path, "app/Dockerfile", content=b"FROM a:1 AS run\nHEALTHCHECK CMD true\nUSER b\nFROM a:1\nUSER b")
    rest = "cpus: 1, mem_limit: 1g, read_only: true"
    text = f"services:\n  a: {{build: {{context: app, target: run}}, {rest}}}\n  b: {{build: ./app, {rest}}}\n"
    (tmp_path / "compose.yaml").write_text(text)
    report = scan([tmp_path / "compose.yaml"], with_hadolint=WithHadolint.OFF)
    assert [one.message for one in report.findings] == ["service b has no healthcheck"]
