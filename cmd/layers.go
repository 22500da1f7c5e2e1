package cmd

import (
	"strings"

	"github.com/snakepit-dev/snakepit/internal/supervisor"
)

// layersVariable names the layers against orphans that stay on, for tests of
// each of them alone: a comma list, or none. Unset, all are on.
const layersVariable = "SNAKEPIT_TEST_LAYERS"

// layersOff are the layers that the list does not name.
func layersOff(list string) (supervisor.Layers, error) {
	if list == "" {
		return supervisor.Layers{}, nil
	}
	off := supervisor.Layers{Lifeline: true, ParentDeathSignal: true, Guard: true}
	if list == "none" {
		return off, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		switch name {
		case "lifeline":
			off.Lifeline = false
		case "pdeathsig":
			off.ParentDeathSignal = false
		case "guard":
			off.Guard = false
		default:
			return off, failf(exitUsage, "it is a comma list of lifeline, pdeathsig and guard, or none; it is for tests",
				"cannot use %s=%s: there is no layer %q", layersVariable, list, name)
		}
	}
	return off, nil
}
