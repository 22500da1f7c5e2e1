// Package pool keeps a set of worker processes alive: it starts them, watches
// them, restarts them on the ports they had, sends calls to them, and stops
// them without leaving anything behind.
//
// One goroutine owns each worker: its state, its timers, its process. All that
// happens to a worker reaches that goroutine as an event which carries the
// incarnation it speaks of; events of an earlier incarnation are dropped.
//
// The package prints nothing and decides nothing about files, configuration or
// the command line. What it needs from outside (how a process is launched,
// where the registry is kept, who watches events) it takes as small interfaces.
package pool
