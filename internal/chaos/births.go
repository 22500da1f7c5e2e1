package chaos

// births are the processes that were started in a time, by their numbers: those after
// one PID, and up to another. Who is forked right before a fault and ends by it is met
// by no look of ours and named by no event, but may be found, and rightly named, by
// the guard. The zero value has none.
type births struct{ after, last int }

func (b births) has(pid int) bool {
	if b.after == 0 || b.last == 0 {
		return false
	}
	if b.after <= b.last {
		return b.after < pid && pid <= b.last
	}
	return pid > b.after || pid <= b.last // the kernel began anew in between
}

// unseen are those whom no look of ours can have met: between the last one before the
// fault and now.
func (r *run) unseen() births { return births{r.lookedTo, newestPID()} }
