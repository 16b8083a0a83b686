#!/bin/sh
# What the product is made of, as CycloneDX in the folder that is named: `sbom.sh FOLDER`. Read from the lock files, so that what is
# listed is what is installed, with its hashes.
set -eu
mkdir -p "$1"
.venv/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-format JSON \
  --output-file "$1/python.cdx.json" requirements.txt
npm sbom --prefix backend/frontend --package-lock-only --sbom-format cyclonedx --sbom-type application >"$1/javascript.cdx.json"
