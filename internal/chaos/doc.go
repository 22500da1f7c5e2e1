// Package chaos proves on the machine that it runs on, with the pool that it is
// given, that what this program promises holds when things go wrong. A scenario
// starts runs of the real program in a private place, waits for a steady state,
// injects a fault at a random moment inside the stated phase, and then looks from
// outside: it reads the process table, binds the ports and opens the files itself.
//
// It imports nothing of this module on purpose. What it checks must not be able
// to agree with it by sharing a mistake: markers, records, events and exit codes
// are written down here a second time, as they are documented.
//
// It signals only processes of its own runs, each by its identity, and leaves
// nothing behind: neither when a scenario fails nor when it is cut short. It prints
// nothing; who watches is told through a Watcher.
package chaos
