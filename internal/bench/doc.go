// Package bench measures this program on the machine that it runs on, beside the
// floor: the same Python work without us. It runs the program as whole processes, as
// chaos does, in a private place and under run ids of its own, and the floor's scripts
// (the directory floor) in turn with it: what the machine does meanwhile, it does to
// both. It prints nothing, and judges by the limits in its table of rows alone.
package bench
