package supervisor

import (
	"bytes"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// kept is an Output that keeps everything.
type kept struct {
	bytes.Buffer
	closed bool
}

func (k *kept) Close() error { k.closed = true; return nil }
func (*kept) Tail() []string { return []string{"tail"} }

// Lines are shown whole, however they were written, and all goes on unchanged.
func TestWatchedOutput(t *testing.T) {
	long := strings.Repeat("x", maxShown+10)
	for _, tt := range []struct {
		name   string
		writes []string
		want   []string
	}{
		{"nothing", nil, nil},
		{"a line", []string{"a\n"}, []string{"a"}},
		{"lines at once", []string{"a\n\nb\n"}, []string{"a", "", "b"}},
		{"a line in pieces", []string{"a", "b", "c\nd", "e\n"}, []string{"abc", "de"}},
		{"the last without its end", []string{"a\nb"}, []string{"a", "b"}},
		{"one that never ends", []string{long, "y\n"}, []string{long, "y"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var below kept
			var shown []string
			w := &watchedOutput{Output: &below, show: func(line string) { shown = append(shown, line) }}
			for _, text := range tt.writes {
				if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
					t.Fatalf("wrote %d of %d, %v", n, len(text), err)
				}
			}
			if err := w.Close(); err != nil || !below.closed {
				t.Errorf("closed %v, %v", below.closed, err)
			}
			if diff := cmp.Diff(tt.want, shown); diff != "" {
				t.Errorf("shown (-want +got):\n%s", diff)
			}
			if got := below.String(); got != strings.Join(tt.writes, "") {
				t.Errorf("%d bytes went on, %d were written", len(got), len(strings.Join(tt.writes, "")))
			}
			if tail := w.Tail(); len(tail) != 1 {
				t.Errorf("tail %q", tail)
			}
		})
	}
}

// What a script holds open must not be held on by guard and workers.
func TestKeepDescriptors(t *testing.T) {
	given, err := syscall.Dup(0) // as a shell's 9>lock is: not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(given)
	keepDescriptors()
	for fd, want := range map[int]int{0: 0, 1: 0, 2: 0, given: unix.FD_CLOEXEC} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags != want {
			t.Errorf("descriptor %d has flags %d, %v; want %d", fd, flags, err, want)
		}
	}
}
