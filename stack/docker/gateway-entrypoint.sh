#!/bin/sh
# Runs the parent of the gateway's Envoys, and another one when it dies: what it started serves on, and with this script the
# whole container would end, and that of the controller, which shares its processes and its network.
#
#   gateway-entrypoint FOLDER
set -u
ending=
trap 'ending=yes; kill -TERM "$parent" 2>/dev/null' TERM INT
while [ -z "$ending" ]; do
  python -m tidegate.gateway.parent --folder "$1" &
  parent=$!
  # A signal ends the first wait.
  while kill -0 "$parent" 2>/dev/null; do
    wait "$parent"
  done
  if [ -z "$ending" ]; then
    echo "the parent of the Envoys ended: starting another" >&2
    # In the background, so that a signal is acted on at once.
    sleep 1 &
    wait $!
  fi
done
