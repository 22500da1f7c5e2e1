package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("CET", 3600))

func clock() time.Time { return epoch }

const stamp = "2026-01-02T02:04:05.678Z "

func openTestLog(t *testing.T) *LogWriter {
	t.Helper()
	w, err := OpenLog(filepath.Join(t.TempDir(), "default-0.log"), clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func texts(lines []LogLine) []string {
	var all []string
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return all
}

func TestLogWriter(t *testing.T) {
	long := strings.Repeat("x", maxLineBytes)
	for name, tt := range map[string]struct {
		writes []string
		want   []string
	}{
		"lines":              {[]string{"a\nb\n"}, []string{"a", "b"}},
		"pieces":             {[]string{"a", "b\nc", "\n"}, []string{"ab", "c"}},
		"unfinished":         {[]string{"a\nb"}, []string{"a", "b"}},
		"empty lines":        {[]string{"\n\na\n"}, []string{"", "", "a"}},
		"carriage return":    {[]string{"a\r\nb\rc\n"}, []string{"a", "b\rc"}},
		"nothing":            {[]string{""}, nil},
		"longest":            {[]string{long + "\n", "a\n"}, []string{long, "a"}},
		"longest, in pieces": {[]string{long, "\n", "a\n"}, []string{long, "a"}},
		"too long":           {[]string{long + "yz\n"}, []string{long, "yz"}},
		"too long, pieces":   {[]string{long, "y", "z\n"}, []string{long, "yz"}},
		"twice too long":     {[]string{long + long + "y\n"}, []string{long, long, "y"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := openTestLog(t)
			for _, s := range tt.writes {
				if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			want := ""
			for _, s := range tt.want {
				want += stamp + s + "\n"
			}
			data, err := os.ReadFile(w.path)
			if err != nil || string(data) != want {
				t.Errorf("the file (-want +got), %v:\n%s", err, cmp.Diff(want, string(data)))
			}
			if diff := cmp.Diff(tt.want, texts(w.Tail())); diff != "" {
				t.Errorf("Tail (-want +got):\n%s", diff)
			}
			lines, err := ReadLog(w.path, 100)
			if diff := cmp.Diff(tt.want, texts(lines)); diff != "" || err != nil {
				t.Errorf("ReadLog (-want +got), %v:\n%s", err, diff)
			}
			if len(lines) > 0 && !lines[0].Time.Equal(epoch.Truncate(time.Millisecond)) {
				t.Errorf("time = %v, want %v", lines[0].Time, epoch)
			}
		})
	}
}

func TestLogWriterWholeLinesAtOnce(t *testing.T) {
	w := openTestLog(t)
	fmt.Fprint(w, "half")
	w.WriteLine("a note\nin two")
	if diff := cmp.Diff([]string{"a note in two"}, texts(w.Tail())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.EndLine()
	w.EndLine() // there is nothing to end
	fmt.Fprint(w, "whole\n")
	if diff := cmp.Diff([]string{"a note in two", "half", "whole"}, texts(w.Tail())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	lines, err := ReadLog(w.path, 100) // nothing waits for Close
	if diff := cmp.Diff([]string{"a note in two", "half", "whole"}, texts(lines)); diff != "" || err != nil {
		t.Errorf("on disk (-want +got), %v:\n%s", err, diff)
	}
}

func TestLogWriterTail(t *testing.T) {
	w := openTestLog(t)
	var want []string
	for i := range 120 {
		fmt.Fprintln(w, i)
		if i >= 70 {
			want = append(want, fmt.Sprint(i))
		}
	}
	if diff := cmp.Diff(want, texts(w.Tail())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLogWriterRotates(t *testing.T) {
	w := openTestLog(t)
	line := int64(len(stamp) + len("000\n"))
	w.maxBytes = 10 * line
	for i := range 25 {
		fmt.Fprintf(w, "%03d\n", i)
	}
	for path, want := range map[string][2]string{w.path: {"020", "024"}, w.path + ".1": {"010", "019"}} {
		data, err := os.ReadFile(path)
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		if err != nil || lines[0] != stamp+want[0] || lines[len(lines)-1] != stamp+want[1] {
			t.Errorf("%s: %v\n%s\nwant lines %v", path, err, data, want)
		}
	}
	files, _ := filepath.Glob(w.path + "*")
	if len(files) != 2 {
		t.Errorf("files: %v, want two", files)
	}
	for n, want := range map[int]string{3: "022 023 024", 5: "020 021 022 023 024", 6: "019 020 021 022 023 024", 0: "", -1: ""} {
		lines, err := ReadLog(w.path, n)
		if got := strings.Join(texts(lines), " "); got != want || err != nil {
			t.Errorf("last %d = %s, %v, want %s", n, got, err, want)
		}
	}
	if lines, err := ReadLog(w.path, 100); len(lines) != 15 || lines[0].Text != "010" || err != nil {
		t.Errorf("all: %d lines, %v", len(lines), err)
	}
	// One write of many lines rotates as well, and a new writer goes on.
	w.Close()
	w, err := OpenLog(w.path, clock)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.maxBytes = 10 * line
	fmt.Fprint(w, "025\n026\n027\n028\n029\n030\n")
	if data, _ := os.ReadFile(w.path); string(data) != stamp+"030\n" {
		t.Errorf("after one large write: %s", data)
	}
}

// TestLogWriterFullDisk takes the disk away: writes go on, so that the worker's
// pipe is emptied, and Close tells.
func TestLogWriterFullDisk(t *testing.T) {
	w := openTestLog(t)
	w.file.Close()
	w.file, _ = os.Open(w.path) // read only: every write fails
	for range 3 {
		if n, err := fmt.Fprintln(w, "a"); n != 2 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if got := len(w.Tail()); got != 3 {
		t.Errorf("%d lines in memory, want 3", got)
	}
	if err := w.Close(); err == nil || !strings.HasPrefix(err.Error(), "cannot write a worker's log: ") {
		t.Errorf("Close: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	if _, err := w.Write([]byte("a\n")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := OpenLog(filepath.Join(t.TempDir(), "no", "x.log"), clock); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestLogWriterConcurrent(t *testing.T) {
	w := openTestLog(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				w.WriteLine("note")
				w.Tail()
			}
		})
	}
	wg.Wait()
	if lines, err := ReadLog(w.path, 1000); len(lines) != 400 || err != nil {
		t.Errorf("%d lines, %v, want 400", len(lines), err)
	}
}

func TestReadLogOfOthers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.log")
	if _, err := ReadLog(path, 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
	writeFile(t, stamp+"older\n", path+".1")
	if lines, err := ReadLog(path, 5); len(lines) != 1 || err != nil {
		t.Errorf("in the middle of a rotation: %v, %v", lines, err)
	}
	writeFile(t, "no time\n\n"+stamp+"ok\n\x00\xff\n"+stamp+"torn", path)
	lines, err := ReadLog(path, 5)
	if diff := cmp.Diff([]string{"no time", "", "ok", "\x00\xff", "torn"}, texts(lines)); diff != "" || err != nil {
		t.Errorf("(-want +got), %v:\n%s", err, diff)
	}
	if !lines[0].Time.IsZero() || lines[2].Time.IsZero() {
		t.Errorf("times: %v, %v", lines[0].Time, lines[2].Time)
	}
	long := strings.Repeat("y", 200<<10) // over several chunks
	writeFile(t, "a\n"+long+"\nb\n", path)
	lines, err = ReadLog(path, 3)
	if diff := cmp.Diff([]string{"a", long, "b"}, texts(lines)); diff != "" || err != nil {
		t.Errorf("a long line, %v: got %d lines", err, len(lines))
	}
	writeFile(t, "", path)
	os.Remove(path + ".1")
	if lines, err := ReadLog(path, 3); len(lines) != 0 || err != nil {
		t.Errorf("an empty log: %v, %v", lines, err)
	}
	if err := os.Link(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, "a\n", path)
	if lines, err := ReadLog(path, 3); len(lines) != 1 || err != nil {
		t.Errorf("a hard link: %v, %v", lines, err)
	}
}

func TestParseLogLine(t *testing.T) {
	for line, want := range map[string]string{
		stamp + "a b": "a b", stamp: "", stamp + " indented": " indented",
	} {
		if got, ok := ParseLogLine(line); !ok || got.Text != want || got.String() != line {
			t.Errorf("%q: %+v, %v", line, got, ok)
		}
	}
	for _, line := range []string{
		"", "a", "a b", strings.TrimSpace(stamp), "2026-01-02T02:04:05Z a", "2026-01-02T02:04:05,678Z a",
		"2026-01-02T02:04:05.678+01:00 a", "2026-13-02T02:04:05.678Z a", " " + stamp + "a",
	} {
		if got, ok := ParseLogLine(line); ok || got.Text != line || !got.Time.IsZero() {
			t.Errorf("%q: %+v, %v, want it as it is", line, got, ok)
		}
	}
}

func FuzzParseLogLine(f *testing.F) {
	for _, seed := range []string{"", stamp + "a", stamp, "x y", "2026-01-02T02:04:05,678Z a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, ok := ParseLogLine(line)
		if ok && got.String() != line {
			t.Fatalf("%q became %q", line, got.String())
		}
		if !ok && got.Text != line {
			t.Fatalf("%q lost something: %q", line, got.Text)
		}
	})
}
