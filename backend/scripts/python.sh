#!/bin/sh
# Makes or refreshes .venv: `python.sh demo` with what running needs, `python.sh test` with what the tests need too.
set -eu
uv="$(sh backend/scripts/uv.sh)"
lock=requirements.txt; [ "${1:-demo}" = test ] && lock=requirements-test.txt
stamp=".venv/.installed-$(cat "$lock" pyproject.toml | sha256sum | cut -c1-16)"
[ -e "$stamp" ] && exit 0
[ -x .venv/bin/python ] || "$uv" venv -q .venv
# `sync` would take the test packages away again when the demo runs in a developer's clone.
"$uv" pip install -q --python .venv/bin/python --require-hashes -r "$lock"
"$uv" pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
touch "$stamp"
