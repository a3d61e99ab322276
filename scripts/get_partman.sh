#!/usr/bin/env bash
# Print below which folder a PostgreSQL 15 with pg_partman 5 is, laid out as Debian's below /usr: that of PostgreSQL's
# own packages, or a copy of Debian's in .tools/, for which pg_partman is built from its source without root.
#
# PARTMAN_SOURCE is another place of the source than GitHub: the URL or the folder of a clone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=5.1.0
commit=5d955cf735e15fa65fac4e478f9d8b4344b0ee7e
source=${PARTMAN_SOURCE:-https://github.com/pgpartman/pg_partman.git}
copy="$PWD/.tools/partman-$version"
extensions=/usr/share/postgresql/15/extension
programs=/usr/lib/postgresql/15
if grep -q "^default_version *= *'5[.]" "$extensions/pg_partman.control" 2>/dev/null; then
  echo /usr
  exit 0
fi
if [[ -d $copy ]]; then
  echo "$copy/usr"
  exit 0
fi
# The copy has version 4 as well: tests bring a database from that to 5.
if [[ ! -e $extensions/pg_partman.control || ! -e $programs/lib/pgxs/src/makefiles/pgxs.mk ]]; then
  echo "it is built with Debian's own: apt-get install postgresql-15-partman postgresql-server-dev-15 gcc git make" >&2
  exit 1
fi

mkdir -p .tools
work=$(mktemp -d "$PWD/.tools/partman.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

git init -q "$work/source"
git -C "$work/source" fetch -q --depth 1 "$source" "refs/tags/v$version" >&2
found=$(git -C "$work/source" rev-parse 'FETCH_HEAD^{commit}')
if [[ $found != "$commit" ]]; then
  echo "the tag v$version of $source is $found, and not $commit as when it was written down" >&2
  exit 1
fi
git -C "$work/source" checkout -q FETCH_HEAD

# PostgreSQL finds what belongs to it by where its programs lie.
mkdir -p "$work"/copy/usr/{lib,share}/postgresql
cp -R "$programs" "$work/copy/usr/lib/postgresql/"
cp -R /usr/share/postgresql/15 "$work/copy/usr/share/postgresql/"
build() { make -C "$work/source" --silent PG_CONFIG="$programs/bin/pg_config" with_llvm=no "$@" >&2; }
build
build DESTDIR="$work/copy" install
# Renamed into place, so that two at once do no harm: the first one's is taken.
mv -T "$work/copy" "$copy" 2>/dev/null || [[ -d $copy ]]
echo "$copy/usr"
