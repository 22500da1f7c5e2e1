//go:build !linux

package bench

import (
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

func proportionalMemory(int) (float64, error) { return 0, &skip{"only Linux tells"} }

func ownMemory(pid int) (float64, error) {
	id, err := procscan.Lookup(pid)
	if err != nil {
		return 0, err
	}
	bytes, _, err := procscan.Usage(id)
	return float64(bytes), err
}

func processorTime(id procscan.ID) (time.Duration, error) {
	_, seconds, err := procscan.Usage(id)
	return time.Duration(seconds * float64(time.Second)), err
}
