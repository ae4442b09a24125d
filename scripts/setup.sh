#!/bin/sh
# Installs the system packages that soloist needs and that are not there. Quick and silent when nothing is missing.
#
#   scripts/setup.sh         what the build needs
#   scripts/setup.sh test    what the integration tests need as well
set -eu

case "${1:-}" in
    "") with_tests= ;;
    test) with_tests=yes ;;
    *)
        echo "usage: scripts/setup.sh [test]" >&2
        exit 2
        ;;
esac

installed() {
    dpkg -s "$1" 2>/dev/null | grep -q '^Status: .* installed$'
}

missing=
# A cmake from elsewhere than the distribution does as well.
command -v cmake >/dev/null 2>&1 || missing="$missing cmake"
command -v c++ >/dev/null 2>&1 || missing="$missing g++"
# A machine without dpkg is asked for what can be looked for without it, and told of the rest below.
if command -v dpkg >/dev/null 2>&1; then
    installed libopenblas-dev || missing="$missing libopenblas-dev"
elif ! ls /usr/lib*/libopenblas.* /usr/lib/*/libopenblas.* /usr/local/lib/libopenblas.* >/dev/null 2>&1; then
    missing="$missing libopenblas-dev"
fi
# The tests run the mail server with the system's own python, so a package in another python does not count.
if [ -n "$with_tests" ] && ! /usr/bin/python3 -c 'import aiosmtpd' >/dev/null 2>&1; then
    missing="$missing python3-aiosmtpd"
fi
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "scripts/setup.sh: this machine has no apt-get; install these Debian packages, or what they are called here:$missing" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "scripts/setup.sh: neither root nor sudo; have these packages installed:$missing" >&2
        exit 1
    fi
    as_root=sudo
fi

install_missing() {
    # sudo drops the environment, so the setting goes through env; the words of $missing are separate packages.
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}

echo "scripts/setup.sh: installing$missing"
# The package lists may be absent or old. They are fetched only if it does not work without.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if install_missing >"$log" 2>&1; then
    exit 0
fi
if $as_root apt-get update -q >"$log" 2>&1 && install_missing >"$log" 2>&1; then
    exit 0
fi
cat "$log" >&2
echo "scripts/setup.sh: failed to install$missing" >&2
exit 1
