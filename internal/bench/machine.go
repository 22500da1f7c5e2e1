package bench

import (
	"fmt"
	"math"
	"runtime"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"
)

// Machine is where it was measured. What the system does not tell is zero.
type Machine struct {
	OS, Arch    string
	Processor   string
	CPUs        int
	MemoryBytes uint64
	LoadBefore  float64 // the average number of runnable processes, of the last minute
	LoadAfter   float64
}

func lookAtMachine() Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), LoadBefore: loadNow()}
	if memory, err := mem.VirtualMemory(); err == nil {
		m.MemoryBytes = memory.Total
	}
	if info, err := cpu.Info(); err == nil && len(info) > 0 {
		m.Processor = info[0].ModelName
	}
	return m
}

func loadNow() float64 {
	average, err := load.Avg()
	if err != nil {
		return 0
	}
	return math.Round(100*average.Load1) / 100
}

// Quiet says whether the machine had time for us before we began.
func (m Machine) Quiet() bool { return m.LoadBefore < 0.5*float64(m.CPUs) }

// fits is for how many workers of this size there is memory, with as much left over.
func fits(wanted int, workerBytes float64) (int, error) {
	memory, err := mem.VirtualMemory()
	if err != nil {
		return 0, fmt.Errorf("cannot see how much memory is free: %w", err)
	}
	return min(wanted, int(float64(memory.Available)/2/workerBytes)), nil
}
