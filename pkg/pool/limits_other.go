//go:build unix && !linux

package pool

// systemLimits are the limits that this system tells.
func systemLimits(Demand) []limit { return openFiles() }
