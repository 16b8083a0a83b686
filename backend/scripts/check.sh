#!/bin/sh
# Format, lint and types, of Python and TypeScript.
set -eu
.venv/bin/ruff format --check -q .
.venv/bin/ruff check -q .
.venv/bin/mypy --no-error-summary
(cd backend/frontend && npm run --silent lint)
