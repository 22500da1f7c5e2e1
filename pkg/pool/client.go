package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/snakepit-dev/snakepit/pkg/pool/bridgepb"
)

// Connect makes a client of a worker that serves on host:port. It need not
// reach it yet.
type Connect func(host string, port int) (Client, error)

// Client speaks to one worker process.
type Client interface {
	// Healthy returns nil when the worker answers that it serves.
	Healthy(ctx context.Context) error
	// Execute runs a tool; chunk is called for each chunk when stream is set.
	Execute(ctx context.Context, call Call, chunk func(json []byte) error) (json []byte, err error)
	// AwaitIdle returns when no tool runs in the worker any more, also none
	// whose caller has left, or when that cannot be known.
	AwaitIdle(ctx context.Context)
	Close()
}

// Call names a tool and its parameters.
type Call struct {
	Tool       string
	Parameters map[string]json.RawMessage
	Stream     bool
}

// ToolError is a tool's own failure: the worker is well.
type ToolError struct {
	Type      string `json:"type"` // the Python exception, "UnknownTool", "InvalidParameters"
	Message   string `json:"message"`
	Traceback string `json:"traceback"`
}

func (e *ToolError) Error() string { return e.Type + ": " + e.Message }

// maxMessage is the largest message on the wire, in bytes.
const maxMessage = 100 << 20

// What a connection may take of this process, in bytes. A supervisor has one to each
// worker, and most are idle: the defaults are made for one that is busy. A window that
// does not adapt saves a ping with every answer.
const (
	readBuffer = 4 << 10
	window     = 1 << 20
)

// bridge is the Client of the workers' own protocol.
type bridge struct {
	conn *grpc.ClientConn
	api  bridgepb.BridgeServiceClient
}

// ConnectBridge makes a client that speaks snakepit.bridge and grpc.health.v1.
func ConnectBridge(host string, port int) (Client, error) {
	b, err := newBridge(host, port)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func newBridge(host string, port int, more ...grpc.DialOption) (*bridge, error) {
	conn, err := grpc.NewClient("passthrough:///"+net.JoinHostPort(host, strconv.Itoa(port)),
		append(more,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithNoProxy(),
			grpc.WithDisableServiceConfig(),
			grpc.WithReadBufferSize(readBuffer),
			grpc.WithStaticStreamWindowSize(window),
			grpc.WithStaticConnWindowSize(window),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))...)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client of %s:%d: %w", host, port, err)
	}
	return &bridge{conn, bridgepb.NewBridgeServiceClient(conn)}, nil
}

func (b *bridge) Close() { _ = b.conn.Close() } // its only error is that it was closed already

func (b *bridge) Healthy(ctx context.Context) error {
	answer, err := healthpb.NewHealthClient(b.conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return err
	}
	if answer.Status != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("it answers %s", answer.Status)
	}
	return nil
}

// idleService is the health service that serves while no tool runs.
const idleService = "snakepit.idle"

func (b *bridge) AwaitIdle(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	states, err := healthpb.NewHealthClient(b.conn).Watch(ctx, &healthpb.HealthCheckRequest{Service: idleService})
	for err == nil {
		var now *healthpb.HealthCheckResponse
		if now, err = states.Recv(); err == nil && now.Status != healthpb.HealthCheckResponse_NOT_SERVING {
			return // idle, or a worker that does not tell
		}
	}
}

func (b *bridge) Execute(ctx context.Context, call Call, chunk func([]byte) error) ([]byte, error) {
	request := &bridgepb.ExecuteToolRequest{ToolName: call.Tool, Stream: call.Stream, Parameters: map[string]*anypb.Any{}}
	for name, value := range call.Parameters {
		request.Parameters[name] = &anypb.Any{TypeUrl: "type.googleapis.com/google.protobuf.StringValue", Value: value}
	}
	if call.Stream {
		return nil, b.stream(ctx, request, chunk)
	}
	answer, err := b.api.ExecuteTool(ctx, request)
	if err != nil {
		return nil, err
	}
	if !answer.Success {
		return nil, parseToolError(answer.ErrorMessage)
	}
	if len(answer.BinaryResult) > 0 {
		return json.Marshal(answer.BinaryResult)
	}
	return answer.Result.GetValue(), nil
}

func (b *bridge) stream(ctx context.Context, request *bridgepb.ExecuteToolRequest, chunk func([]byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // a stream that is left early ends in the worker, too
	chunks, err := b.api.ExecuteStreamingTool(ctx, request)
	if err != nil {
		return err
	}
	for {
		part, err := chunks.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return streamError(err)
		}
		if len(part.Data) == 0 {
			continue // the mark of the end
		}
		if err := chunk(part.Data); err != nil {
			return err
		}
	}
}

// streamError finds the tool's own error in the status of a stream.
func streamError(err error) error {
	s := status.Convert(err)
	switch s.Code() {
	case codes.Internal, codes.InvalidArgument, codes.NotFound:
		if len(s.Message()) > 0 && s.Message()[0] == '{' {
			return parseToolError(s.Message())
		}
	}
	return err
}

// parseToolError reads the JSON that the protocol puts into error_message; a
// worker that sends plain text is understood as well.
func parseToolError(text string) *ToolError {
	var said ToolError
	if err := json.Unmarshal([]byte(text), &said); err != nil || said.Type == "" {
		return &ToolError{Type: "Error", Message: text}
	}
	return &said
}
