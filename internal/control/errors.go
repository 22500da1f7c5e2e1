package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// What only this package's client meets.
var (
	// ErrVersion: the run was started by a snakepit of another protocol.
	ErrVersion = errors.New("another version of the control protocol")
	// ErrPermission: the run belongs to another user.
	ErrPermission = errors.New("the run belongs to another user")
	// ErrWhichPool: the run has several pools, and the call names none.
	ErrWhichPool = errors.New("which pool is not said")
	// ErrUnreachable: nobody answers on the socket.
	ErrUnreachable = errors.New("the supervisor does not answer")
)

// table pairs each error with the code that carries it over the socket.
var table = []struct {
	err  error
	code codes.Code
}{
	{pool.ErrNoWorker, codes.NotFound},
	{pool.ErrStopping, codes.FailedPrecondition},
	{pool.ErrStopped, codes.DataLoss},
	{pool.ErrNoneReady, codes.ResourceExhausted},
	{pool.ErrWorkerDied, codes.Aborted},
	{context.DeadlineExceeded, codes.DeadlineExceeded},
	{context.Canceled, codes.Canceled},
	{ErrWhichPool, codes.AlreadyExists},
	{ErrVersion, codes.OutOfRange},
	{ErrPermission, codes.PermissionDenied},
	{ErrUnreachable, codes.Unavailable},
	{pool.ErrNotTried, codes.InvalidArgument},
}

// toStatus is the server's side of the table.
func toStatus(err error) error {
	for _, row := range table {
		if errors.Is(err, row.err) {
			return status.Error(row.code, err.Error())
		}
	}
	var limit *pool.LimitError
	if errors.As(err, &limit) {
		return limitStatus(err, limit)
	}
	// A worker's own gRPC code would be taken for one of the table's: it is not
	// the supervisor that is unavailable. Of time and cancellation, both mean
	// the same.
	switch s := status.Convert(err); s.Code() {
	case codes.DeadlineExceeded, codes.Canceled:
		return s.Err()
	default:
		return status.Error(codes.Unknown, s.Message())
	}
}

// limitStatus takes along what a limit is, for the hint of the other side.
func limitStatus(err error, limit *pool.LimitError) error {
	said := status.New(codes.Unknown, err.Error())
	text, failed := json.Marshal(limit)
	if failed != nil {
		return said.Err()
	}
	if full, failed := said.WithDetails(wrapperspb.Bytes(text)); failed == nil {
		return full.Err()
	}
	return said.Err()
}

// limitFrom is the limit that a status takes along; nil: none.
func limitFrom(s *status.Status) *pool.LimitError {
	for _, detail := range s.Details() {
		if value, ok := detail.(*wrapperspb.BytesValue); ok {
			limit := &pool.LimitError{}
			if json.Unmarshal(value.Value, limit) == nil {
				return limit
			}
		}
	}
	return nil
}

// remote is an error that came over the socket: the text of the other side,
// and what it is here.
type remote struct {
	text string
	is   error
}

func (r *remote) Error() string { return r.text }
func (r *remote) Unwrap() error { return r.is }

// fromStatus is the client's side of the table.
func fromStatus(err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	if s.Code() == codes.Unimplemented { // gRPC's own word: the server never says it
		return &remote{text: "the run was started by an older snakepit, whose supervisor cannot do this", is: ErrVersion}
	}
	for _, row := range table {
		if s.Code() == row.code {
			return &remote{text: s.Message(), is: row.err}
		}
	}
	if limit := limitFrom(s); limit != nil {
		return &remote{text: s.Message(), is: limit}
	}
	return fmt.Errorf("the supervisor answers: %s", s.Message())
}
