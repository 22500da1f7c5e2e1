package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Description is what a run says of itself.
type Description struct {
	RunID      string
	State      string // starting, running, stopping
	Version    string
	Supervisor procscan.ID
	Guard      procscan.ID // zero: there is none
}

// StopOptions are a client's wishes for a stop.
type StopOptions struct {
	Grace  time.Duration // 0: the run's own
	Force  bool
	Result func(pool.StopResult) // called as each worker ends
}

// StopSummary is what was found after everything was stopped.
type StopSummary struct {
	Survivors []pool.Survivor
	Errors    []string // what went wrong beside them
	Guard     *Cleanup // nil: no guard answered
	Notes     []string // what was unusual, and did no harm
}

// Cleanup is the account of an emergency cleanup, in PIDs.
type Cleanup struct {
	Found, Killed, Survivors []int
	Errors                   []string
}

// Run is what the server serves.
type Run interface {
	Describe() Description
	Pools() []*pool.Pool
	// Stop returns when the run has stopped. A second call joins the first.
	Stop(StopOptions) StopSummary
}

// Server serves one run on a Unix socket.
type Server struct {
	controlpb.UnimplementedControlServer
	run     Run
	uid     int
	grpc    *grpc.Server
	keepers func() []keeper // the run's pools
}

// NewServer makes a server that answers the user uid and root, nobody else.
func NewServer(run Run, uid int) *Server {
	s := &Server{run: run, uid: uid, keepers: keepersOf(run)}
	s.grpc = grpc.NewServer(
		grpc.Creds(peerCredentials{}),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.UnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := s.admit(ctx, info.FullMethod); err != nil {
				return nil, toStatus(err)
			}
			return next(ctx, request)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := s.admit(stream.Context(), info.FullMethod); err != nil {
				return toStatus(err)
			}
			return next(srv, stream)
		}),
	)
	controlpb.RegisterControlServer(s.grpc, s)
	return s
}

// maxMessage is the largest message, in bytes: a call's result passes through.
const maxMessage = 101 << 20

// Serve answers until Close; it closes the listener.
func (s *Server) Serve(listener net.Listener) error { return s.grpc.Serve(listener) }

// Close lets answers under way finish for at most the given time.
func (s *Server) Close(patience time.Duration) {
	timer := time.AfterFunc(patience, s.grpc.Stop)
	defer timer.Stop()
	s.grpc.GracefulStop()
}

// admit refuses other users, and clients of another version unless they stop.
func (s *Server) admit(ctx context.Context, method string) error {
	who, ok := peer.FromContext(ctx)
	if !ok {
		return fmt.Errorf("%w: no credentials", ErrPermission)
	}
	info, ok := who.AuthInfo.(peerInfo)
	if !ok || (info.uid != s.uid && info.uid != 0) {
		return fmt.Errorf("%w: user id %d, not %d", ErrPermission, s.uid, info.uid)
	}
	theirs := metadata.ValueFromIncomingContext(ctx, apiKey)
	if strings.HasSuffix(method, "/Stop") || (len(theirs) == 1 && theirs[0] == strconv.Itoa(API)) {
		return nil
	}
	if len(theirs) == 0 {
		theirs = []string{"none that it names"}
	}
	return fmt.Errorf("%w: run %s was started by snakepit %s (control API %d), this one speaks %s",
		ErrVersion, s.run.Describe().RunID, s.run.Describe().Version, API, strings.Join(theirs, ","))
}

// Status implements the protocol.
func (s *Server) Status(context.Context, *controlpb.StatusRequest) (*controlpb.StatusResponse, error) {
	d := s.run.Describe()
	answer := &controlpb.StatusResponse{
		RunId: d.RunID, State: d.State, Version: d.Version,
		Supervisor: processOf(d.Supervisor), Guard: processOf(d.Guard),
	}
	for _, p := range s.run.Pools() {
		answer.Pools = append(answer.Pools, poolOf(p))
	}
	return answer, nil
}

func processOf(id procscan.ID) *controlpb.Process {
	if id.IsZero() {
		return nil
	}
	process := &controlpb.Process{Pid: int32(id.PID)}
	if at, err := procscan.StartedAt(id); err == nil {
		process.StartedAt = timestamppb.New(at)
	}
	return process
}

func poolOf(p *pool.Pool) *controlpb.Pool {
	all := p.Status()
	out := &controlpb.Pool{Name: p.Name(), Desired: int32(p.Desired())}
	for _, s := range all {
		if s.State == pool.Ready {
			out.Ready++
		}
		out.Workers = append(out.Workers, workerOf(s))
	}
	return out
}

