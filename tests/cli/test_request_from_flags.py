"""Flags and request documents mean the same fields; flags win; what is wrong is said in the words that were typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cli.document import FIELD_OF_FLAG, in_words_of_flags, merged, parsed_steps, request_from
from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import DeploymentRequest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "churn.skops"
    path.write_bytes(b"a model")
    return path


def _refused(flags: dict[str, Any], source: str | None, here: Path) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        request_from(flags, source, here)
    return caught.value


def test_a_model_alone_is_a_whole_request(model: Path, tmp_path: Path) -> None:
    request = request_from({"MODEL": str(model)}, None, tmp_path)
    assert request["name"] == "churn"
    assert request["modelArtifact"] == {"path": str(model), "trust": False, "settings": {}}
    assert request["servingRequirements"]["latencyP99"] == "100ms"


def test_every_flag_sets_its_field(model: Path, tmp_path: Path) -> None:
    sample = tmp_path / "rows.csv"
    sample.write_text("a\n1\n")
    (tmp_path / "golden.yaml").write_text("requests: []")
    (tmp_path / "osv").mkdir()
    request = request_from(
        {
            "MODEL": "churn.skops",
            "--name": "mine",
            "--framework": "sklearn",
            "--version": "7",
            "--trust": True,
            "--sample": "rows.csv",
            "--p99": "50ms",
            "--throughput": "200rps",
            "--availability": "99.5%",
            "--strategy": "canary",
            "--steps": "10,100",
            "--step-duration": "2m",
            "--baseline": "1s",
            "--min-requests": 20,
            "--on-inconclusive": "rollback",
            "--golden": "golden.yaml",
            "--allow-breaking": True,
            "--vulnerabilities": "osv",
            "--replicas": 3,
            "--workers": 4,
            "--threads": 2,
            "--cache": "memory",
        },
        None,
        tmp_path,
    )
    assert request["name"] == "mine"
    assert request["modelArtifact"] == {
        "path": str(model),
        "framework": "sklearn",
        "version": "7",
        "trust": True,
        "sample": str(sample),
        "settings": {},
    }
    assert request["servingRequirements"] == {"latencyP99": "50ms", "throughput": "200rps", "availability": "99.5%"}
    assert request["deploymentStrategy"] == "canary"
    assert request["steps"] == [10, 100]
    assert request["gates"] == {
        "allowBreaking": True,
        "requireReason": False,
        "golden": str(tmp_path / "golden.yaml"),
        "vulnerabilities": {"database": str(tmp_path / "osv"), "onFound": "warn", "ignore": []},
    }
    analysis = request["analysis"]
    assert (analysis["stepDuration"], analysis["baseline"]) == ("2m", "1s")
    assert (analysis["minRequests"], analysis["onInconclusive"]) == (20, "rollback")
    assert request["infrastructure"]["resources"] == {"replicas": 3, "workers": 4, "threads": 2}


def test_every_flag_names_a_field_that_exists() -> None:
    for flag, path in FIELD_OF_FLAG.items():
        schema = DeploymentRequest.model_json_schema()
        here: dict[str, Any] = schema
        for part in path.split("."):
            # A part that may be absent is one of two: itself, or null.
            here = next((choice for choice in here.get("anyOf", []) if "$ref" in choice), here)
            reference = here.get("$ref", "").rpartition("/")[2]
            here = (schema["$defs"][reference] if reference else here)["properties"][part]
        assert here, flag


def test_a_flag_wins_over_the_document(model: Path, tmp_path: Path) -> None:
    document = tmp_path / "request.yaml"
    document.write_text(
        "modelArtifact: {path: churn.skops}\nservingRequirements: {latencyP99: 80ms, throughput: 10rps}\nname: theirs\n"
    )
    request = request_from({"--p99": "20ms", "--name": None}, str(document), tmp_path)
    assert request["servingRequirements"]["latencyP99"] == "20ms"
    assert request["servingRequirements"]["throughput"] == "10rps"
    assert request["name"] == "theirs"
    assert request["modelArtifact"]["path"] == str(model)


def test_paths_in_a_document_count_from_its_folder_and_flags_from_the_current_one(tmp_path: Path) -> None:
    folder, here = tmp_path / "project", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    (folder / "churn.skops").write_bytes(b"a")
    (here / "rows.json").write_text("[]")
    document = folder / "request.json"
    document.write_text('{"modelArtifact": {"path": "churn.skops"}, "servingRequirements": {}}')
    request = request_from({"--sample": "rows.json"}, "../project/request.json", here)
    artifact = request["modelArtifact"]
    assert Path(artifact["path"]).resolve() == (folder / "churn.skops").resolve()
    assert artifact["sample"] == str(here / "rows.json")


def test_a_document_is_read_from_standard_input(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    text = "modelArtifact: {path: churn.skops}\nservingRequirements: {}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert request_from({}, "-", tmp_path)["modelArtifact"]["path"] == str(model)


def test_a_missing_model_is_refused_with_the_file_that_was_probably_meant(model: Path, tmp_path: Path) -> None:
    error = _refused({"MODEL": "chrun.skops"}, None, tmp_path)
    assert str(tmp_path / "chrun.skops") in error.message
    assert error.hint == f"Did you mean {model}?"


def test_a_missing_sample_is_refused(model: Path, tmp_path: Path) -> None:
    error = _refused({"MODEL": str(model), "--sample": "none.csv"}, None, tmp_path)
    assert error.message.startswith("--sample:")


def test_a_missing_document_is_refused(tmp_path: Path) -> None:
    error = _refused({}, "request.yaml", tmp_path)
    assert "request.yaml" in error.message
    assert "no such file" in error.message


def test_a_document_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "request.yaml").write_bytes(b"\xff\xfe\x00\x01")
    assert "not a text file" in _refused({}, "request.yaml", tmp_path).message


def test_nothing_to_deploy_says_what_to_type(tmp_path: Path) -> None:
    error = _refused({"--p99": "5ms"}, None, tmp_path)
    assert error.hint is not None
    assert "tidegate deploy MODEL" in error.hint


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--p99", "fast", "--p99 (servingRequirements.latencyP99)"),
        ("--throughput", "many", "--throughput (servingRequirements.throughput)"),
        ("--availability", "101%", "--availability (servingRequirements.availability)"),
        ("--name", "a/b", "--name: expected"),
        ("--steps", "50,25", "--steps: expected weights that rise"),
        ("--steps", "5;100", "--steps: expected percents with commas"),
        ("--strategy", "yolo", "--strategy (deploymentStrategy)"),
        ("--on-inconclusive", "guess", "--on-inconclusive (analysis.onInconclusive)"),
        ("--replicas", 0, "--replicas (infrastructure.resources.replicas)"),
    ],
)
def test_a_wrong_flag_is_named_as_it_was_typed(flag: str, value: Any, said: str, model: Path, tmp_path: Path) -> None:
    error = _refused({"MODEL": str(model), flag: value}, None, tmp_path)
    assert said in error.message
    assert error.got is not None


def test_an_unknown_field_of_the_document_is_named_with_the_nearest_known_one(model: Path, tmp_path: Path) -> None:
    document = tmp_path / "request.yaml"
    document.write_text("modelArtifact: {path: churn.skops}\nservingRequirements: {latencyP9: 5ms}\n")
    error = _refused({}, str(document), tmp_path)
    assert "servingRequirements.latencyP9" in error.message
    assert "did you mean latencyP99?" in error.message


def test_several_problems_are_said_together_each_in_its_own_words() -> None:
    told = InvalidInput("the deployment request has 2 problems:\n  name: bad\n  steps[1]: worse")
    error = in_words_of_flags(told, {"--name": "x", "--steps": "5"})
    assert error.message.splitlines()[1:] == ["  --name: bad", "  --steps (steps[1]): worse"]


def test_merging_leaves_the_document_as_it_was() -> None:
    document = {"servingRequirements": {"latencyP99": "5ms"}}
    merged(document, {"--p99": "9ms"}, Path("/"))
    assert document == {"servingRequirements": {"latencyP99": "5ms"}}


def test_a_part_that_is_no_object_is_left_for_the_check_of_the_document() -> None:
    assert merged({"analysis": 3}, {"--baseline": "1s"}, Path("/"))["analysis"] == 3


@given(st.lists(st.integers(min_value=0, max_value=100), min_size=1, max_size=8))
def test_steps_are_read_as_they_are_written(weights: list[int]) -> None:
    assert parsed_steps(",".join(map(str, weights))) == [{"weight": weight} for weight in weights]


def test_steps_of_every_kind_can_be_typed() -> None:
    assert parsed_steps("cautious") == "cautious"
    assert parsed_steps("shadow:20:10m, 0.5, 5:2m, pause, pause:90s, 100, bake:1h") == [
        {"shadow": 20, "duration": "10m"},
        {"weight": 0.5},
        {"weight": 5, "duration": "2m"},
        {"pause": "person"},
        {"pause": "90s"},
        {"weight": 100},
        {"bake": "1h"},
    ]


_words = st.sampled_from(["path", "weight", "50ms", "", "a/b", "x"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["modelArtifact", "servingRequirements", "steps", "name", "x"]), _json))
def test_any_document_gives_a_request_or_a_refusal_and_nothing_else(document: dict[str, Any]) -> None:
    import json
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps(document))
        with pytest.raises(InvalidInput):
            request_from({"--p99": "50ms"}, str(path), Path(folder))
