//go:build !linux

package pool

// CgroupLimit is the strictest limit of a controller on this process.
type CgroupLimit struct {
	Max, Current uint64
	File         string
}

// ReadCgroupLimit finds none: only Linux has cgroups.
func ReadCgroupLimit(string, string) (CgroupLimit, bool) { return CgroupLimit{}, false }
