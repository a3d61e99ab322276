""".github/workflows/ci.yml: valid, pinned, with least permissions, and of commands that a contributor types."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
#: What each job may beside reading the repository.
WIDENED = {
    "images": {"contents": "read", "packages": "write", "id-token": "write", "attestations": "write"},
    "publish": {"id-token": "write", "attestations": "write"},
}
RELEASED = "github.event_name == 'push' && startsWith(github.ref, 'refs/tags/v')"


@cache
def document() -> dict[str, Any]:
    # YAML 1.1 takes the key `on` for true.
    loaded: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    return loaded


def jobs() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = document()["jobs"]
    return found


def lines_run(job: str) -> list[str]:
    return [line for step in jobs()[job]["steps"] for line in step.get("run", "").splitlines()]


def made(text: str) -> set[str]:
    """Return the targets of make that a text names."""
    return set(re.findall(r"\bmake ([\w-]+)", text))


def found_by(program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment, without the network."""
    path = Path(sysconfig.get_path("scripts")) / program
    assert path.exists(), f"{path} is not there: make setup installs it"
    return subprocess.run([path, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def is_of_the_schema(file: Path) -> subprocess.CompletedProcess[str]:
    return found_by("check-jsonschema", "--builtin-schema", "vendor.github-workflows", file)


def is_safe(file: Path) -> subprocess.CompletedProcess[str]:
    return found_by("zizmor", "--offline", "--no-progress", "--quiet", "--no-config", file)


each = pytest.mark.parametrize("job", list(jobs()))


def test_the_workflow_is_of_the_schema_and_nothing_unsafe_is_found_in_it() -> None:
    for done in (is_of_the_schema(WORKFLOW), is_safe(WORKFLOW)):
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_key_that_there_is_not_is_found(tmp_path: Path) -> None:
    broken = tmp_path / "ci.yml"
    broken.write_text(WORKFLOW.read_text(encoding="utf-8").replace("runs-on:", "run-on:", 1))
    assert is_of_the_schema(broken).returncode == 1


def test_what_an_outsider_can_write_into_a_command_is_found(tmp_path: Path) -> None:
    broken = tmp_path / "ci.yml"
    text = WORKFLOW.read_text(encoding="utf-8")
    broken.write_text(text.replace("run: make check\n", "run: echo ${{ github.event.pull_request.title }}\n", 1))
    done = is_safe(broken)
    assert done.returncode > 10, done.stderr
    assert "template-injection" in done.stdout


def test_every_action_is_pinned_by_its_commit_and_says_its_version() -> None:
    used = re.findall(r"^\s*(?:- )?uses: *(.*)$", WORKFLOW.read_text(encoding="utf-8"), re.M)
    steps = [step for job in jobs().values() for step in job["steps"] if "uses" in step]
    assert len(used) == len(steps) > 0
    versions: dict[str, set[str]] = {}
    for line in used:
        found = re.fullmatch(r"([\w-]+/[\w./-]+)@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
        assert found, line
        versions.setdefault(found[1], set()).add(line)
    assert all(len(lines) == 1 for lines in versions.values()), versions


def test_nothing_may_be_written_but_by_the_jobs_of_a_release() -> None:
    assert document()["permissions"] == {"contents": "read"}
    assert {name: job["permissions"] for name, job in jobs().items() if "permissions" in job} == WIDENED
    assert {name for name, job in jobs().items() if job.get("if") == RELEASED} == set(WIDENED)


@each
def test_a_job_ends_in_time_and_leaves_no_token_behind(job: str) -> None:
    assert 0 < jobs()[job]["timeout-minutes"] <= 75
    for step in jobs()[job]["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@each
def test_a_job_runs_what_a_contributor_types(job: str) -> None:
    known = set(re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    lines = lines_run(job)
    assert made("\n".join(lines)) <= known
    if job not in WIDENED:
        assert all(re.fullmatch(r"make [\w-]+|apt-get (update|install) .*", line) for line in lines), lines
        assert any(line.startswith("make ") for line in lines)


def test_all_that_the_other_entry_runs_or_leaves_out_is_run() -> None:
    run = {target for job in jobs() for target in made("\n".join(lines_run(job)))}
    assert made((ROOT / ".ci" / "run").read_text(encoding="utf-8")) <= run


def test_an_outsider_is_not_trusted_with_secrets() -> None:
    assert "pull_request_target" not in document()[True]
    secrets = set(re.findall(r"secrets\.(\w+)", WORKFLOW.read_text(encoding="utf-8")))
    assert secrets == {"GITHUB_TOKEN"}


def test_a_release_waits_for_every_other_job() -> None:
    assert set(jobs()["images"]["needs"]) == set(jobs()) - set(WIDENED)
    assert "images" in jobs()["publish"]["needs"]


def test_every_image_of_the_stack_is_released_with_what_is_in_it_and_where_it_is_from() -> None:
    dockerfiles = (ROOT / "stack" / "docker").glob("Dockerfile.*")
    assert jobs()["images"]["strategy"]["matrix"]["image"] == sorted(path.suffix[1:] for path in dockerfiles)
    (built,) = (step["with"] for step in jobs()["images"]["steps"] if "build-push" in step.get("uses", ""))
    assert built["push"] is built["sbom"] is True
    assert built["provenance"] == "mode=max"


def test_python_is_the_oldest_that_is_supported() -> None:
    setups = [s["with"] for job in jobs().values() for s in job["steps"] if "setup-python" in s.get("uses", "")]
    assert {setup["python-version"] for setup in setups} == {"3.11"}
