package rundir

// Living are the runs that somebody looks after: the lock is held, or, whatever
// became of that, the recorded supervisor lives, as far as is known.
func Living(runs []Found) []Found {
	var living []Found
	for _, run := range runs {
		if run.Alive || run.supervised() {
			living = append(living, run)
		}
	}
	return living
}

func (f Found) supervised() bool {
	if f.Record == nil || f.Record.Supervisor.PID == 0 {
		return false
	}
	alive, err := f.Record.Supervisor.ID().Alive()
	return alive || err != nil
}
