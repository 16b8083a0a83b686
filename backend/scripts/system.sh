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
  [ -x /usr/sbin/dovecot ] || need="$need dovecot-imapd"
  have unzip || need="$need unzip"
  [ -x /usr/sbin/nginx ] || need="$need nginx"
  have systemd-analyze || need="$need systemd"
  have pdftotext || need="$need poppler-utils"
  # Playwright's bundled node is linked against it; a bare system lacks it.
  ldconfig -p | grep -q 'libatomic\.so\.1' || need="$need libatomic1"
fi
# For reports as PDF: what WeasyPrint stands on, and wkhtmltopdf where there is one (Debian 13 has none).
extra=""
ldconfig -p | grep -q 'libpangoft2-1\.0\.so' || extra="$extra libpango-1.0-0 libpangoft2-1.0-0"
ldconfig -p | grep -q 'libharfbuzz-subset\.so' || extra="$extra libharfbuzz-subset0"
have fc-list || extra="$extra fontconfig"
ls /usr/share/fonts/truetype/liberation* >/dev/null 2>&1 || extra="$extra fonts-liberation"
exists() { have apt-cache && [ -n "$(apt-cache madison "$1")" ]; }
# For its sake alone the lists of packages are not fetched anew at every start.
have wkhtmltopdf || { [ -z "$need$extra" ] && ! exists wkhtmltopdf; } || extra="$extra wkhtmltopdf"
[ -z "$need$extra" ] && exit 0
if [ -z "$need" ] && { ! have apt-get || { [ "$(id -u)" != 0 ] && ! have sudo; }; }; then
  echo "without$extra some reports cannot be made as PDF; everything else works" >&2
  exit 0
fi
have apt-get || { echo "please install:$need" >&2; exit 1; }
as_root=
if [ "$(id -u)" != 0 ]; then
  have sudo || { echo "please run as root: apt-get install$need" >&2; exit 1; }
  as_root=sudo
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
for package in $extra; do
  # Only what this release has: asking for one that it lacks would install nothing at all.
  if exists "$package"; then need="$need $package"; fi
done
[ -z "$need" ] && exit 0
# Another apt may hold the lock for minutes on a machine that has just started.
$as_root apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends $need >/dev/null
