#!/bin/sh
# Turns secrets, which are files, into what Tidegate and libpq read, and becomes the command.
#
#   /run/secrets/delivery_password   of the controller's login, for PGPASSFILE
#   /run/secrets/replica_password    of the replicas' login, for PGPASSFILE
#   /run/secrets/redis_password      of the cache, for TIDEGATE_CACHE_URL
#   /run/secrets/controller_token    of the controller's API, for the home; without it the controller makes one
set -eu
secrets=/run/secrets

if [ -n "${PGPASSFILE:-}" ]; then
  # libpq heeds it only where nobody else may read it.
  (
    umask 077
    : > "$PGPASSFILE"
    for login in delivery replica; do
      if [ -r "$secrets/${login}_password" ]; then
        printf '*:*:*:%s:%s\n' "$login" "$(sed 's/[\\:]/\\&/g' "$secrets/${login}_password")" >> "$PGPASSFILE"
      fi
    done
  )
fi
if [ -r "$secrets/redis_password" ]; then
  TIDEGATE_CACHE_URL="redis://tidegate:$(cat "$secrets/redis_password")@${REDIS_ADDRESS:-redis:6379}/0"
  export TIDEGATE_CACHE_URL
fi
if [ -r "$secrets/controller_token" ]; then
  # Beside and renamed: half a token would lock everybody out.
  (
    umask 077
    cat "$secrets/controller_token" > "$TIDEGATE_HOME/.token.given"
    mv "$TIDEGATE_HOME/.token.given" "$TIDEGATE_HOME/token"
  )
fi
exec "$@"
