//go:build !linux

package rundir

// MaxSocketPath is the longest path of a Unix socket in bytes: on macOS and the
// BSDs sun_path has 104 bytes and the last one is a NUL (unix(4)).
const MaxSocketPath = 103
