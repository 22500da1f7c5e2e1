// Package orphans finds the processes that runs have left behind, proves it, and
// ends them. It joins what the processes show (pkg/procscan), what the runs have
// left on disk (internal/rundir) and which ports are held (pkg/portcheck).
//
// Find only looks. Kill ends nobody whom it has not judged itself, right before,
// with the lock of the dead run in its hands; a run that it cannot lock is left
// alone, but for its strays where that was asked for. A run without a directory,
// of another host, is judged by its processes alone.
package orphans
