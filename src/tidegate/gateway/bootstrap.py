"""What an Envoy is started with: the listener and the admin page, which last as long as its process. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidegate.gateway import grpc_routes, served
from tidegate.gateway.resources import ROUTES_NAME, STAT_PREFIX, address

Resource = dict[str, Any]

#: What we use of the admin page, and nothing that would end Envoy or change how it works.
ADMIN_PATHS = ("/stats", "/clusters", "/listeners", "/config_dump", "/server_info", "/drain_listeners", "/reopen_logs")

_TYPES = "type.googleapis.com/envoy"


def bootstrap(host: str, port: int, routes_file: Path, clusters_file: Path, served_file: Path) -> Resource:
    """Return what Envoy is started with. Port 0 lets the system choose; the admin page always does, on loopback."""
    return {
        "node": {"id": "tidegate", "cluster": "tidegate"},
        "admin": {
            "address": address("127.0.0.1", 0),
            "allow_paths": [{"prefix": path} for path in ADMIN_PATHS],
        },
        # Histograms are merged from the worker threads at this interval; counters are always current.
        "stats_flush_interval": "0.1s",
        "dynamic_resources": {
            "cds_config": {
                "path_config_source": {"path": str(clusters_file)},
                "resource_api_version": "V3",
            }
        },
        "static_resources": {"listeners": [_listener(host, port, routes_file, served_file)]},
    }


def _listener(host: str, port: int, routes_file: Path, served_file: Path) -> Resource:
    return {
        "name": "gateway",
        "address": address(host, port),
        # The Envoys of a gateway share the port, and the system spreads connections over those that live. That no
        # other gateway takes a share without a word is seen to by `process.reserved_port`.
        "enable_reuse_port": True,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _connection_manager(routes_file, served_file),
                    }
                ]
            }
        ],
    }


def _connection_manager(routes_file: Path, served_file: Path) -> Resource:
    return {
        "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": STAT_PREFIX,
        "codec_type": "AUTO",
        "rds": {
            "route_config_name": ROUTES_NAME,
            "config_source": {
                "path_config_source": {"path": str(routes_file)},
                "resource_api_version": "V3",
            },
        },
        # Users stand outside: their `x-envoy-*` headers must not set timeouts and retries.
        "use_remote_address": True,
        "normalize_path": True,
        # One id joins the user's log with what a replica recorded: keep the user's, untouched, or make one.
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{_TYPES}.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,
            }
        },
        "access_log": [served.access_log(served_file)],
        "local_reply_config": {
            "mappers": [
                {
                    "filter": {"and_filter": {"filters": [_is_error(), grpc_routes.is_no_call()]}},
                    "body_format_override": {"json_format": {"error": "%LOCAL_REPLY_BODY%"}},
                }
            ]
        },
        "http_filters": [
            *grpc_routes.http_filters(),
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.extensions.filters.http.router.v3.Router"},
            },
        ],
    }


def _is_error() -> Resource:
    value = {"default_value": 400, "runtime_key": "tidegate.first_error_status"}
    return {"status_code_filter": {"comparison": {"op": "GE", "value": value}}}
