package procscan

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// statRest is a stat line from field 4 on; %d is the number of threads.
const statRest = "1 42 40 34816 42 4194304 2043 0 0 0 150 25 7 3 20 0 %d 0 5063 10338304 955 18446744073709551615 1 2 3"

func statLine(comm, state string, threads int) []byte {
	return []byte("4242 (" + comm + ") " + state + " " + fmt.Sprintf(statRest, threads) + "\n")
}

func TestParseStat(t *testing.T) {
	base := stat{ppid: 1, pgid: 42, sid: 40, start: 5063, cpuTicks: 175, rssPages: 955}
	for name, tt := range map[string]struct {
		line []byte
		want State
		dead bool
	}{
		"plain":                   {statLine("sleep", "S", 1), Sleeping, false},
		"spaces and parentheses":  {statLine("a (b) Z 1 2) c", "R", 1), Running, false},
		"a newline in the name":   {statLine("a\nb", "T", 1), Stopped, false},
		"no name":                 {statLine("", "I", 1), Idle, false},
		"zombie":                  {statLine("python3", "Z", 1), Zombie, true},
		"zombie being reaped":     {statLine("python3", "Z", 0), Zombie, true},
		"main thread ended":       {statLine("python3", "Z", 3), Sleeping, false},
		"dead":                    {statLine("python3", "X", 1), Dead, true},
		"dead on an older kernel": {statLine("python3", "x", 1), 'x', true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat(tt.line)
			if err != nil {
				t.Fatal(err)
			}
			want := base
			want.state, want.headless = tt.want, name == "main thread ended"
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(stat{}, layout{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if got.state.IsDead() != tt.dead {
				t.Errorf("dead: %v, want %v", !tt.dead, tt.dead)
			}
		})
	}
}

func TestParseStatFlags(t *testing.T) {
	for flags, want := range map[string]stat{
		"4194304":  {},
		"4194308":  {leaving: true},
		"69238880": {kernel: true}, // as a kernel thread has it
	} {
		line := strings.Replace(string(statLine("x", "S", 1)), " 4194304 ", " "+flags+" ", 1)
		got, err := parseStat([]byte(line))
		if err != nil || got.leaving != want.leaving || got.kernel != want.kernel {
			t.Errorf("flags %s: %+v, %v", flags, got, err)
		}
	}
}

func TestParseStatMemory(t *testing.T) {
	// Fields 25 to 47 do not matter; 48 to 51 are the addresses.
	line := string(statLine("x", "S", 1))
	line = line[:strings.Index(line, " 955")] + " 955" + strings.Repeat(" 7", 23) + " 100 120 120 300 0\n"
	st, err := parseStat([]byte(line))
	want := layout{argStart: 100, argEnd: 120, envStart: 120, envEnd: 300}
	if err != nil || st.memory != want {
		t.Errorf("%+v, %v; want %+v", st.memory, err, want)
	}
}

func TestParseStatRefuses(t *testing.T) {
	good := string(statLine("x", "S", 1))
	for name, line := range map[string]string{
		"empty":            "",
		"no name":          "4242 S 1 2 3",
		"cut short":        good[:len(good)-60],
		"negative start":   strings.Replace(good, " 5063 ", " -5063 ", 1),
		"a word":           strings.Replace(good, " 5063 ", " soon ", 1),
		"parent too large": strings.Replace(good, "S 1 ", "S 99999999999 ", 1),
		"long state":       strings.Replace(good, "S 1 ", "SS 1 ", 1),
	} {
		t.Run(name, func(t *testing.T) {
			if st, err := parseStat([]byte(line)); err == nil {
				t.Errorf("accepted as %+v", st)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("sleep", "S", []byte(") S 1 2"))
	f.Add("a (b) Z", "Z", statLine("x", "R", 1))
	f.Fuzz(func(t *testing.T, comm, state string, raw []byte) {
		_, _ = parseStat(raw) // any bytes: an answer or an error
		if len(state) != 1 || strings.ContainsAny(state, " )\t\n\v\f\r") || state[0] >= 0x80 {
			return
		}
		st, err := parseStat(statLine(comm, state, 1))
		if err != nil || st.start != 5063 || st.ppid != 1 || st.state != State(state[0]) {
			t.Errorf("comm %q: %+v, %v", comm, st, err)
		}
	})
}

// procArgs builds what kern.procargs2 returns.
func procArgs(path string, args, env []string) []byte {
	raw := []byte{byte(len(args)), 0, 0, 0}
	raw = append(raw, path+"\x00\x00\x00"...)
	for _, s := range append(args, env...) {
		raw = append(raw, s+"\x00"...)
	}
	return append(raw, "\x00ptr_munge=\x00"...)
}

func TestParseProcArgs(t *testing.T) {
	wantArgs, wantEnv := []string{"python3", "", "x y"}, []string{"A=1", "B="}
	args, env, err := parseProcArgs(procArgs("/usr/bin/python3", wantArgs, wantEnv))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{wantArgs, wantEnv}, [][]string{args, env}); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, bad := range []string{"", "abc", "\x01\x00\x00\x00/bin/sh"} {
		if _, _, err := parseProcArgs([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func FuzzParseProcArgs(f *testing.F) {
	f.Add(procArgs("/bin/sh", []string{"sh"}, []string{"A=1"}))
	f.Add([]byte("\xff\xff\xff\xff/x\x00\x00a\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		args, env, err := parseProcArgs(raw)
		for _, s := range append(args, env...) {
			if err != nil || !bytes.Contains(raw, []byte(s)) {
				t.Errorf("%q, %v out of %q", s, err, raw)
			}
		}
	})
}
