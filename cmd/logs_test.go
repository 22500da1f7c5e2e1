package cmd

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// write appends raw text to a log of a run.
func write(t *testing.T, run *rundir.Run, worker, text string) {
	t.Helper()
	file, err := os.OpenFile(run.LogPath(worker), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// rotate does what a writer does with a full log.
func rotate(t *testing.T, run *rundir.Run, worker string) {
	t.Helper()
	if err := os.Rename(run.LogPath(worker), run.LogPath(worker)+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, run, worker, "")
}

// sampleLogs are those of a run that has ended.
func sampleLogs(t *testing.T) {
	stateHome(t)
	run := endRun(t, "over", noon)
	write(t, run, "default-2", "2026-03-04T11:59:01.000Z two: one\n2026-03-04T11:59:04.000Z two: \x1b[31mred\x1b[2J\n")
	write(t, run, "default-10", "2026-03-04T11:59:02.000Z ten: one\n2026-03-04T11:59:03.500Z ten: two\n2026-03-04T11:59:05.000Z ten: three\n")
	write(t, run, "default-3", "")
	write(t, run, "supervisor", "listening\n2026-03-04T11:59:03.000Z all ready\nTraceback\n")
}

func TestLogs(t *testing.T) {
	sampleLogs(t)
	tests := []struct{ name, args string }{
		{"logs.txt", "logs --run-id over"},
		{"logs_last.txt", "logs --run-id over -n 1"},
		{"logs_all.txt", "logs --run-id over --tail all -t default-2 supervisor"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, out, errOut := snakepit(t, strings.Fields(test.args)...)
			if code != 0 || errOut != "" {
				t.Errorf("code %d, stderr %q", code, errOut)
			}
			checkGolden(t, test.name, strings.TrimSuffix(out, "\n"))
		})
	}
	if code, out, _ := snakepit(t, "logs", "--run-id", "over", "-n", "0"); code != 0 || out != "" {
		t.Errorf("-n 0: code %d, stdout %q", code, out)
	}
	// A run that has ended brings nothing more: following it is showing it.
	if code, out, _ := snakepit(t, "logs", "--run-id", "over", "-f", "-n", "1", "default-2"); code != 0 || !strings.Contains(out, "two: ") {
		t.Errorf("-f: code %d, stdout %q", code, out)
	}
}

func TestLogsOfTheRunThatEndedLast(t *testing.T) {
	sampleLogs(t)
	write(t, endRun(t, "before", noon.Add(-time.Hour)), "default-0", "2026-03-04T11:00:00.000Z no\n")
	code, out, errOut := snakepit(t, "logs")
	want := "no run is alive; these are the logs of over: stopped at 2026-03-04 12:00:00, after 1m00s\n"
	if diff := cmp.Diff(want, errOut); code != 0 || diff != "" || !strings.Contains(out, "ten: three") || strings.Contains(out, "no\n") {
		t.Errorf("code %d, stdout %q, (-want +got):\n%s", code, out, diff)
	}
	alive := holdRun(t, rundir.Record{State: rundir.StateRunning}, "alive")
	write(t, alive, "default-0", "2026-03-04T11:00:00.000Z yes\n")
	if code, out, errOut := snakepit(t, "logs"); code != 0 || out != "default-0 | yes\n" || errOut != "" {
		t.Errorf("code %d, stdout %q, stderr %q", code, out, errOut)
	}
}

func TestLogsBadInput(t *testing.T) {
	stateHome(t)
	if code, _, errOut := snakepit(t, "logs"); code != exitNothing || !strings.Contains(errOut, "none is alive") {
		t.Errorf("no run: code %d, stderr %q", code, errOut)
	}
	sampleLogs(t)
	tests := []struct {
		name, args string
		code       int
		want       string
	}{
		{"unknown worker", "logs default-2 default-7", exitNothing, `cannot show the logs of "default-7"`},
		{"those there are", "logs default-7", exitNothing, "there are: default-2, default-3, default-10"},
		{"a path", "logs ../run.json", exitNothing, `"../run.json"`},
		{"unknown run", "logs --run-id nobody", exitNothing, `cannot find run "nobody"`},
		{"negative", "logs -n -1", exitUsage, `a number that is not negative, or "all"`},
		{"no number", "logs -n some", exitUsage, `a number that is not negative, or "all"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, out, errOut := snakepit(t, strings.Fields(test.args)...)
			if code != test.code || out != "" || !strings.Contains(errOut, test.want) {
				t.Errorf("code %d, stdout %q, stderr %q", code, out, errOut)
			}
		})
	}
}

// following is a command with --follow under way.
type following struct {
	t     *testing.T
	lines chan string
	done  chan error
	stop  context.CancelFunc
}

func follow(t *testing.T, args ...string) *following {
	t.Helper()
	return followCommand(t, newLogs, args...)
}

func followCommand(t *testing.T, newCommand func(*Env) *cobra.Command, args ...string) *following {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	f := &following{t: t, lines: make(chan string, 100), done: make(chan error, 1), stop: stop}
	c := newCommand(&Env{Out: writer, Err: &bytes.Buffer{}, Now: func() time.Time { return noon }})
	c.SetArgs(append(args, "--follow"))
	go func() {
		f.done <- c.ExecuteContext(ctx)
		writer.Close()
	}()
	go func() {
		defer close(f.lines)
		for scan := bufio.NewScanner(reader); scan.Scan(); {
			f.lines <- scan.Text()
		}
	}()
	t.Cleanup(stop)
	return f
}

// expect waits for these lines, in this order.
func (f *following) expect(want ...string) {
	f.t.Helper()
	var got []string
	for range want {
		select {
		case line := <-f.lines:
			got = append(got, line)
		case <-time.After(10 * time.Second):
			f.t.Fatalf("got %q, and no more; want %q", got, want)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.t.Fatalf("(-want +got):\n%s", diff)
	}
}

// expectEnd waits for the command to end, with nothing more to say.
func (f *following) expectEnd() {
	f.t.Helper()
	select {
	case err := <-f.done:
		if err != nil {
			f.t.Error(err)
		}
	case <-time.After(10 * time.Second):
		f.t.Fatal("it does not end")
	}
	for line := range f.lines {
		f.t.Errorf("one more line: %q", line)
	}
}

func TestLogsFollow(t *testing.T) {
	stateHome(t)
	run := holdRun(t, rundir.Record{State: rundir.StateRunning}, "demo")
	write(t, run, "a-0", "2026-03-04T11:00:00.000Z one\n2026-03-04T11:00:01.000Z two\n")
	write(t, run, "supervisor", "not asked for\n")
	f := follow(t, "-n", "1")
	f.expect("a-0 | two")

	write(t, run, "a-0", "2026-03-04T11:00:02.000Z three\n2026-03-04T11:00:03.000Z fo")
	f.expect("a-0 | three")
	write(t, run, "a-0", "ur\n")
	f.expect("a-0 | four")

	write(t, run, "a-0", "2026-03-04T11:00:04.000Z last of the old\n")
	rotate(t, run, "a-0")
	write(t, run, "a-0", "2026-03-04T11:00:05.000Z first of the new\n")
	f.expect("a-0 | last of the old", "a-0 | first of the new")

	write(t, run, "a-1", "2026-03-04T11:00:06.000Z a new worker\n")
	f.expect("a-1 | a new worker")
	write(t, run, "supervisor", "not asked for\n")
	write(t, run, "a-1", "2026-03-04T11:00:07.000Z unfinish")
	if err := run.Close(); err != nil { // the run has ended
		t.Fatal(err)
	}
	f.expect("a-1 | unfinish")
	f.expectEnd()
}

func TestLogsFollowChosen(t *testing.T) {
	stateHome(t)
	run := holdRun(t, rundir.Record{State: rundir.StateRunning}, "demo")
	write(t, run, "a-0", "")
	write(t, run, "supervisor", "begun\n")
	f := follow(t, "a-0", "supervisor")
	f.expect("supervisor | begun")
	write(t, run, "a-1", "2026-03-04T11:00:00.000Z nobody asked\n")
	write(t, run, "a-0", "2026-03-04T11:00:01.000Z asked\n")
	f.expect("a-0        | asked")
	f.stop() // Ctrl-C
	f.expectEnd()
}

// brokenPipe is a standard output whose reader has gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
}

func TestLogsReaderLeft(t *testing.T) {
	stateHome(t)
	run := holdRun(t, rundir.Record{State: rundir.StateRunning}, "demo")
	write(t, run, "a-0", "2026-03-04T11:00:00.000Z one\n")
	for _, args := range [][]string{{}, {"-f"}} {
		c := newLogs(&Env{Out: brokenPipe{}, Err: &bytes.Buffer{}, Now: time.Now})
		c.SetArgs(args)
		if err := c.ExecuteContext(t.Context()); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// TestLogsFollowReaderLeft: it ends although nothing is printed any more.
func TestLogsFollowReaderLeft(t *testing.T) {
	stateHome(t)
	write(t, holdRun(t, rundir.Record{State: rundir.StateRunning}, "demo"), "a-0", "one\n")
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	done := make(chan error, 1)
	go func() {
		c := newLogs(&Env{Out: writer, Err: &bytes.Buffer{}, Now: time.Now})
		c.SetArgs([]string{"-f"})
		done <- c.ExecuteContext(t.Context())
	}()
	if _, err := reader.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	reader.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}

func texts(lines []rundir.LogLine) []string {
	out := []string{}
	for _, line := range lines {
		out = append(out, line.Text)
	}
	return out
}

func TestTail(t *testing.T) {
	stateHome(t)
	run := endRun(t, "x", noon)
	add := func(text string) { write(t, run, "a-0", text) }
	log := &tail{path: run.LogPath("a-0")}
	defer log.close()
	read := func(want ...string) {
		t.Helper()
		lines, err := log.read()
		if diff := cmp.Diff(append([]string{}, want...), texts(lines)); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
	}
	read() // there is no file yet
	add("1\n2\n")
	read("1", "2")
	read()
	add("3\n")
	rotate(t, run, "a-0")
	add("4\n")
	read("3", "4")

	// Rotated twice between two looks: neither file is missed.
	add("5\n")
	rotate(t, run, "a-0")
	add("6\n7")
	rotate(t, run, "a-0")
	add("8\n")
	read("5", "6", "7", "8")

	// Removed, as when a new run takes the id.
	add("9\n")
	if err := os.Remove(run.LogPath("a-0")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(run.LogPath("a-0") + ".1"); err != nil {
		t.Fatal(err)
	}
	read("9")
	add("10\n")
	read("10")
}

func TestTailLast(t *testing.T) {
	stateHome(t)
	run := endRun(t, "x", noon)
	write(t, run, "a-0", "1\n2\n")
	rotate(t, run, "a-0")
	write(t, run, "a-0", "3\n4\npart")
	for n, want := range map[int][]string{
		0: {}, 1: {"4"}, 2: {"3", "4"}, 3: {"2", "3", "4"}, 9: {"1", "2", "3", "4"}, allLines: {"1", "2", "3", "4"},
	} {
		log := &tail{path: run.LogPath("a-0")}
		lines, err := log.last(n)
		if diff := cmp.Diff(want, texts(lines)); err != nil || diff != "" {
			t.Errorf("last(%d): %v (-want +got):\n%s", n, err, diff)
		}
		log.close()
	}
}

func TestByNumber(t *testing.T) {
	for _, pair := range [][2]string{{"a-2", "a-10"}, {"a-9", "b-1"}, {"default", "default-1"}, {"a-x-3", "a-x-20"}} {
		if byNumber(pair[0], pair[1]) >= 0 || byNumber(pair[1], pair[0]) <= 0 {
			t.Errorf("%s is not before %s", pair[0], pair[1])
		}
	}
}
