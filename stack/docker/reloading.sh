#!/bin/sh
# Runs a server and has it read its files again (SIGHUP) whenever they change: certificates that were renewed, rules of a new
# deployment, the address of a container that was replaced. A server that takes no SIGHUP for a reload is not for this.
#
#   reloading.sh SECONDS FINGERPRINT COMMAND...
#
# SECONDS lie between two looks; FINGERPRINT is a command of the shell whose output changes when the server is to read anew.
set -u
seconds=$1
fingerprint=$2
shift 2

look() { sh -c "$fingerprint" 2>/dev/null || true; }

# Before the start: a change while the server starts is told once too often, rather than never.
seen=$(look)
"$@" &
server=$!
trap 'kill -TERM "$server" 2>/dev/null' TERM INT
trap 'kill -QUIT "$server" 2>/dev/null' QUIT
trap 'kill -HUP "$server" 2>/dev/null' HUP
while kill -0 "$server" 2>/dev/null; do
  # In the background, so that a signal is acted on at once.
  sleep "$seconds" &
  wait $!
  now=$(look)
  if [ "$now" != "$seen" ]; then
    seen=$now
    kill -HUP "$server" 2>/dev/null
  fi
done
wait "$server"
