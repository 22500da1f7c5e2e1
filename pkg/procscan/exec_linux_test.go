package procscan

import (
	"os/exec"
	"testing"
)

// TestMarkerDuringExec: a member that executes another program is not missed.
func TestMarkerDuringExec(t *testing.T) {
	run := newRun()
	const again = `n=$(($1 - 1)); [ $n -eq 0 ] || exec /bin/sh -c "$0" "$0" $n`
	loop := exec.Command("/bin/sh", "-c", again, again, "200")
	loop.Env = []string{RunIDEnv + "=" + run, WorkerIDEnv + "=w"}
	if err := loop.Start(); err != nil {
		t.Fatal(err)
	}
	id := mustLookup(t, loop.Process.Pid)
	looks := 0
	for {
		_, m, _, err := readMarker(soon(t), id.PID, true)
		alive, aliveErr := id.Alive()
		if aliveErr != nil {
			t.Fatal(aliveErr)
		}
		if !alive {
			break
		}
		looks++
		if st, leaving := readStat(id.PID); leaving == nil && !st.leaving && m.RunID != run {
			t.Errorf("look %d: no marker: %+v, %v", looks, m, err)
			break
		}
	}
	if err := loop.Wait(); err != nil || looks == 0 {
		t.Errorf("%d looks, %v", looks, err)
	}
}
