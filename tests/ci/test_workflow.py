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
#: What a pinned action, of which only GitHub knows the outputs, says that it sets.
OUTPUTS_OF = {"docker/build-push-action": {"digest", "imageid", "metadata"}}
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


def is_sound(file: Path) -> subprocess.CompletedProcess[str]:
    """Look for what actionlint does: jobs, expressions, inputs of actions, and with shellcheck each script."""
    shellcheck = Path(sysconfig.get_path("scripts")) / "shellcheck"
    words = ("--profile", "correctness", "--strict-exit", "--no-online", "--pyflakes=")
    return found_by("jactionlint", *words, f"--shellcheck={shellcheck}", "--oneline", file)


def outputs_nobody_sets(text: str) -> set[str]:
    """Return each `steps.ID.outputs.NAME` for which no step of that job with that id sets that output."""
    unset = set()
    for job in yaml.safe_load(text)["jobs"].values():
        outputs: dict[str, set[str]] = {}
        for step in job["steps"]:
            written = set(re.findall(r'echo "?(\w+)=.*>> "?\$GITHUB_OUTPUT', step.get("run", "")))
            outputs[step.get("id", "")] = written | OUTPUTS_OF.get(step.get("uses", "").partition("@")[0], set())
        for found in re.finditer(r"steps\.([\w-]+)\.outputs\.([\w-]+)", yaml.safe_dump(job, width=1000)):
            if found[2] not in outputs.get(found[1], set()):
                unset.add(found[0])
    return unset


each = pytest.mark.parametrize("job", list(jobs()))


def test_the_workflow_is_of_the_schema_and_nothing_unsafe_is_found_in_it() -> None:
    for done in (is_of_the_schema(WORKFLOW), is_safe(WORKFLOW), is_sound(WORKFLOW)):
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        ("needs: [images, build]", "needs: [images, builds]", "undefined-job-needs"),
        ("needs: [images, build]", "needs: [images, publish]", "cyclic-job-needs"),
        ("steps.push.outputs.digest", "steps.pushed.outputs.digest", "undefined-property"),
        ("IMAGE: ${{ matrix.image }}", "IMAGE: ${{ matrix.imag }}", "undefined-property"),
        ("TAG: ${{ github.ref_name }}", "TAG: ${{ github.refname }}", "undefined-property"),
        ("if: startsWith(", "if: beginsWith(", "undefined-function"),
        ("name: image ${{ matrix.image }}", "name: image ${{ matrix.image }", "expression-syntax"),
        ('cron: "17 3 * * 1"', 'cron: "17 25 * * 1"', "invalid-cron"),
        ("if-no-files-found: error", "if-no-file-found: error", "unknown-action-input"),
        ('tidegate-${IMAGE}" >> "$GITHUB_OUTPUT"', 'tidegate-${IMAGE}" >> "$GITHUB_OUTPUT', "shellcheck"),
        ('${GITHUB_REF_NAME#v}" >> "$GITHUB_OUTPUT"', '${GITHUB_REF_NAME#v}" >> $GITHUB_OUTPUT', "shellcheck"),
    ],
)
def test_what_would_fail_only_on_github_is_found_here(tmp_path: Path, right: str, wrong: str, rule: str) -> None:
    text = WORKFLOW.read_text(encoding="utf-8")
    assert right in text
    broken = tmp_path / "ci.yml"
    broken.write_text(text.replace(right, wrong, 1))
    done = is_sound(broken)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"[{rule}]" in done.stdout


def test_each_output_that_a_step_is_asked_for_is_one_that_it_sets() -> None:
    text = WORKFLOW.read_text(encoding="utf-8")
    assert outputs_nobody_sets(text) == set()
    for right, wrong in (
        ("steps.push.outputs.digest", "steps.push.outputs.digst"),
        ("steps.name.outputs.version", "steps.name.outputs.versoin"),
        ("steps.name.outputs.image", "steps.push.outputs.image"),
    ):
        assert outputs_nobody_sets(text.replace(right, wrong, 1)) == {wrong}


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
