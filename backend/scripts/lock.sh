#!/bin/sh
# Resolves anew and writes the hash-pinned requirement files. uv.lock itself holds registry addresses and stays out of git.
set -eu
uv="$(sh backend/scripts/uv.sh)"
"$uv" lock -q --upgrade
export_to() { file="$1"; shift; "$uv" export -q --frozen --no-emit-project --no-header --no-annotate "$@" -o "$file" >/dev/null; }
export_to requirements.txt --group build
export_to requirements-test.txt --group build --group dev
rm uv.lock
