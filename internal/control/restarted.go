package control

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/snakepit-dev/snakepit/internal/control/controlpb"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// How a restart went, as it goes over the socket and comes back: with the types
// of its errors.

func restartedOf(r pool.Restarted) *controlpb.WorkerRestarted {
	return &controlpb.WorkerRestarted{
		Id: r.Worker, OldPid: int32(r.OldPID), NewPid: int32(r.NewPID), Port: int32(r.Port),
		Stop: durationpb.New(r.Stop), Release: durationpb.New(r.Release), Start: durationpb.New(r.Start), Total: durationpb.New(r.Total),
		Error: workerErrorOf(r.Err),
	}
}

func restartedFrom(w *controlpb.WorkerRestarted) pool.Restarted {
	return pool.Restarted{
		Worker: w.Id, OldPID: int(w.OldPid), NewPID: int(w.NewPid), Port: int(w.Port),
		Stop: w.Stop.AsDuration(), Release: w.Release.AsDuration(), Start: w.Start.AsDuration(), Total: w.Total.AsDuration(),
		Err: workerErrorFrom(w.Id, w.Error),
	}
}

func workerErrorOf(err error) *controlpb.WorkerError {
	if err == nil {
		return nil
	}
	out := &controlpb.WorkerError{Text: err.Error(), Code: int32(status.Code(toStatus(err)))}
	var held *pool.CleanupTimeoutError
	if errors.As(err, &held) {
		out.CleanupTimeout = &controlpb.CleanupTimeout{Port: int32(held.Port), After: durationpb.New(held.After), Holder: held.Holder}
	}
	var notReady *pool.NotRestartedError
	if errors.As(err, &notReady) {
		out.NotReady = failuresOf([]pool.Failure{notReady.Failure})[0]
	}
	return out
}

// workerErrorFrom keeps the text of the other side, whatever it has wrapped.
func workerErrorFrom(worker string, e *controlpb.WorkerError) error {
	if e == nil {
		return nil
	}
	err := fromStatus(status.Error(codes.Code(e.Code), e.Text))
	switch {
	case e.CleanupTimeout != nil:
		held := e.CleanupTimeout
		err = &pool.CleanupTimeoutError{Worker: worker, Port: int(held.Port), After: held.After.AsDuration(), Holder: held.Holder}
	case e.NotReady != nil:
		err = &pool.NotRestartedError{Failure: failuresFrom([]*controlpb.Failure{e.NotReady})[0]}
	}
	if err.Error() != e.Text {
		return &remote{text: e.Text, is: err}
	}
	return err
}

func failuresOf(failures []pool.Failure) []*controlpb.Failure {
	var out []*controlpb.Failure
	for _, f := range failures {
		out = append(out, &controlpb.Failure{Worker: f.Worker, Kind: f.Kind, Reason: f.Reason, Hint: f.Hint, Output: f.Output})
	}
	return out
}

func failuresFrom(failures []*controlpb.Failure) []pool.Failure {
	var out []pool.Failure
	for _, f := range failures {
		out = append(out, pool.Failure{Worker: f.Worker, Kind: f.Kind, Reason: f.Reason, Hint: f.Hint, Output: f.Output})
	}
	return out
}
