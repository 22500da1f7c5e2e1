#!/bin/sh
# After the deb or rpm: the user of snakepit@.service. Nothing is started.
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
  systemd-sysusers /usr/lib/sysusers.d/snakepit.conf
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
fi
