#!/bin/sh
# Makes the secrets of the stack: passwords, and a self-signed certificate for development. What is there stays as it is.
#
#   ./secrets.sh                      for localhost
#   ./secrets.sh models.example.com   for that name, too
#   SECRETS_DIR=DIR ./secrets.sh      into another folder than secrets/; docker-compose.yml heeds the variable as well
#
# Into .env it writes the group of the engine's socket, where that is not said there and the secrets are in secrets/.
#
# The folder is yours alone. Its files can be read by everybody who gets into it: containers see single files, as users of their own.
# In production put your certificate and its key into secrets/tls, as tls.crt and tls.key; nginx takes them within seconds.
set -eu
umask 022
dir=${SECRETS_DIR:-$(dirname "$0")/secrets}
mkdir -p "$dir/tls"
chmod 700 "$dir"

made() { echo "made $dir/$1"; }

write() { # a file, its text: beside and renamed, so that nobody reads half of it
  printf '%s\n' "$2" > "$dir/.new"
  chmod 444 "$dir/.new"
  mv "$dir/.new" "$dir/$1"
  made "$1"
}

for login in postgres delivery replica analyst redis grafana pipeline mage mage_redis mage_admin; do
  [ -e "$dir/${login}_password" ] || write "${login}_password" "$(openssl rand -hex 24)"
done
# The controller's, for Mage's pipelines; of their API triggers; what signs who is signed in to Mage.
for name in controller_token mage_trigger_token mage_session_key; do
  [ -e "$dir/$name" ] || write "$name" "$(openssl rand -hex 24)"
done

users() { # a file, its user, the file of the password, what the user may
  [ -e "$dir/$1" ] && return
  digest=$(tr -d '\n' < "$dir/$3" | openssl dgst -sha256 -r | cut -d ' ' -f 1)
  write "$1" "user default off
user $2 on #$digest $4"
}
users redis_users tidegate redis_password '~* &* +@all -@dangerous +info'
users mage_redis_users mage mage_redis_password '~* +@read +@write +@connection -@dangerous'

if [ ! -e "$dir/tls/tls.crt" ]; then
  names=DNS:localhost,IP:127.0.0.1
  for name in "$@"; do names="$names,DNS:$name"; done
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=${1:-localhost}" \
    -addext "subjectAltName=$names" -keyout "$dir/tls/.key" -out "$dir/tls/.crt" 2>/dev/null
  chmod 444 "$dir/tls/.key" "$dir/tls/.crt"
  mv "$dir/tls/.key" "$dir/tls/tls.key"
  mv "$dir/tls/.crt" "$dir/tls/tls.crt"
  made "tls/tls.crt, self-signed, and its key"
elif [ $# -gt 0 ]; then
  echo "$dir/tls/tls.crt is there and stays as it is; remove it for another one, for: localhost $*" >&2
fi

# The group of the engine's socket, for the agent: Compose reads .env, which is beside docker-compose.yml.
socket=${DOCKER_SOCKET:-/var/run/docker.sock}
env=$(dirname "$0")/.env
if [ -z "${SECRETS_DIR:-}" ] && [ -S "$socket" ] && ! grep -qs '^DOCKER_GID=' "$env"; then
  printf 'DOCKER_GID=%s\n' "$(stat -L -c %g "$socket")" >> "$env"
  echo "wrote DOCKER_GID into $env"
fi
