package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// Every row of the table, and more, comes over the socket as what it was.
func TestErrorTable(t *testing.T) {
	met := map[codes.Code]bool{}
	for _, row := range table {
		t.Run(row.code.String(), func(t *testing.T) {
			if met[row.code] {
				t.Fatalf("%s stands for two errors", row.code)
			}
			met[row.code] = true
			sent := fmt.Errorf("cannot call default-0: %w", row.err)
			got := fromStatus(toStatus(sent))
			if !errors.Is(got, row.err) || got.Error() != sent.Error() {
				t.Errorf("%q came as %q, which is %v: %v", sent, got, row.err, errors.Is(got, row.err))
			}
			for _, other := range table {
				if other != row && errors.Is(got, other.err) {
					t.Errorf("it is %v as well", other.err)
				}
			}
		})
	}
}

// A code that a worker's own gRPC server has chosen is none of the table's.
func TestErrorsBesideTheTable(t *testing.T) {
	for _, tt := range []struct {
		sent error
		is   error // nil: nothing that is known
	}{
		{errors.New("plain"), nil},
		{status.Error(codes.Unavailable, "the worker's socket"), nil},
		{status.Error(codes.NotFound, "the worker's answer"), nil},
		{status.Error(codes.DeadlineExceeded, "the worker's clock"), context.DeadlineExceeded},
		{status.Error(codes.Canceled, "the worker's word"), context.Canceled},
	} {
		got := fromStatus(toStatus(tt.sent))
		for _, row := range table {
			if is := errors.Is(got, row.err); is != (row.err == tt.is) {
				t.Errorf("%v is %v: %v", tt.sent, row.err, is)
			}
		}
		if want := status.Convert(tt.sent).Message(); !strings.Contains(got.Error(), want) {
			t.Errorf("%v came as %v", tt.sent, got)
		}
	}
	if fromStatus(nil) != nil {
		t.Error("no error came as one")
	}
}

// A limit takes along what its hint is made of.
func TestLimitErrorComesWhole(t *testing.T) {
	sent := pool.LimitError{Workers: 9, More: true, Own: true, What: "open files", Need: 118, Used: 12, Allowed: 128, Fit: 8, Raise: "raise it to 130"}
	err := fmt.Errorf("cannot scale: %w", &sent)
	got := fromStatus(toStatus(err))
	var limit *pool.LimitError
	if !errors.As(got, &limit) || *limit != sent || got.Error() != err.Error() {
		t.Errorf("%v came as %v, %+v", err, got, limit)
	}
}

// A client of another version is told so in words, and can still stop the run.
func TestOtherVersions(t *testing.T) {
	b := serve(t, os.Getuid(), map[string]int{"default": 1})
	for _, tt := range []struct {
		name   string
		pairs  []string
		speaks string
	}{
		{"newer", []string{apiKey, "2"}, "speaks 2"},
		{"older than versions", nil, "speaks none that it names"},
		{"two at once", []string{apiKey, "1", apiKey, "2"}, "speaks 1,2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := grpc.NewClient("unix://"+b.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			raw := controlpb.NewControlClient(conn)
			ctx := metadata.AppendToOutgoingContext(soon(t), tt.pairs...)
			want := []string{"run demo", "snakepit 1.2.3", "(control API 1)", tt.speaks}

			_, err = raw.Status(ctx, &controlpb.StatusRequest{})
			mustRefuse(t, "Status", err, want)
			calls, err := raw.Call(ctx, &controlpb.CallRequest{Tool: "echo", ParametersJson: []byte("{}")})
			if err == nil {
				_, err = calls.Recv()
			}
			mustRefuse(t, "Call", err, want)

			stops, err := raw.Stop(ctx, &controlpb.StopRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if event, err := stops.Recv(); err != nil || event.GetSummary() == nil {
				t.Errorf("Stop: got %v, %v; want a summary", event, err)
			}
		})
	}
}

func mustRefuse(t *testing.T, method string, err error, words []string) {
	t.Helper()
	if !errors.Is(fromStatus(err), ErrVersion) {
		t.Errorf("%s: got %v, want %v", method, err, ErrVersion)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %q does not say %q", method, err, word)
		}
	}
}

// The socket of a user's run does not answer another user, even if the file's
// mode lets him in.
func TestAnotherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	if runtime.GOOS != "linux" {
		t.Skip("the test binary is started through /proc, which other users can reach")
	}
	b := serve(t, 0, nil)
	for path, mode := range map[string]os.FileMode{filepath.Dir(b.socket): 0o755, b.socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(soon(t), "/proc/self/exe")
	cmd.Env = []string{askVar + "=" + b.socket, "GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	want := "permission: the run belongs to another user: user id 0, not 65534\n"
	if err != nil || string(out) != want {
		t.Errorf("it says %q, %v; want %q", out, err, want)
	}
}

// Without being root: a server that belongs to somebody else.
func TestAnotherUsersServer(t *testing.T) {
	b := serve(t, os.Getuid()+1, nil)
	_, err := b.client.Status(soon(t))
	if os.Getuid() == 0 { // root is let in
		if err != nil {
			t.Error(err)
		}
		return
	}
	if !errors.Is(err, ErrPermission) {
		t.Errorf("Status: %v", err)
	}
	b.run.stop = func(StopOptions) StopSummary {
		t.Error("it was stopped by another user")
		return StopSummary{}
	}
	if _, err := b.client.Stop(soon(t), 0, false, nil); !errors.Is(err, ErrPermission) {
		t.Errorf("Stop: %v", err)
	}
	if _, err := b.client.Call(soon(t), Call{}, nil); !errors.Is(err, ErrPermission) || errors.Is(err, pool.ErrNoWorker) {
		t.Errorf("Call: %v", err)
	}
}
