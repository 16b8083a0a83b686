#!/bin/sh
# Every check and test. Browser journeys run in a pytest of their own: after Playwright's sync calls no other event loop starts there.
set -eu
sh backend/scripts/check.sh
(cd backend/frontend && npm test --silent)
export LC_ALL=C.UTF-8
.venv/bin/python -m pytest tests --ignore=tests/journeys --ignore=tests/benchmarks
.venv/bin/python -m pytest tests/journeys
