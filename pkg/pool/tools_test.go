package pool

import (
	"context"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/snakepit-dev/snakepit/pkg/pool/bridgepb"
)

// toolWorker tells its tools to who opens a session, and counts the open ones.
type toolWorker struct {
	bridgepb.UnimplementedBridgeServiceServer
	open map[string]bool
	ever int
}

func (w *toolWorker) InitializeSession(_ context.Context, r *bridgepb.InitializeSessionRequest) (*bridgepb.InitializeSessionResponse, error) {
	w.open[r.SessionId], w.ever = true, w.ever+1
	return &bridgepb.InitializeSessionResponse{Success: true, AvailableTools: map[string]*bridgepb.ToolSpec{
		"ping": {Metadata: map[string]string{"usage": "ping()"}},
		"add":  {Metadata: map[string]string{"usage": "add(a: int)"}},
		"odd":  {},
	}}, nil
}

func (w *toolWorker) CleanupSession(_ context.Context, r *bridgepb.CleanupSessionRequest) (*bridgepb.CleanupSessionResponse, error) {
	delete(w.open, r.SessionId)
	return &bridgepb.CleanupSessionResponse{Success: true}, nil
}

// askTools asks a worker of that kind, and waits until it has ended.
func askTools(t *testing.T, worker bridgepb.BridgeServiceServer) ([]Tool, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	bridgepb.RegisterBridgeServiceServer(server, worker)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() { server.Stop(); <-served }()
	return Tools(soon(t), "127.0.0.1", listener.Addr().(*net.TCPAddr).Port)
}

func TestTools(t *testing.T) {
	w := &toolWorker{open: map[string]bool{}}
	tools, err := askTools(t, w)
	if diff := cmp.Diff([]Tool{{"add", "add(a: int)"}, {"odd", ""}, {"ping", "ping()"}}, tools); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if len(w.open) != 0 || w.ever != 1 {
		t.Errorf("sessions that are open: %v; %d were opened", w.open, w.ever)
	}
}

// Any other server has no such tools to tell of.
func TestToolsOfAForeignServer(t *testing.T) {
	if tools, err := askTools(t, &bridgepb.UnimplementedBridgeServiceServer{}); err == nil {
		t.Errorf("it has %v", tools)
	}
}
