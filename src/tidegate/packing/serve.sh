#!/bin/sh
# Becomes the replica of the one bundle that is in the image.
# Options that were given come last, so they win: docker run IMAGE --threads 2
set -eu
exec python -m tidegate.server --bundle /opt/model/* --run-dir "${TMPDIR:-/tmp}/tidegate-replica" \
  --deployment "$TIDEGATE_MODEL" --revision 1 --model-version "$TIDEGATE_MODEL_VERSION" \
  --host 0.0.0.0 --port 8080 "$@"
