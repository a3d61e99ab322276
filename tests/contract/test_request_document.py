"""The request document: defaults, one error for all problems, and messages that say what to write."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import DeploymentRequest, ModelArtifact, ServingRequirements, Step, parse_request

SMALLEST: dict[str, Any] = {"modelArtifact": {"path": "models/churn.onnx"}, "servingRequirements": {}}


def arms(*listed: tuple[str, float], weight: float | None = None, match: Any = None, **fields: Any) -> dict[str, Any]:
    """Fields of an A/B test with these models and weights, the first of them with a match."""
    made = [{"modelArtifact": {"path": path}, "weight": share} for path, share in listed]
    made[0] |= {} if match is None else {"match": match}
    test = {"arms": made, **({} if weight is None else {"weight": weight})}
    return {"deploymentStrategy": "ab-test", "abTest": test, **fields}


def refusal(**changes: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_request({**SMALLEST, **changes})
    return caught.value


def test_the_smallest_request_has_every_default() -> None:
    request = parse_request(SMALLEST)
    assert request.as_document() == {
        "modelArtifact": {"path": "models/churn.onnx", "trust": False, "settings": {}},
        "servingRequirements": {"latencyP99": "100ms", "throughput": "50rps", "availability": "99.9%"},
        "name": "churn",
        "deploymentStrategy": "canary",
        "steps": [5, 25, 50, 100],
        "blueGreen": {"preview": "10s", "switch": "auto", "bake": "10m"},
        "rolling": {"maxSurge": 1, "maxUnavailable": 0, "hold": "10s"},
        "abTest": {"arms": []},
        "infrastructure": {
            "platform": "local",
            "namespace": "default",
            "resources": {"replicas": 2, "workers": 1, "threads": 1},
        },
        "analysis": {
            "stepDuration": "5m",
            "interval": "1s",
            "baseline": "5s",
            "minRequests": 50,
            "margin": "2%",
            "alpha": "1%",
            "onInconclusive": "pause",
            "onWarning": "pause",
            "signals": {
                name: {"weight": 1.0, "critical": True, "dryRun": False}
                for name in ("errors", "latency", "rejections", "disagreement", "outcomes")
            },
            "metrics": [],
            "resources": {"interval": "2s"},
            "predictions": {"margin": "10%", "weight": 1.0, "critical": False, "dryRun": False},
            "inputs": {"compare": True, "tolerance": "5%"},
            "tolerance": {"absolute": 1e-06, "relative": 0.01},
            "tolerances": {},
        },
        "healthChecks": {"readyWithin": "1m", "maxRestarts": 3, "custom": []},
        "gates": {"allowBreaking": False, "requireReason": False},
        "registry": {},
        "traffic": {"timeout": "30s"},
        "batching": {"maxRequests": 128, "maxRows": 4096},
        "cache": {"store": "off", "ttl": "5m", "maxSize": "64Mi"},
        "predictionLog": {"sample": "100%", "personal": {"drop": [], "hash": []}},
        "notifications": [],
        "hooks": [],
    }


def test_a_request_made_in_python_uses_snake_case() -> None:
    request = DeploymentRequest(
        model_artifact=ModelArtifact(path="churn.onnx"), serving_requirements=ServingRequirements()
    )
    assert request == parse_request({**SMALLEST, "modelArtifact": {"path": "churn.onnx"}})


def test_a_step_is_a_number_or_an_object() -> None:
    request = parse_request({**SMALLEST, "steps": [5, {"weight": 50, "duration": "90s"}, {"weight": 100}]})
    assert [step.weight for step in request.steps] == [5, 50, 100]
    assert request.as_document()["steps"] == [5, {"weight": 50, "duration": "90s"}, 100]
    assert request.steps[0] == Step(weight=5)


@pytest.mark.parametrize("strategy", ["canary", "shadow"])
def test_no_steps_are_those_of_the_strategy_and_never_none(strategy: str) -> None:
    absent = parse_request({**SMALLEST, "deploymentStrategy": strategy})
    null = parse_request({**SMALLEST, "deploymentStrategy": strategy, "steps": None})
    assert absent.trial == null.trial
    assert len(null.trial) > 1


def test_an_unknown_field_is_refused_with_its_path_and_the_nearest_known_one() -> None:
    error = refusal(servingRequirements={"latencyP9": "50ms"})
    assert str(error) == "servingRequirements.latencyP9: unknown field; did you mean latencyP99?"
    assert error.subject == "servingRequirements.latencyP9"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"workers": 3}, "workers: unknown field; did you mean infrastructure.resources.workers?"),
        ({"servingRequirements": {"latency_p99": "1s"}}, "did you mean latencyP99?"),
        ({"steps": [{"wait": 5}, 100]}, "steps[0].wait: unknown field; did you mean weight?"),
        ({"traffic": {"zzz": 1}}, "traffic.zzz: unknown field; known here: timeout, stickyBy"),
        (
            {"drift": {"reference": "r", "psi": 0.2}},
            "drift.psi: unknown field; known here: reference, columns, interval",
        ),
        ({"cache": {"size": "1Gi"}}, "cache.size: unknown field; did you mean maxSize?"),
        ({"cache": {"url": "redis://:secret@db"}}, "cache.url: unknown field; known here: store, ttl, maxSize"),
        ({"batch": {"maxRequests": 1}}, "batch: unknown field; did you mean batching?"),
    ],
)
def test_unknown_fields_anywhere_are_refused(changes: dict[str, Any], told: str) -> None:
    assert told in str(refusal(**changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"servingRequirements": {"latencyP99": "fast"}},
            'servingRequirements.latencyP99: expected a duration such as "50ms" or "0.2s", got "fast"',
        ),
        ({"servingRequirements": {"latencyP99": 50}}, "got 50"),
        ({"servingRequirements": {"latencyP99": "0s"}}, 'expected a value from 1ms to 10m, got "0s"'),
        (
            {"servingRequirements": {"availability": "100%"}},
            'servingRequirements.availability: expected a value from 50% to 99.9999%, got "100%"',
        ),
        ({"servingRequirements": None}, "servingRequirements: expected an object with the fields latencyP99,"),
        (
            {"modelArtifact": "x.onnx"},
            "modelArtifact: expected an object with the fields path, framework, version, trust, sample",
        ),
        ({"modelArtifact": {}}, "modelArtifact.path: required, and missing"),
        ({"modelArtifact": {"path": ""}}, "modelArtifact.path: expected the path of a file or folder"),
        (
            {"modelArtifact": {"path": "x", "version": 1.0}},
            "modelArtifact.version: expected text, got 1.0; put it in quotes",
        ),
        ({"modelArtifact": {"path": "x", "version": "1/2"}}, "modelArtifact.version: expected a version such as"),
        ({"modelArtifact": {"path": "x", "trust": "yes"}}, 'modelArtifact.trust: expected true or false, got "yes"'),
        (
            {"deploymentStrategy": "cannary"},
            'expected one of rolling, canary, blue-green, shadow, ab-test, got "cannary"; did you mean canary?',
        ),
        ({"name": "my/model"}, 'got "my/model"; try "my-model"'),
        ({"name": "v2"}, "reserved"),
        ({"name": 7}, "got 7"),
        ({"steps": [5, 3, 100]}, "steps: expected weights that rise and end with 100, such as [5, 25, 50, 100]"),
        ({"steps": [5, 50]}, "got [5, 50]"),
        ({"steps": [5, 5, 100]}, "got [5, 5, 100]"),
        ({"steps": []}, "steps: expected 1 or more items, got []"),
        ({"steps": 5}, "steps: expected a list, got 5"),
        (
            {"steps": [0, 100]},
            "steps[0]: expected a percentage from 0.01 to 100 with at most two decimals, got 0",
        ),
        ({"steps": [5, 101]}, "steps[1]: expected a percentage from 0.01 to 100"),
        ({"steps": [0.125, 100]}, "steps[0]: expected a percentage from 0.01 to 100 with at most two decimals"),
        ({"steps": "quick"}, 'steps: expected a list of steps, or one of cautious, standard, fast, got "quick"'),
        ({"steps": [{"pause": "a while"}, 100]}, 'steps[0].pause: expected "person", or a duration'),
        ({"steps": [{"weight": 5, "bake": "1m"}, 100]}, "steps[0]: expected one of weight, shadow, pause and bake"),
        ({"steps": [{"pause": "1m", "duration": "1m"}, 100]}, "steps[0]: expected no duration beside pause"),
        ({"steps": [{"bake": "1m"}, 100]}, "steps: expected bake after the weight of 100"),
        ({"steps": [5, {"shadow": 5}, 100]}, "steps: expected shadow before the first weight"),
        ({"steps": [{"shadow": 5}]}, "steps: expected at least one weight"),
        ({"deploymentStrategy": "shadow", "steps": [100]}, "steps: expected at least one shadow step"),
        ({"deploymentStrategy": "rolling", "steps": [100]}, "steps: expected no steps: rolling has its own"),
        (
            {"steps": [{"weight": 5, "replicas": 3}, 100]},
            "steps: expected replicas that do not fall, up to infrastructure.resources.replicas",
        ),
        ({"steps": [5, {"weight": 100, "replicas": 1}]}, "steps: expected replicas that do not fall"),
        ({"traffic": {"stickyBy": {}}}, "traffic.stickyBy: expected one of header and cookie"),
        ({"traffic": {"stickyBy": {"header": "a", "cookie": "b"}}}, "traffic.stickyBy: expected one of header and"),
        ({"traffic": {"stickyBy": {"header": "a b"}}}, "traffic.stickyBy.header: expected the name of a header"),
        ({"abTest": {"weight": 0}}, "abTest.weight: expected a percentage from 0.01 to 100"),
        (arms(("b.onnx", 20), ("b.skops", 20)), "abTest.arms: expected a name for each arm, none of them 'stable'"),
        (arms(("stable.onnx", 20)), "abTest.arms: expected a name for each arm, none of them 'stable'"),
        (arms(("b.onnx", 60), ("c.onnx", 40)), "abTest.arms: expected weights that leave something of 100 for stable"),
        (arms(*((f"m{at}.onnx", 1) for at in range(8))), "abTest.arms: expected at most 7 items"),
        (arms(("b.onnx", 20), weight=50), "abTest.weight: expected no weight beside arms"),
        (
            arms(("b.onnx", 20), deploymentStrategy="canary"),
            "abTest.arms: expected no arms: they are for deploymentStrategy ab-test",
        ),
        (
            arms(("b.onnx", 20), match={"header": "a", "cookie": "b", "value": "c"}),
            "abTest.arms[0].match: expected one of header and cookie",
        ),
        (
            arms(("b.onnx", 20), match={"header": "x-group", "value": "a b"}),
            "abTest.arms[0].match.value: expected a value of letters, digits",
        ),
        ({"blueGreen": {"switch": "later"}}, 'blueGreen.switch: expected one of auto, person, got "later"'),
        ({"rolling": {"maxSurge": 0}}, "rolling.maxSurge: expected 1 or more, got 0"),
        ({"steps": [True, 100]}, "steps[0]: expected an object with the fields weight, shadow, pause, bake"),
        ({"steps": ["5%", 100]}, "steps[0]: expected an object with the fields weight, shadow, pause, bake"),
        (
            {"infrastructure": {"resources": {"replicas": 0}}},
            "infrastructure.resources.replicas: expected 1 or more, got 0",
        ),
        ({"traffic": {"timeout": "50ms"}}, "traffic.timeout: expected more than servingRequirements.latencyP99"),
        (
            {"analysis": {"interval": "5s"}, "steps": [{"weight": 5, "duration": "2s"}, 100]},
            "analysis.interval: expected no more than the shortest step, which is 2s",
        ),
        ({"batching": {"maxRequests": 0}}, "batching.maxRequests: expected 1 or more, got 0"),
        ({"batching": {"maxRequests": True}}, "batching.maxRequests: expected a whole number, got true"),
        ({"batching": {"maxRows": 2_000_000}}, "batching.maxRows: expected 1000000 or less, got 2000000"),
        ({"cache": "memory"}, "cache: expected an object with the fields store, ttl, maxSize"),
        ({"cache": {"store": "memcached"}}, 'cache.store: expected one of off, memory, redis, got "memcached"'),
        ({"cache": {"store": "Redis"}}, "did you mean redis?"),
        ({"cache": {"ttl": "0s"}}, 'cache.ttl: expected a value from 1ms to 24h, got "0s"'),
        ({"cache": {"maxSize": "64"}}, 'cache.maxSize: expected an amount of memory such as "512Mi" or "2GB"'),
        ({"predictionLog": {"sample": 0.1}}, 'predictionLog.sample: expected a share such as "99.9%", got 0.1'),
        ({"predictionLog": {"sink": "jsonl"}}, "predictionLog.sink: expected a sink and its argument"),
        (
            {"predictionLog": {"sink": "jsonl:/log/{replica}.jsonl"}},
            'in it, got "jsonl:/log/{replica}.jsonl"; every replica writes a file of its own',
        ),
        ({"predictionLog": {"sink": "store"}}, "predictionLog.sink: expected a sink and its argument"),
        ({"predictionLog": {"sink": "postgresql://ada:swordfish@db/x"}}, "expected a URL without a password"),
        ({"predictionLog": {"personal": {"drop": [""]}}}, "predictionLog.personal.drop[0]"),
        (
            {"predictionLog": {"personal": {"drop": ["a", "b"], "hash": ["b"]}}},
            'predictionLog.personal: expected each name in drop or in hash, got ["b"]',
        ),
        ({"drift": {}}, "drift.reference: required, and missing"),
        (
            {"drift": {"reference": "r", "moderate": 0.3}},
            "drift.large: expected drift.moderate (0.3) or more, got 0.25",
        ),
        ({"drift": {"reference": "r", "moderate": 0}}, "drift.moderate: expected"),
        (
            {"drift": {"reference": "r", "period": "1m"}},
            "drift.period: expected no less than drift.interval, which is 5m",
        ),
        ({"drift": {"reference": "r", "alpha": 0.01}}, 'drift.alpha: expected a share such as "99.9%", got 0.01'),
        ({"drift": {"reference": "r", "columns": ["a", "a"]}}, "drift.columns: expected each column once"),
        ({"drift": {"reference": "r", "quality": {"drop": 1}}}, "drift.quality.drop: expected"),
        ({"drift": {"reference": "r", "quality": {"kind": "words"}}}, "drift.quality.kind: expected"),
        ({"drift": {"reference": "r", "referencePeriod": "1s"}}, "drift.referencePeriod: expected"),
        ({"infrastructure": {"resources": {"workers": 0}}}, "infrastructure.resources.workers: expected 1 or more"),
        ({"analysis": {"onInconclusive": "stop"}}, "expected one of pause, rollback, continue"),
        ({"description": "x" * 2001}, "description: expected at most 2000 characters"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(changes: dict[str, Any], told: str) -> None:
    assert told in str(refusal(**changes))


def test_the_workers_of_a_replica_may_log_to_its_one_file() -> None:
    sink = "jsonl:/log/{revision}-{replica}.jsonl"
    resources = {"workers": 2}
    request = parse_request({**SMALLEST, "infrastructure": {"resources": resources}, "predictionLog": {"sink": sink}})
    assert request.infrastructure.resources.workers == 2


def test_all_problems_come_in_one_error_with_a_line_each() -> None:
    error = refusal(servingRequirements={"latencyP99": "fast"}, name="my/model", steps=[50, 5], colour="red")
    first, *lines = str(error).splitlines()
    assert first == "the deployment request has 4 problems:"
    assert [line.strip().partition(":")[0] for line in lines] == [
        "servingRequirements.latencyP99",
        "name",
        "steps",
        "colour",
    ]


def test_a_very_wrong_request_is_cut_short() -> None:
    error = refusal(**{f"field{number}": 1 for number in range(50)})
    assert len(str(error).splitlines()) == 22
    assert "and 30 more" in str(error)


def test_odd_names_and_values_are_printable_in_messages() -> None:
    told = str(refusal(**{"a\nb": 1, "x" * 10_000: 3, "name": "\ud800\x1b[31m"}))
    assert told.encode("utf-8")
    assert "\x1b" not in told
    assert len(told.splitlines()) == 4
    assert len(told) < 1000
    assert "text that UTF-8 can express" in str(refusal(**{"\ud800": 1}))


def test_long_values_are_cut_short_in_messages() -> None:
    assert len(str(refusal(deploymentStrategy="x" * 10_000))) < 300


@pytest.mark.parametrize("data", [None, [], "x", 3])
def test_what_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInput, match="expected an object"):
        parse_request(data)


def test_relative_paths_count_from_a_folder() -> None:
    document = {**SMALLEST, "modelArtifact": {"path": "m/churn.onnx", "sample": "/data/rows.json"}}
    request = parse_request(document).anchored(PurePosixPath("/home/ada"))
    assert request.model_artifact.path == "/home/ada/m/churn.onnx"
    assert request.model_artifact.sample == "/data/rows.json"


def test_a_relative_reference_of_drift_counts_from_a_folder() -> None:
    request = parse_request({**SMALLEST, "drift": {"reference": "reference.json"}}).anchored(PurePosixPath("/home/ada"))
    assert request.drift is not None
    assert request.drift.reference == "/home/ada/reference.json"


def test_a_relative_path_of_the_prediction_log_counts_from_a_folder_and_other_sinks_have_none() -> None:
    def anchored(sink: str) -> str | None:
        request = parse_request({**SMALLEST, "predictionLog": {"sink": sink}})
        return request.anchored(PurePosixPath("/home/ada")).prediction_log.sink

    assert anchored("jsonl:log/{revision}-{replica}.jsonl") == "jsonl:/home/ada/log/{revision}-{replica}.jsonl"
    assert anchored("jsonl:/log/{revision}-{replica}") == "jsonl:/log/{revision}-{replica}"
    assert anchored("kafka:host/topic") == "kafka:host/topic"
    assert anchored("store:") == "store:"
    assert anchored("postgresql://replica@db/x") == "postgresql://replica@db/x"


def test_the_key_of_hashes_counts_from_a_folder_too() -> None:
    request = parse_request({**SMALLEST, "predictionLog": {"personal": {"hash": ["a"], "keyFile": "log.key"}}})
    assert request.anchored(PurePosixPath("/home/ada")).prediction_log.personal.key_file == "/home/ada/log.key"


def test_the_error_budget_is_what_availability_leaves() -> None:
    assert str(parse_request(SMALLEST).error_budget) == "1/1000"


durations = st.integers(min_value=1, max_value=600).map(lambda seconds: f"{seconds}s")
hundredths = st.integers(min_value=1, max_value=9_999).map(lambda share: share / 100)
weights = st.sets(hundredths, max_size=8).map(lambda found: [*sorted(found), 100])
ways = st.one_of(
    st.fixed_dictionaries({"deploymentStrategy": st.sampled_from(["rolling", "blue-green", "shadow", "ab-test"])}),
    st.fixed_dictionaries({"steps": weights | st.sampled_from(["cautious", "standard", "fast"])}),
    st.fixed_dictionaries(
        {
            "deploymentStrategy": st.sampled_from(["canary", "shadow"]),
            "steps": st.tuples(hundredths, st.sampled_from(["person", "5m"]), weights, durations).map(
                lambda parts: [{"shadow": parts[0]}, {"pause": parts[1]}, *parts[2], {"bake": parts[3]}]
            ),
        }
    ),
)
requests = st.fixed_dictionaries(
    {
        "modelArtifact": st.fixed_dictionaries({"path": st.text("abc/._-", min_size=1, max_size=20)}),
        "servingRequirements": st.fixed_dictionaries(
            {},
            optional={
                "latencyP99": st.integers(min_value=1, max_value=29_999).map(lambda ms: f"{ms}ms"),
                "throughput": st.integers(min_value=1, max_value=10**6).map(lambda rate: f"{rate}rps"),
                "availability": st.sampled_from(["99.9%", "95%", "99.999%"]),
            },
        ),
    },
    optional={
        "description": st.text(max_size=50),
        "analysis": st.fixed_dictionaries({"stepDuration": durations, "minRequests": st.integers(1, 10**6)}),
        "batching": st.fixed_dictionaries({}, optional={"maxRequests": st.integers(1, 4096)}),
        "cache": st.fixed_dictionaries({"store": st.sampled_from(["off", "memory", "redis"]), "ttl": durations}),
        "predictionLog": st.fixed_dictionaries(
            {"sink": st.just("jsonl:l/{revision}-{replica}"), "sample": st.just("5%")}
        ),
        "drift": st.fixed_dictionaries(
            {"reference": st.just("reference.json")},
            optional={
                "period": st.just("6h"),
                "alpha": st.just("0.1%"),
                "moderate": st.floats(0.01, 0.25),
                "together": st.booleans(),
                "quality": st.fixed_dictionaries(
                    {"drop": st.floats(0, 0.9)},
                    optional={"classes": st.just(["no", "yes"]), "kind": st.just("classes"), "rise": st.just("20%")},
                ),
            },
        ),
    },
)


@given(requests, ways)
def test_every_valid_request_round_trips_through_json(document: dict[str, Any], way: dict[str, Any]) -> None:
    request = parse_request({**document, **way})
    assert parse_request(json.loads(json.dumps(request.as_document()))) == request


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    [
        *("modelArtifact", "servingRequirements", "name", "steps", "analysis", "infrastructure", "traffic"),
        *("batching", "cache", "predictionLog", "sink", "store", "drift", "reference"),
        *("healthChecks", "deploymentStrategy", "description", "path", "weight", "resources"),
    ]
)


@given(st.dictionaries(fields | st.text(max_size=8), json_values, max_size=6))
def test_any_document_is_read_or_refused_as_bad_input(document: dict[str, Any]) -> None:
    told = ""
    try:
        parse_request({**SMALLEST, **document})
    except InvalidInput as error:
        told = str(error)
    assert len(told.encode("utf-8")) < 10_000


def test_an_arm_is_named_by_its_file_and_served_with_the_settings_of_the_document() -> None:
    test = arms(("b.onnx", 20), ("c.onnx", 0.5), traffic={"timeout": "9s"})
    request = parse_request({**SMALLEST, **test}).anchored(PurePosixPath("/m"))
    assert [arm.name for arm in request.ab_test.arms] == ["b", "c"]
    assert request.ab_test.challengers_weight == 20.5
    first, second = request.candidates
    assert (first.model_artifact.path, second.model_artifact.path) == ("/m/b.onnx", "/m/c.onnx")
    assert {one.traffic.timeout.seconds for one in (first, second)} == {9.0}
    assert {one.name for one in (first, second)} == {"churn"}
    assert parse_request(second.as_document()) == second


def test_without_arms_the_candidate_is_the_one_challenger() -> None:
    request = parse_request({**SMALLEST, "deploymentStrategy": "ab-test"})
    assert request.candidates == (request,)
    assert request.ab_test.challengers_weight == 50
