# `make demo` to try Zegelpost, `make test` to check it. Both install what is missing, on Debian and Ubuntu.
.PHONY: demo test check assets frontend-modules lock benchmark scale sbom weaknesses campaign pictures clean-demo
.DEFAULT_GOAL := demo
PYTHON := .venv/bin/python
DIST := backend/zegelpost/web/static/dist/manifest.json
MODULES := backend/frontend/node_modules/.package-lock.json
export PORT ?= 8000

demo: assets
	@sh backend/scripts/system.sh demo
	@sh backend/scripts/python.sh demo
	@.venv/bin/zegelpost demo

test: assets
	@sh backend/scripts/system.sh test
	@sh backend/scripts/python.sh test
	@sh backend/scripts/test.sh

check: assets
	@sh backend/scripts/python.sh test
	@sh backend/scripts/check.sh

assets: $(DIST)

$(MODULES): backend/frontend/package-lock.json backend/frontend/package.json
	@node -e 'if (+process.versions.node.split(".")[0] < 20) { console.error("Zegelpost needs node 20 or newer"); process.exit(1) }'
	cd backend/frontend && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(DIST): $(MODULES) $(wildcard backend/frontend/*.mjs backend/frontend/*.json backend/frontend/css/* backend/frontend/src/* addin/src/* addin/src/*/* manifest/icons/*)
	cd backend/frontend && npm run --silent build
	@touch $@

lock:
	@sh backend/scripts/lock.sh

# Side by side with a Node tus server and nginx; installs them. `make benchmark QUICK=1` uses small sizes.
benchmark: assets
	@sh backend/scripts/python.sh test
	@$(PYTHON) -m tests.benchmarks $(if $(QUICK),--quick)

# A year of a large organisation in a PostgreSQL of its own, kept in FOLDER: `make scale FOLDER=/srv/year TRANSFERS=1000000`.
scale: assets
	@sh backend/scripts/python.sh test
	@$(PYTHON) -m tests.benchmarks.scale $(or $(FOLDER),/var/tmp/zegelpost-scale) --transfers $(or $(TRANSFERS),1000000)

# What the product is made of (CycloneDX), in FOLDER.
sbom: $(MODULES)
	@sh backend/scripts/python.sh test
	@sh backend/scripts/sbom.sh $(or $(FOLDER),sbom)

# Asks OSV about all of it. Fails on what is known, and on whatever it could not ask.
weaknesses: sbom
	@$(PYTHON) backend/scripts/known_weaknesses.py $(or $(FOLDER),sbom)/*.json

# The long run of killing the server at random moments.
campaign: assets
	@sh backend/scripts/python.sh test
	@ZEGELPOST_TEST_KILLS=2000 $(PYTHON) -m pytest tests/journeys/test_kill.py

# Every picture of the documentation anew, in both languages, from demonstrations of its own.
pictures: assets
	@sh backend/scripts/python.sh test
	@$(PYTHON) backend/scripts/pictures.py

clean-demo:
	rm -rf .demo
