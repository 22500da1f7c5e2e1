package procscan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKinOf(t *testing.T) {
	marked := func(run string) Marker { return Marker{RunID: run, Condemns: true, Signs: []Sign{SignEnvironment}} }
	proc := func(pid, ppid, pgid int, m Marker) Process {
		return Process{ID: idOf(pid), PPID: ppid, PGID: pgid, UID: 1000, State: Sleeping, Marker: m}
	}
	s := Snapshot{Self: 19, Processes: []Process{
		proc(1, 0, 1, Marker{}),
		proc(10, 1, 10, marked("x")),         // the orphan
		proc(11, 10, 10, Marker{}),           // its child, without a marker
		proc(12, 11, 12, Marker{}),           // its grandchild, in another group
		proc(13, 10, 10, Marker{RunID: "y"}), // mentions another run
		proc(14, 10, 10, marked("y")),        // another run's
		proc(15, 14, 15, Marker{}),           // and its child
		proc(16, 10, 10, Marker{}),           // another user's
		proc(17, 16, 10, Marker{}),           // below that one
		proc(18, 10, 10, Marker{}),           // a zombie
		proc(19, 10, 10, Marker{}),           // who looks
		proc(20, 1, 10, Marker{}),            // in the group, adopted
		proc(21, 20, 21, Marker{}),           // and its child
		proc(22, 10, 22, Marker{}),           // a supervisor that somebody has started there
		proc(23, 22, 10, Marker{}),           // and a child of that
		proc(24, 1, 24, Marker{}),            // nothing to do with it
		proc(25, 10, 25, Marker{RunID: "x"}), // mentions this run
		proc(30, 1, 29, marked("x")),         // an orphan that leads no group
		proc(31, 1, 29, Marker{}),
		proc(40, 1, 40, marked("x")), // one that was not found to be an orphan
		proc(41, 40, 40, Marker{}),
		proc(42, 1, 60, marked("x")),
		proc(43, 60, 60, Marker{}), // its parent and leader is younger: another process by now
		proc(60, 1, 60, marked("x")),
	}}
	for i := range s.Processes {
		switch p := &s.Processes[i]; p.PID {
		case 16:
			p.UID = 65534
		case 18:
			p.State = Zombie
		}
	}
	find := func(pid int) Process { p, _ := s.Find(pid); return p }
	reused := find(40)
	reused.Start--
	others := map[ID]string{idOf(22): "the supervisor of run z"}
	got := map[int]string{}
	for _, kin := range s.KinOf([]Process{find(10), find(30), find(60), reused}, others) {
		got[kin.PID] = kin.Evidence
	}
	want := map[int]string{
		11: "it descends from the orphan PID 10",
		12: "it descends from the orphan PID 10",
		20: "it is in the group of the orphan PID 10",
		21: "it descends from PID 20, which is in the group of the orphan PID 10",
		25: "it descends from the orphan PID 10",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if kin := s.KinOf(nil, nil); kin != nil {
		t.Errorf("without orphans: %v", kin)
	}
}
