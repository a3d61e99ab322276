"""Documents that are right, and documents that are wrong in one way, for tests of models and schemas alike."""

from __future__ import annotations

from typing import Any

SMALLEST: dict[str, Any] = {"modelArtifact": {"path": "churn.onnx"}, "servingRequirements": {}}

VALID_REQUESTS: dict[str, dict[str, Any]] = {
    "smallest": SMALLEST,
    "full": {
        "modelArtifact": {
            "path": "churn.pkl",
            "framework": "sklearn",
            "version": "7",
            "trust": True,
            "sample": "rows.json",
        },
        "servingRequirements": {"latencyP99": "50ms", "throughput": "500rps", "availability": "99.95%"},
        "name": "churn",
        "description": "Who leaves next month.",
        "deploymentStrategy": "canary",
        "infrastructure": {
            "platform": "kubernetes",
            "namespace": "ml",
            "resources": {"replicas": 3, "workers": 2, "threads": 2},
        },
        "steps": [
            {"shadow": 20, "duration": "10m", "replicas": 1},
            {"weight": 0.5, "replicas": 1},
            {"weight": 10, "duration": "2m", "replicas": 1},
            {"pause": "person"},
            {"pause": "90s"},
            {"weight": 100},
            {"bake": "1h"},
        ],
        "analysis": {
            "stepDuration": "5m",
            "interval": "2s",
            "baseline": "1m",
            "minRequests": 200,
            "margin": "0.5%",
            "alpha": "0.1%",
            "onInconclusive": "rollback",
        },
        "healthChecks": {"readyWithin": "30s", "maxRestarts": 0},
        "gates": {
            "allowBreaking": True,
            "requireReason": True,
            "golden": "golden.yaml",
            "vulnerabilities": {"database": "osv.zip", "onFound": "refuse", "ignore": ["CVE-2025-1"]},
        },
        "traffic": {"timeout": "10s"},
    },
    "named steps": {**SMALLEST, "steps": "cautious"},
    "blue-green": {
        **SMALLEST,
        "deploymentStrategy": "blue-green",
        "blueGreen": {"preview": "0s", "switch": "person", "bake": "30m"},
    },
    "rolling": {
        **SMALLEST,
        "deploymentStrategy": "rolling",
        "rolling": {"maxSurge": 2, "maxUnavailable": 1, "hold": "5s"},
    },
    "ab-test": {
        **SMALLEST,
        "deploymentStrategy": "ab-test",
        "abTest": {"weight": 33.5},
        "traffic": {"stickyBy": {"header": "x-user-id"}},
    },
    "ab-test with arms": {
        **SMALLEST,
        "deploymentStrategy": "ab-test",
        "abTest": {
            "arms": [
                {"modelArtifact": {"path": "b.onnx"}, "weight": 20, "match": {"header": "x-group", "value": "beta"}},
                {"name": "small", "modelArtifact": {"path": "c.onnx", "version": "2"}, "weight": 0.5},
            ],
        },
    },
    "shadow": {**SMALLEST, "deploymentStrategy": "shadow"},
    "optional fields null": {**SMALLEST, "description": None},
}

#: Wrong by themselves: both the schema and the model refuse them.
INVALID_REQUESTS: dict[str, Any] = {
    "arm without weight": {
        **SMALLEST,
        "deploymentStrategy": "ab-test",
        "abTest": {"arms": [{"modelArtifact": {"path": "b.onnx"}}]},
    },
    "arm without model": {**SMALLEST, "deploymentStrategy": "ab-test", "abTest": {"arms": [{"weight": 20}]}},
    "not an object": [],
    "empty": {},
    "no requirements": {"modelArtifact": {"path": "m"}},
    "no artifact": {"servingRequirements": {}},
    "no path": {"modelArtifact": {}, "servingRequirements": {}},
    "empty path": {"modelArtifact": {"path": ""}, "servingRequirements": {}},
    "unknown field": {**SMALLEST, "colour": "red"},
    "unknown inner field": {**SMALLEST, "servingRequirements": {"latencyP9": "50ms"}},
    "snake case": {**SMALLEST, "deployment_strategy": "canary"},
    "a later version's field": {**SMALLEST, "drift": {}},
    "gates as a list": {**SMALLEST, "gates": []},
    "allowing as text": {**SMALLEST, "gates": {"allowBreaking": "yes"}},
    "demanding a reason in words": {**SMALLEST, "gates": {"requireReason": "why?"}},
    "no unit": {**SMALLEST, "servingRequirements": {"latencyP99": "50"}},
    "number for quantity": {**SMALLEST, "servingRequirements": {"latencyP99": 50}},
    "unknown unit": {**SMALLEST, "servingRequirements": {"throughput": "5qps"}},
    "share without sign": {**SMALLEST, "servingRequirements": {"availability": "0.999"}},
    "unknown strategy": {**SMALLEST, "deploymentStrategy": "big-bang"},
    "unknown platform": {**SMALLEST, "infrastructure": {"platform": "nomad"}},
    "name with slash": {**SMALLEST, "name": "my/model"},
    "reserved name": {**SMALLEST, "name": "v2"},
    "no steps": {**SMALLEST, "steps": []},
    "step too small": {**SMALLEST, "steps": [0, 100]},
    "step too large": {**SMALLEST, "steps": [50, 101]},
    "step as text": {**SMALLEST, "steps": ["50", 100]},
    "step without weight": {**SMALLEST, "steps": [{"duration": "1m"}, 100]},
    "unknown field in a step": {**SMALLEST, "steps": [{"weight": 5, "pause": True}, 100]},
    "no replica": {**SMALLEST, "infrastructure": {"resources": {"replicas": 0}}},
    "replicas as text": {**SMALLEST, "infrastructure": {"resources": {"replicas": "2"}}},
    "half a replica": {**SMALLEST, "infrastructure": {"resources": {"replicas": 1.5}}},
    "trust as text": {**SMALLEST, "modelArtifact": {"path": "m", "trust": "yes"}},
    "version as number": {**SMALLEST, "modelArtifact": {"path": "m", "version": 2}},
    "unknown answer": {**SMALLEST, "analysis": {"onInconclusive": "hope"}},
}

