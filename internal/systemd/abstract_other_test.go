//go:build !linux

package systemd

const abstractSockets = false
