"""Ports that lead to more than a service's own users need."""

from __future__ import annotations

import re
from typing import Final

#: Of these none belongs into an image: a shell, files, a debugger, the machine itself.
ADMINISTRATION: Final = {
    21: "FTP",
    22: "SSH",
    23: "Telnet",
    111: "rpcbind",
    135: "Windows RPC",
    139: "NetBIOS",
    445: "SMB",
    512: "rexec",
    513: "rlogin",
    514: "rsh",
    2375: "the Docker engine without TLS",
    2376: "the Docker engine",
    3389: "Remote Desktop",
    5005: "the Java debugger",
    5678: "the Python debugger",
    5900: "VNC",
    5901: "VNC",
    6000: "X11",
    9229: "the Node.js debugger",
    10250: "the kubelet",
}
#: What keeps data: for the services beside it, and not for everyone who reaches the machine.
DATA: Final = {
    1433: "SQL Server",
    1521: "Oracle",
    2379: "etcd",
    3306: "MySQL",
    5432: "PostgreSQL",
    5984: "CouchDB",
    6379: "Redis",
    7000: "Cassandra",
    8086: "InfluxDB",
    9042: "Cassandra",
    9092: "Kafka",
    9200: "Elasticsearch",
    11211: "memcached",
    27017: "MongoDB",
    54321: "H2O",
}
_RANGE: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.I)


def named_in(written: str, names: dict[int, str]) -> list[tuple[int, str]]:
    """Return the ports of `names` in `22`, `20-25/tcp` or the like, with what listens there; UDP does not count."""
    match = _RANGE.fullmatch(written.strip())
    if match is None or (match[3] or "tcp").lower() != "tcp":
        return []
    first, last = int(match[1]), int(match[2] or match[1])
    return [(port, what) for port, what in names.items() if first <= port <= last]
