"""How Envoy comes to note which revision served which request.

A route of a deployment whose requests are to be noted marks them with a header, and Envoy writes a line for each
request that has it once the answer is complete: when, which cluster, and the request's id. Nothing else is written, and
nothing for requests without the mark. Copies of requests and the preview address pass no such route. A user who sends
the mark gets a line that the reader passes over, unless the deployment's requests are noted in any case.

`served_notes` reads the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

Resource = dict[str, Any]

MARK_HEADER = "x-tidegate-noted"

#: Longer ids are noted cut, and so joined to nothing.
LONGEST_ID = 200

_TYPES = "type.googleapis.com/envoy"


def mark() -> Resource:
    """Return what a route adds to requests that are to be noted."""
    return {"header": {"key": MARK_HEADER, "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def access_log(path: Path) -> Resource:
    """Return the log of marked requests. The id comes last: it is the client's, and may hold all but a line's end."""
    line = f"%EMIT_TIME(%s.%3f)% %UPSTREAM_CLUSTER_RAW% %REQ(X-REQUEST-ID):{LONGEST_ID + 1}%\n"
    return {
        "name": "envoy.access_loggers.file",
        "filter": {"header_filter": {"header": {"name": MARK_HEADER, "present_match": True}}},
        "typed_config": {
            "@type": f"{_TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(path),
            "log_format": {"text_format_source": {"inline_string": line}},
        },
    }
