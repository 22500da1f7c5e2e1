package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// Client speaks to one run's supervisor.
type Client struct {
	conn *grpc.ClientConn
	api  controlpb.ControlClient
}

// Dial makes a client of the supervisor at a socket. It connects when it is
// used: ErrUnreachable comes from the calls.
func Dial(socket string) (*Client, error) {
	conn, err := grpc.NewClient("unix://"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return next(metadata.AppendToOutgoingContext(ctx, apiKey, strconv.Itoa(API)), method, request, reply, conn, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return next(metadata.AppendToOutgoingContext(ctx, apiKey, strconv.Itoa(API)), desc, conn, method, opts...)
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("cannot make a client of %s: %w", socket, err)
	}
	return &Client{conn, controlpb.NewControlClient(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Status asks for the supervisor's own state.
func (c *Client) Status(ctx context.Context) (*controlpb.StatusResponse, error) {
	answer, err := c.api.Status(ctx, &controlpb.StatusRequest{})
	return answer, fromStatus(err)
}

// Stop ends the run; each is called as each worker ends. A summary means that
// survivors were looked for.
func (c *Client) Stop(ctx context.Context, grace time.Duration, force bool, each func(*controlpb.WorkerStopped)) (*controlpb.StopSummary, error) {
	request := &controlpb.StopRequest{Force: force}
	if grace > 0 {
		request.Grace = durationpb.New(grace)
	}
	stream, err := c.api.Stop(ctx, request)
	if err != nil {
		return nil, fromStatus(err)
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return nil, lost(err)
		}
		if summary := event.GetSummary(); summary != nil {
			return summary, nil
		}
		if worker := event.GetWorker(); worker != nil {
			each(worker)
		}
	}
}

// lost says that a stream ended before its last word.
func lost(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ended before it had answered", ErrUnreachable)
	}
	return fromStatus(err)
}

// Call describes a tool call.
type Call struct {
	Pool, Worker string // empty: any
	Tool         string
	Parameters   json.RawMessage // an object
	Stream       bool
}

// Call runs a tool and returns its result as JSON; chunk gets the chunks of a
// stream as they come. A tool's own failure is a *pool.ToolError.
func (c *Client) Call(ctx context.Context, call Call, chunk func(json []byte) error) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.api.Call(ctx, &controlpb.CallRequest{
		Pool: call.Pool, Worker: call.Worker, Tool: call.Tool, ParametersJson: call.Parameters, Stream: call.Stream,
	})
	if err != nil {
		return nil, fromStatus(err)
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return nil, lost(err)
		}
		result := event.GetResult()
		if result == nil {
			if err := chunk(event.GetChunkJson()); err != nil {
				return nil, err
			}
			continue
		}
		if e := result.Error; e != nil {
			return nil, &pool.ToolError{Type: e.Type, Message: e.Message, Traceback: e.Traceback}
		}
		return result.Json, nil
	}
}
