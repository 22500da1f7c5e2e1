// Package portcheck answers for TCP ports of this machine: is it free to be
// bound, who holds it, when will it be free, which others are free.
//
// The answer comes from the kernel: the very address that a server is to bind
// is bound and listened on, and let go at once. So an answer is true for the
// instant in which it was given, and no port is ever reserved.
//
// The package knows nothing of pools and workers, keeps nothing, and ends
// nobody who is in the way. What a process says of itself it passes to a
// Marker, which the caller brings.
package portcheck
