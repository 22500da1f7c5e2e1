#!/bin/sh
# After the deb or rpm: the user of snakepit@.service. Nothing is started.
# DPKG_ROOT is where dpkg --root installs; else it is empty.
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
  systemd-sysusers --root="${DPKG_ROOT:-/}" snakepit.conf
fi
if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
fi
