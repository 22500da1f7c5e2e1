package portcheck

import (
	"strings"
	"testing"
)

func TestOwnerString(t *testing.T) {
	for want, owner := range map[string]Owner{
		"PID 123 (python server.py), user root": {PID: 123, Command: "python server.py", User: "root"},
		"PID 123 (python server.py)":            {PID: 123, Command: "python server.py"},
		"PID 123 (unknown command)":             {PID: 123},
		"PID 123 (sleep 9), user ann, of worker default-3 of run r1": {
			PID: 123, Command: "sleep 9", User: "ann", RunID: "r1", Worker: "default-3",
		},
		"PID 123 (sleep 9), of run r1":               {PID: 123, Command: "sleep 9", RunID: "r1"},
		"PID 123 (" + strings.Repeat("é", 79) + "…)": {PID: 123, Command: strings.Repeat("é", 81)},
		"PID 123 (" + strings.Repeat("é", 80) + ")":  {PID: 123, Command: strings.Repeat("é", 80)},

		"another user's process, which may not be looked into from here (user root)": {State: "LISTEN", Unseen: Denied, User: "root"},
		"another user's process, which may not be looked into from here":             {State: "LISTEN", Unseen: Denied},
		"nobody who is to be seen from here (user ann): a process in another PID namespace," +
			" or a descriptor that was passed on and not taken yet": {State: "LISTEN", Unseen: Elsewhere, User: "ann"},
		"nobody any more: the kernel still keeps a closed connection (TIME_WAIT)": {State: "TIME_WAIT", Unseen: Closed},
	} {
		if got := owner.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	deep := "/" + strings.Repeat("d/", 40)
	for command, want := range map[string]string{
		"/usr/bin/python3 server.py":                              "/usr/bin/python3 server.py",
		deep + "python3 " + deep + "server.py / --log=/x/" + deep: "…/python3 …/server.py / --log=/x/" + deep[:46] + "…",
		deep + "python3 a/b " + deep + "s.py --port 9000":         "…/python3 a/b …/s.py --port 9000",
	} {
		if got := shorten(command); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[31m\nb é\u202e"); got != "a?[31m?b é?" {
		t.Errorf("got %q", got)
	}
}
