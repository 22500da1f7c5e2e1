//go:build !linux

package pool

// hostRoles are for tests of what only Linux has.
func hostRoles() map[string]func() { return nil }
