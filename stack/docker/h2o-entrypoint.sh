#!/bin/sh
# Starts a node of H2O whose heap is 70 % of the container's memory limit. The rest is native memory: XGBoost, threads' stacks, the JVM itself.
#
# Both come from one number, the limit (H2O_MEMORY in docker-compose.yml), which is read here where the kernel enforces it: so they
# cannot disagree. Without a limit nothing is started: the JVM would take its share of the whole machine.
set -eu
percent=70

limit=
for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
  if [ -r "$file" ]; then
    limit=$(cat "$file")
    break
  fi
done
# The first kernel interface says "max" where there is no limit, the second a number that no machine has.
if [ -z "$limit" ] || [ "$limit" = max ] || [ "${#limit}" -gt 15 ]; then
  echo "this container has no memory limit, which the heap of H2O follows; expected: mem_limit in Compose, or docker run --memory 2g" >&2
  exit 1
fi
heap_mib=$((limit / 100 * percent / 1048576))
echo "memory limit $((limit / 1048576)) MiB, heap ${heap_mib} MiB (${percent} %)"
exec java "-Xms${heap_mib}m" "-Xmx${heap_mib}m" -XX:+ExitOnOutOfMemoryError -jar /opt/h2o/h2o.jar \
  -name tidegate -port 54321 -ice_root /tmp/h2o -log_dir /tmp/h2o/logs "$@"
