"""nginx, Prometheus, Grafana and PostgreSQL of the stack: what their files say, read without Docker."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.prometheus import program
from tidegate.observe.dashboard import dashboard_text
from tidegate.store.definition import ROLES

STACK = Path(__file__).resolve().parents[2] / "stack"


def text_of(path: str) -> str:
    return (STACK / path).read_text(encoding="utf-8")


def directives(path: str) -> str:
    """Return a file of nginx without comments."""
    return re.sub(r"^\s*#.*$", "", text_of(path), flags=re.M)


def test_the_edge_of_the_world_speaks_tls_from_1_2_on_and_http_2_and_says_to_stay_there() -> None:
    text = directives("docker/nginx.conf")
    assert "ssl_protocols TLSv1.2 TLSv1.3;" in text
    assert "listen 8443 ssl http2;" in text
    assert 'add_header Strict-Transport-Security "max-age=63072000" always;' in text
    assert "return 308 https://$host$request_uri;" in text
    ciphers = re.findall(r"ssl_ciphers ([^;]+);", text)[0].split(":")
    assert all(cipher.startswith("ECDHE-") and ("GCM" in cipher or "POLY1305" in cipher) for cipher in ciphers)


@pytest.mark.parametrize("file", ["docker/nginx.conf", "docker/nginx-edge.conf"])
def test_both_edges_have_the_same_limits_and_way_to_models(file: str) -> None:
    included = re.findall(r"include (nginx/\w+\.conf);", directives(file))
    assert {"nginx/http.conf", "nginx/limits.conf", "nginx/upstreams.conf", "nginx/models.conf"} <= set(included)
    assert all((STACK / "docker" / name).exists() for name in included)


def test_a_line_of_the_log_holds_nothing_that_users_sent_but_the_path() -> None:
    format_ = re.findall(r"log_format json escape=json\s+(.*?);\n", directives("docker/nginx/http.conf"), re.S)[0]
    variables = set(re.findall(r"\$(\w+)", format_))
    assert not variables & {"request", "request_uri", "args", "query_string", "request_body", "http_authorization"}
    # Quoted where it can be no number.
    assert '"status":$status' in format_


def test_rules_of_the_stack_load_in_prometheus() -> None:
    program()
    own = Path(__file__).resolve().parents[2] / ".tools" / "promtool"
    promtool = shutil.which("promtool") or str(own)
    for file in (STACK / "prometheus/rules").glob("*.yml"):
        done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_data_source_of_grafana_is_one_that_dashboards_of_deployments_can_choose() -> None:
    (source,) = yaml.safe_load(text_of("grafana/provisioning/datasources/prometheus.yml"))["datasources"]
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"
    assert '"type": "datasource"' in dashboard_text("churn")
    assert '"query": "prometheus"' in dashboard_text("churn")


def test_grafana_reads_dashboards_where_the_controller_writes_them() -> None:
    (provider,) = yaml.safe_load(text_of("grafana/provisioning/dashboards/tidegate.yml"))["providers"]
    services = yaml.safe_load(text_of("docker-compose.yml"))["services"]
    mounted = {
        volume["target"]: volume["source"] for volume in services["grafana"]["volumes"] if isinstance(volume, dict)
    }
    assert mounted[provider["options"]["path"]] == "monitoring"
    assert "monitoring:/var/lib/tidegate/monitoring" in services["tidegate"]["volumes"]


def test_a_login_is_a_member_of_one_role_that_the_store_knows() -> None:
    text = text_of("warehouse/logins.sql") + text_of("warehouse/mage.sql")
    logins = dict(re.findall(r"CREATE ROLE (\w+) LOGIN PASSWORD :'\w+' IN ROLE (\w+);", text))
    assert logins == {
        "pipeline": "tidegate_controller",
        "delivery": "tidegate_controller",
        "replica": "tidegate_serving",
        "analyst": "tidegate_analyst",
    }
    assert set(logins.values()) <= set(ROLES)
