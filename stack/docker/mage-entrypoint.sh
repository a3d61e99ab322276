#!/bin/sh
# Turns secrets, which are files, into what Mage and libpq read, lays out the project, and becomes Mage.
#
#   mage-entrypoint web_server             the pages and the API
#   mage-entrypoint scheduler              a worker: starts runs, and runs their blocks; as many as you like beside each other
#   mage-entrypoint server_and_scheduler   both, alone
#   mage-entrypoint COMMAND...             anything else
#
#   /run/secrets/mage_password    of Mage's login in its own database, for MAGE_DATABASE_CONNECTION_URL
#   /run/secrets/pipeline_password         of the pipelines' login in Tidegate's database, for PGPASSFILE
#   /run/secrets/mage_redis_password       of what workers agree by, for REDIS_URL
#   /run/secrets/mage_admin_password             of the user admin, as the first start makes it
#   /run/secrets/mage_session_key          signs who is signed in
#   /run/secrets/mage_trigger_token        starts pipelines through their API triggers
set -eu
secrets=/run/secrets
project=/tmp/project/mage_pipeline

role=${1:-}
case "$role" in
  web_server | scheduler | server_and_scheduler) shift ;;
  *) exec "$@" ;;
esac

umask 077
# libpq heeds it only where nobody else may read it.
printf '*:*:*:pipeline:%s\n' "$(sed 's/[\\:]/\\&/g' "$secrets/pipeline_password")" > "$PGPASSFILE"
MAGE_DATABASE_CONNECTION_URL="postgresql+psycopg2://mage:$(cat "$secrets/mage_password")@${POSTGRES_ADDRESS:-postgres:5432}/mage"
DEFAULT_OWNER_PASSWORD=$(cat "$secrets/mage_admin_password")
JWT_SECRET=$(cat "$secrets/mage_session_key")
REDIS_URL="redis://mage:$(cat "$secrets/mage_redis_password")@${MAGE_REDIS_ADDRESS:-mage-redis:6379}/0"
export MAGE_DATABASE_CONNECTION_URL DEFAULT_OWNER_PASSWORD JWT_SECRET REDIS_URL

# Mage goes on without a Redis that does not answer when it starts, and two workers would then run everything twice.
python -c 'import os, redis; redis.Redis.from_url(os.environ["REDIS_URL"]).ping()'

# The project is the image's, laid out anew at each start: what pipelines do is said in the repository, and nowhere else.
rm -rf "$project"
mkdir -p "$project"
cp -R /opt/mage_pipeline/. "$project"
token=$(cat "$secrets/mage_trigger_token")
for file in "$project"/pipelines/*/triggers.yaml; do
  sed -i "s/^    schedule_type: api\$/&\\n    token: $token/" "$file"
done

# What a container that was killed left there.
find /scratch -mindepth 1 -delete
cd "${project%/*}"
# Mage with its queue mended.
exec python "$project/start.py" start "$project" --host 0.0.0.0 --port 6789 --instance-type "$role" "$@"
