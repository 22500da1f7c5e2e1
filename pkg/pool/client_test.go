package pool

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/snakepit-dev/snakepit/pkg/pool/bridgepb"
)

// bridgeWorker speaks the workers' protocol from the other side.
type bridgeWorker struct {
	bridgepb.UnimplementedBridgeServiceServer
	left chan struct{} // closed when a stream is left
}

const pythonError = `{"type":"ValueError","message":"no","traceback":"Traceback: line 1","stacktrace":[],"context":{}}`

func (*bridgeWorker) ExecuteTool(ctx context.Context, r *bridgepb.ExecuteToolRequest) (*bridgepb.ExecuteToolResponse, error) {
	switch r.ToolName {
	case "echo":
		raw := map[string]json.RawMessage{}
		for name, value := range r.Parameters {
			if !strings.HasSuffix(value.TypeUrl, "google.protobuf.StringValue") {
				return nil, status.Error(codes.InvalidArgument, value.TypeUrl)
			}
			raw[name] = value.Value
		}
		text, _ := json.Marshal(raw)
		return &bridgepb.ExecuteToolResponse{Success: true, Result: &anypb.Any{TypeUrl: "type.googleapis.com/snakepit.map", Value: text}}, nil
	case "bytes":
		return &bridgepb.ExecuteToolResponse{Success: true, BinaryResult: []byte{1, 2}}, nil
	case "deadline":
		at, _ := ctx.Deadline()
		text, _ := json.Marshal(time.Until(at) < time.Hour)
		return &bridgepb.ExecuteToolResponse{Success: true, Result: &anypb.Any{Value: text}}, nil
	case "fails":
		return &bridgepb.ExecuteToolResponse{ErrorMessage: pythonError}, nil
	}
	return &bridgepb.ExecuteToolResponse{ErrorMessage: "plain words"}, nil
}

func (w *bridgeWorker) ExecuteStreamingTool(r *bridgepb.ExecuteToolRequest, stream grpc.ServerStreamingServer[bridgepb.ToolChunk]) error {
	if r.ToolName == "waits" {
		defer close(w.left)
	}
	for _, text := range []string{"1", "2"} {
		if err := stream.Send(&bridgepb.ToolChunk{Data: []byte(text)}); err != nil {
			return err
		}
	}
	switch r.ToolName {
	case "fails":
		return status.Error(codes.Internal, pythonError)
	case "breaks":
		return status.Error(codes.Unavailable, "gone")
	case "waits":
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	return stream.Send(&bridgepb.ToolChunk{IsFinal: true})
}

func serveBridge(t *testing.T) (Client, *bridgeWorker, *health.Server) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, worker, healthy := grpc.NewServer(), &bridgeWorker{left: make(chan struct{})}, health.NewServer()
	bridgepb.RegisterBridgeServiceServer(server, worker)
	healthpb.RegisterHealthServer(server, healthy)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	client, err := ConnectBridge("127.0.0.1", listener.Addr().(*net.TCPAddr).Port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return client, worker, healthy
}

func TestBridgeHealth(t *testing.T) {
	client, _, server := serveBridge(t)
	if err := client.Healthy(soon(t)); err != nil {
		t.Error(err)
	}
	server.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	if err := client.Healthy(soon(t)); err == nil || !strings.Contains(err.Error(), "NOT_SERVING") {
		t.Errorf("got %v", err)
	}
	client.Close()
	if err := client.Healthy(soon(t)); err == nil {
		t.Error("it is healthy after Close")
	}
}

func TestBridgeExecute(t *testing.T) {
	client, _, _ := serveBridge(t)
	python := &ToolError{Type: "ValueError", Message: "no", Traceback: "Traceback: line 1"}
	for _, tt := range []struct {
		call   Call
		result string
		chunks []string
		tool   *ToolError
		code   codes.Code
	}{
		{call: Call{Tool: "echo", Parameters: map[string]json.RawMessage{"a": json.RawMessage(`[1,"x"]`)}}, result: `{"a":[1,"x"]}`},
		{call: Call{Tool: "bytes"}, result: `"AQI="`},
		{call: Call{Tool: "deadline"}, result: `true`},
		{call: Call{Tool: "fails"}, tool: python},
		{call: Call{Tool: "mumbles"}, tool: &ToolError{Type: "Error", Message: "plain words"}},
		{call: Call{Tool: "counts", Stream: true}, chunks: []string{"1", "2"}},
		{call: Call{Tool: "fails", Stream: true}, chunks: []string{"1", "2"}, tool: python},
		{call: Call{Tool: "breaks", Stream: true}, chunks: []string{"1", "2"}, code: codes.Unavailable},
	} {
		var chunks []string
		result, err := client.Execute(soon(t), tt.call, func(json []byte) error {
			chunks = append(chunks, string(json))
			return nil
		})
		var tool *ToolError
		if errors.As(err, &tool); cmp.Diff(tt.tool, tool) != "" {
			t.Errorf("%s: %v, want the tool's error %v", tt.call.Tool, err, tt.tool)
		}
		if tt.tool == nil && status.Code(err) != tt.code {
			t.Errorf("%s: %v, want code %s", tt.call.Tool, err, tt.code)
		}
		if string(result) != tt.result || !slices.Equal(chunks, tt.chunks) {
			t.Errorf("%s: got %s with chunks %v, want %s with %v", tt.call.Tool, result, chunks, tt.result, tt.chunks)
		}
	}
}

func TestBridgeAwaitIdle(t *testing.T) {
	client, _, server := serveBridge(t)
	client.AwaitIdle(soon(t)) // a worker that does not tell
	server.SetServingStatus(idleService, healthpb.HealthCheckResponse_NOT_SERVING)
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		client.AwaitIdle(soon(t))
	}()
	select {
	case <-idle:
		t.Error("it does not wait for a worker with a tool")
	case <-time.After(50 * time.Millisecond):
	}
	server.SetServingStatus(idleService, healthpb.HealthCheckResponse_SERVING)
	await(t, idle)
}

// A stream that its caller leaves ends in the worker, too.
func TestBridgeStreamIsLeft(t *testing.T) {
	client, worker, _ := serveBridge(t)
	enough := errors.New("enough")
	_, err := client.Execute(soon(t), Call{Tool: "waits", Stream: true}, func([]byte) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
	await(t, worker.left)
}
