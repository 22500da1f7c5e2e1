package pool

// Notice is a change in the processes that a launcher keeps beside the workers:
// forkservers, and workers that stand by.
type Notice struct {
	Pool   string
	Kind   NoticeKind
	Worker string // the id that the process carries
	PID    int    // 0 without a process
	Reason string
}

// NoticeKind names a change.
type NoticeKind string

// The kinds of notices.
const (
	ForkserverStarted NoticeKind = "forkserver_started" // it takes requests
	ForkserverDied    NoticeKind = "forkserver_died"    // it is started again
	ForkserverStale   NoticeKind = "forkserver_stale"   // what it has imported has changed; it is replaced
	StandbyReady      NoticeKind = "standby_ready"      // it waits for its place
	StandbyDied       NoticeKind = "standby_died"
	StandbyStale      NoticeKind = "standby_stale"
	ForkFallback      NoticeKind = "fork_fallback" // workers of the pool are spawned from here on
)

// OnNotice has the launcher tell of every notice. Call it before the first launch;
// tell must not block.
func (l *ExecLauncher) OnNotice(tell func(Notice)) { l.notice = tell }
