package rundir

// MaxSocketPath is the longest path of a Unix socket in bytes: sun_path has 108
// bytes and the last one is a NUL (unix(7)).
const MaxSocketPath = 107
