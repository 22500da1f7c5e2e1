//go:build !linux

package supervisor

// becomeSubreaper does nothing: only Linux has subreapers. Orphaned descendants
// go to PID 1, which reaps them.
func becomeSubreaper() error { return nil }
