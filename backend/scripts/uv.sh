#!/bin/sh
# Prints the path of a working uv. Takes the one on PATH, or makes one in .tools from what the machine has:
# a fresh Debian has neither ensurepip nor permission to pip-install into the system (PEP 668).
set -eu
if command -v uv >/dev/null 2>&1; then command -v uv; exit 0; fi
tools="$(pwd)/.tools"
[ -x "$tools/bin/uv" ] && { echo "$tools/bin/uv"; exit 0; }
as_root=; [ "$(id -u)" = 0 ] || as_root=sudo
if python3 -c 'import ensurepip' 2>/dev/null; then
  python3 -m venv "$tools" >&2
elif python3 -m pip --version >/dev/null 2>&1; then
  python3 -m venv --without-pip "$tools" >&2
  python3 -m pip --python "$tools/bin/python" install -q uv >&2
else
  $as_root apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive $as_root apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends python3-venv >&2
  python3 -m venv "$tools" >&2
fi
[ -x "$tools/bin/uv" ] || "$tools/bin/python" -m pip install -q uv >&2
echo "$tools/bin/uv"