#: Right field by field and wrong together, or out of a quantity's bounds: only the model can say so.
CONTRADICTORY_REQUESTS: dict[str, dict[str, Any]] = {
    "falling steps": {**SMALLEST, "steps": [50, 5, 100]},
    "steps that end early": {**SMALLEST, "steps": [5, 50]},
    "timeout below objective": {**SMALLEST, "traffic": {"timeout": "50ms"}},
    "interval above step": {**SMALLEST, "analysis": {"interval": "5m", "stepDuration": "1m"}},
    "objective of nothing": {**SMALLEST, "servingRequirements": {"latencyP99": "0ms"}},
    "margin of nothing": {**SMALLEST, "analysis": {"margin": "0%"}},
    "no error budget": {**SMALLEST, "servingRequirements": {"availability": "100%"}},
}

RESULT: dict[str, Any] = {
    "name": "churn",
    "revision": 2,
    "deploymentConfig": {
        "containerImage": None,
        "replicas": 2,
        "resources": {"replicas": 2, "workers": 1, "threads": 1, "memoryPerReplica": "180Mi"},
        "strategy": "canary",
        "platform": "local",
        "bundle": "sha256:" + "a1" * 32,
        "runtime": "onnx",
        "modelVersion": "2",
    },
    "servingEndpoint": {
        "url": "http://127.0.0.1:8080/churn",
        "healthEndpoint": "http://127.0.0.1:8080/churn/v2/health/ready",
        "metricsEndpoint": "http://127.0.0.1:8081/v1/deployments/churn/metrics",
        "predictEndpoint": "http://127.0.0.1:8080/churn/predict",
        "inferEndpoint": "http://127.0.0.1:8080/churn/v2/models/churn/infer",
        "previewEndpoint": "http://127.0.0.1:8080/churn@preview",
        "grpcEndpoint": "127.0.0.1:8080",
    },
    "trafficConfig": {
        "canaryPercent": 0,
        "shadowPercent": 20,
        "rolloutSchedule": [
            {"weight": 0, "shadow": 20, "until": "pass", "duration": "1m"},
            {"weight": 100, "until": "person"},
        ],
        "reasonRequired": True,
        "rollbackTriggers": [
            {"signal": "errors", "condition": "the candidate fails 2% more often than stable", "threshold": 0.02}
        ],
    },
    "monitoring": {
        "metrics": ["tidegate_gateway_requests_total"],
        "alerts": [{"name": "TidegateHighErrorRate", "file": "/home/ada/monitoring/churn.rules.yml"}],
        "dashboards": ["/home/ada/monitoring/churn.dashboard.json"],
    },
    "rollout": {"id": "7", "phase": "promoted", "reason": "every step passed", "reportPath": "/home/ada/7.json"},
}

#: Wrong results: path to the field to replace, and what to put there.
INVALID_RESULTS: dict[str, tuple[tuple[str, ...], Any]] = {
    "revision zero": (("revision",), 0),
    "no image field": (("deploymentConfig",), {}),
    "canary over 100": (("trafficConfig", "canaryPercent"), 101),
    "digest cut short": (("deploymentConfig", "bundle"), "sha256:a1"),
    "unknown phase": (("rollout", "phase"), "lost"),
    "alert without file": (("monitoring", "alerts"), [{"name": "X"}]),
}
