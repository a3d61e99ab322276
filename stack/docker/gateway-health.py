"""Exit with 0 where the parent of the Envoys answers. Whether Envoy does, the controller sees to."""

import socket
import sys

SOCKET = "/var/lib/tidegate/gateway/parent.sock"

with socket.socket(socket.AF_UNIX) as connection:
    connection.settimeout(4)
    try:
        connection.connect(SOCKET)
        connection.sendall(b'"health"\n')
        told = connection.recv(4096)
    except OSError as error:
        sys.exit(f"{SOCKET}: {error}")
if b'"envoys"' not in told:
    sys.exit(f"{SOCKET}: no answer")
