#!/bin/sh
# Every check and test, in as many processes as there are processors, up to four. Browser journeys run in a pytest of their own:
# after Playwright's sync calls no other event loop starts there. A file stays in one process: what it starts, it starts once.
set -eu
sh backend/scripts/check.sh
(cd backend/frontend && npm test --silent)
export LC_ALL=C.UTF-8
processes=$(nproc)
[ "$processes" -le 4 ] || processes=4
.venv/bin/python -m pytest -n "$processes" --dist loadfile tests --ignore=tests/journeys --ignore=tests/benchmarks
# A browser on a busy machine now and then misses a press. What fails twice is broken; what was tried again is named at the end.
.venv/bin/python -m pytest -n "$processes" --dist loadfile --reruns 1 -r fER tests/journeys
