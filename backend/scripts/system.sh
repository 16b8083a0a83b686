#!/bin/sh
# Installs the Debian/Ubuntu packages that are missing: `system.sh demo` what running needs, `system.sh test` what the tests need too.
set -eu
need=""
have() { command -v "$1" >/dev/null 2>&1; }
ldconfig -p | grep -q 'libmagic\.so' || need="$need libmagic1"
if [ "${1:-demo}" = test ]; then
  have chromium || have chromium-browser || need="$need chromium"
  have pg_virtualenv && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need="$need postgresql postgresql-common"
  [ -x /usr/sbin/clamd ] || need="$need clamav-daemon"
  # Playwright's bundled node is linked against it; a bare system lacks it.
  ldconfig -p | grep -q 'libatomic\.so\.1' || need="$need libatomic1"
  fc-list 2>/dev/null | grep -qi liberation || need="$need fonts-liberation"
fi
[ -z "$need" ] && exit 0
have apt-get || { echo "please install:$need" >&2; exit 1; }
as_root=
if [ "$(id -u)" != 0 ]; then
  have sudo || { echo "please run as root: apt-get install$need" >&2; exit 1; }
  as_root=sudo
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# Another apt may hold the lock for minutes on a machine that has just started.
$as_root apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends $need >/dev/null
