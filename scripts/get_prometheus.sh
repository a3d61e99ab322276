#!/usr/bin/env bash
# Print the folder with prometheus and promtool: PATH's, or .tools/, taken from Debian's package without root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
  dirname "$(command -v prometheus)"
  exit 0
fi
tools="$PWD/.tools"
if [[ -x $tools/promtool && -x $tools/prometheus ]]; then
  echo "$tools"
  exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  echo "prometheus and promtool are not on PATH, and this is no Debian system to take it from; install Prometheus" >&2
  exit 1
fi

mkdir -p .tools
work=$(mktemp -d "$PWD/.tools/prometheus.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

fetch() { (cd "$work" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download prometheus >&2); }

# A machine that has never updated its package lists does not know the package; updating them takes root.
if ! fetch 2>/dev/null; then
  if [[ $(id -u) -eq 0 ]]; then
    apt-get -qq update >&2
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n apt-get -qq update >&2
  fi
  fetch || { echo "apt-get cannot download the package prometheus" >&2; exit 1; }
fi
dpkg-deb -x "$work"/prometheus_*.deb "$work/unpacked"
# Renamed into place, so that two at once do no harm.
mv "$work"/unpacked/usr/bin/{promtool,prometheus} "$tools/"
echo "$tools"
