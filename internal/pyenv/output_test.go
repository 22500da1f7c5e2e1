package pyenv

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestTailKeepsTheEnd(t *testing.T) {
	var out tail
	for range 100 {
		if n, err := out.Write([]byte(strings.Repeat("x", 4096))); n != 4096 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	out.Write([]byte("the end"))
	if got := out.String(); len(got) != tailBytes || !strings.HasSuffix(got, "xthe end") {
		t.Errorf("kept %d bytes that end in %q", len(got), got[len(got)-10:])
	}
}

func TestLastLines(t *testing.T) {
	long := strings.Repeat("é", tailWidth)
	got := lastLines("1\n2\n3\n\n4\r\n  5 \n6\n \n7\n" + long)
	want := []string{"3", "4", "  5", "6", "7", strings.Repeat("é", tailWidth/2) + "…"}
	if !slices.Equal(got, want) {
		t.Errorf("lastLines = %q, want %q", got, want)
	}
}

func TestLastLinesFoldsRetries(t *testing.T) {
	got := lastLines("Looking\nWARNING: Retrying (4)\nWARNING: Retrying (3)\nWARNING: other\nERROR: none\n")
	want := []string{"Looking", "WARNING: Retrying (3)", "WARNING: other", "ERROR: none"}
	if !slices.Equal(got, want) {
		t.Errorf("lastLines = %q, want %q", got, want)
	}
}

// Lines as pip 23 to 25 print them, cut anywhere by the pipe.
func TestWatchTellsWhatTakesTime(t *testing.T) {
	const output = `Collecting grpcio==1.85.1 (from -r requirements.txt (line 1))
  Downloading grpcio-1.85.1-cp311-cp311-manylinux2014_x86_64.whl.metadata (3.7 kB)
  Downloading grpcio-1.85.1-cp311-cp311-manylinux2014_x86_64.whl (7.4 MB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 7.4/7.4 MB 285.4 MB/s eta 0:00:00
  Building wheel for grpcio (pyproject.toml): started
  Building wheel for grpcio (pyproject.toml): finished with status 'done'
WARNING: Retrying (Retry(total=4, connect=None, read=None)) after connection broken
`
	want := []string{
		"downloading grpcio-1.85.1-cp311-cp311-manylinux2014_x86_64.whl (7.4 MB)",
		"building grpcio from source, which takes minutes",
		"the package index does not answer; trying again",
	}
	for _, size := range []int{1, 7, len(output)} {
		var steps []string
		w := &watch{progress: func(step string) { steps = append(steps, step) }}
		for part := range slices.Chunk([]byte(output), size) {
			w.Write(part)
		}
		if !slices.Equal(steps, want) {
			t.Errorf("in parts of %d: %q, want %q", size, steps, want)
		}
		if w.String() != output {
			t.Errorf("in parts of %d: the output is lost", size)
		}
	}
}

func TestInstallReason(t *testing.T) {
	cause := errors.New("exit status 1")
	for _, test := range []struct{ output, want string }{
		{"WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<HTTPSConnection>: Failed to establish a new connection: [Errno -2] Name or service not known')'", "no network"},
		{"HTTPSConnectionPool(host='index.invalid', port=443): Read timed out. (read timeout=15)", "no network"},
		{"error: Request failed\n  Caused by: dns error: failed to lookup address information", "no network"},
		{"ProxyError('Cannot connect to proxy.', NewConnectionError('Connection refused'))", "the proxy"},
		{"SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed'))", "certificate is not trusted"},
		{"ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "the disk is full"},
		{"ERROR: No matching distribution found for grpcio==99", "exit status 1"},
		{"", "exit status 1"},
	} {
		if got := installReason(test.output, cause); !strings.Contains(got, test.want) {
			t.Errorf("installReason(%.40q…) = %q, want %q", test.output, got, test.want)
		}
	}
}
