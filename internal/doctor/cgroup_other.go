//go:build !linux

package doctor

// cgroupLimit is the strictest limit of a controller on this process.
type cgroupLimit struct {
	max, current uint64
	file         string
}

// readCgroup finds none: only Linux has cgroups.
func readCgroup(string, string) (cgroupLimit, bool) { return cgroupLimit{}, false }