func workerOf(s pool.Status) *controlpb.Worker {
	w := &controlpb.Worker{
		Id: s.Worker, State: string(s.State), Pid: int32(s.Process.PID), Host: s.Host, Port: int32(s.Port),
		Incarnation: s.Incarnation, Restarts: uint32(s.Restarts), LastExit: s.LastExit, Message: s.Message,
		Calls: &controlpb.Calls{Running: int32(s.Calls.Running), Ended: s.Calls.Ended, Failed: s.Calls.Failed},
	}
	if !s.Process.IsZero() {
		w.StartedAt, w.StartMethod = timestamppb.New(s.StartedAt), string(s.StartedBy)
		// A process that has just ended uses nothing; its state says so shortly.
		w.RssBytes, w.CpuSeconds, _ = procscan.Usage(s.Process)
	}
	if !s.Health.At.IsZero() {
		w.Health = &controlpb.Health{At: timestamppb.New(s.Health.At), Took: durationpb.New(s.Health.Took)}
	}
	return w
}

// Stop implements the protocol. It goes on when the client leaves.
func (s *Server) Stop(request *controlpb.StopRequest, stream grpc.ServerStreamingServer[controlpb.StopEvent]) error {
	return relay(stream, func(tell func(*controlpb.StopEvent)) error {
		summary := s.run.Stop(StopOptions{
			Grace: request.Grace.AsDuration(), Force: request.Force,
			Result: func(r pool.StopResult) {
				tell(&controlpb.StopEvent{Event: &controlpb.StopEvent_Worker{Worker: stoppedOf(r)}})
			},
		})
		tell(&controlpb.StopEvent{Event: &controlpb.StopEvent_Summary{Summary: SummaryOf(summary)}})
		return nil
	})
}

func stoppedOf(r pool.StopResult) *controlpb.WorkerStopped {
	return &controlpb.WorkerStopped{
		Id: r.Worker, Pid: int32(r.PID), Exit: r.Exit, Signal: r.Signal, Took: durationpb.New(r.Took), Error: r.Err,
		Survivors: survivorsOf(r.Survivors),
	}
}

func survivorsOf(survivors []pool.Survivor) []*controlpb.Survivor {
	var out []*controlpb.Survivor
	for _, s := range survivors {
		out = append(out, &controlpb.Survivor{Pid: int32(s.PID), What: s.What})
	}
	return out
}

// SummaryOf is a summary as it goes over the socket.
func SummaryOf(s StopSummary) *controlpb.StopSummary {
	out := &controlpb.StopSummary{Errors: s.Errors, Notes: s.Notes, Survivors: survivorsOf(s.Survivors)}
	if s.Guard != nil {
		out.Guard = &controlpb.Cleanup{
			Found: pids(s.Guard.Found), Killed: pids(s.Guard.Killed),
			Survivors: pids(s.Guard.Survivors), Errors: s.Guard.Errors,
		}
	}
	return out
}

func pids(in []int) []int32 {
	var out []int32
	for _, pid := range in {
		out = append(out, int32(pid))
	}
	return out
}

// Call implements the protocol. The deadline of the stream is the call's.
func (s *Server) Call(request *controlpb.CallRequest, stream grpc.ServerStreamingServer[controlpb.CallResponse]) error {
	p, err := choose(s.run.Pools(), request.Pool, request.Worker)
	if err != nil {
		return toStatus(err)
	}
	call := pool.Call{Tool: request.Tool, Stream: request.Stream}
	if err := json.Unmarshal(request.ParametersJson, &call.Parameters); err != nil {
		return fmt.Errorf("cannot use the parameters: %w", err)
	}
	worker, result, err := p.Execute(stream.Context(), request.Worker, call, func(chunk []byte) error {
		return stream.Send(&controlpb.CallResponse{Event: &controlpb.CallResponse_ChunkJson{ChunkJson: chunk}})
	})
	answer := &controlpb.CallResult{Worker: worker, Json: result}
	var tool *pool.ToolError
	switch {
	case errors.As(err, &tool):
		answer.Error = &controlpb.ToolError{Type: tool.Type, Message: tool.Message, Traceback: tool.Traceback}
	case err != nil:
		return toStatus(err)
	}
	return stream.Send(&controlpb.CallResponse{Event: &controlpb.CallResponse_Result{Result: answer}})
}
