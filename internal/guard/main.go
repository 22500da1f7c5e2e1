package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Option changes what a guard does.
type Option func(*process)

// ReportOnly has the guard end nothing: it says what it found.
func ReportOnly() Option { return func(p *process) { p.reportOnly = true } }

// LogTo has the guard say to people what it found.
func LogTo(logger *slog.Logger) Option { return func(p *process) { p.logger = logger } }

// Key gives the guard the run's own random value: who does not carry it, is of
// another run.
func Key(key string) Option { return func(p *process) { p.key = key } }

// process is what the guard process knows.
type process struct {
	runs, runID string
	key         string // tells the run from others of the same name
	reportOnly  bool
	logger      *slog.Logger
	supervisor  procscan.ID // zero when it ended before anybody looked
	stranger    error       // why it is not known who that is
}

// Main is the guard process: it waits for the end of its supervisor, looks, and
// ends what it finds. In a clean stop its verdict goes to out, as JSON. It is
// deaf to the signals that end a terminal's or a service's processes.
func Main(in io.Reader, out io.Writer, runsRoot, runID string, options ...Option) error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGPIPE)
	p := &process{runs: runsRoot, runID: runID, logger: slog.New(slog.DiscardHandler)}
	for _, set := range options {
		set(p)
	}
	if p.key == "" {
		return fmt.Errorf("cannot look after run %q without its key: nothing tells its processes from those of another run of that name", runID)
	}
	if err := p.meet(procscan.Lookup(os.Getppid())); err != nil {
		p.logger.Error("the look for orphaned processes", "error", err)
	}
	words := bufio.NewReaderSize(in, 64)
	word, err := nextWord(words)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if word != wordClean {
		return p.takeOver(ctx, nil)
	}
	verdict, err := p.confirm(ctx)
	if err != nil {
		return err
	}
	err = json.NewEncoder(out).Encode(verdict) // the supervisor may have died meanwhile, which the next word tells
	if word, lost := nextWord(words); lost != nil || word == wordSettled {
		return errors.Join(err, lost)
	}
	return p.takeOver(ctx, &verdict)
}

// nextWord waits for what the supervisor says; nothing, or half a word, when it has
// ended.
func nextWord(words *bufio.Reader) (string, error) {
	word, err := words.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("cannot wait for the supervisor: %w", err)
	}
	return word, nil
}

// meet notes who has started this guard. That one may have ended; any other
// reason not to know it is an error.
func (p *process) meet(supervisor procscan.ID, err error) error {
	if err == nil || errors.Is(err, procscan.ErrGone) {
		p.supervisor = supervisor
		return nil
	}
	p.stranger = fmt.Errorf("cannot tell who started this guard: %w", err)
	return p.stranger
}

// exitWait is how long a supervisor whose pipe has ended may take to be gone.
const exitWait = 2 * time.Second

// confirm is the look after a clean stop. The supervisor lives and waits. An error
// is that this is not its guard; why not everything could be told, the log says.
func (p *process) confirm(ctx context.Context) (Verdict, error) {
	found, err := rundir.Open(p.runs, p.runID)
	if err != nil {
		return Verdict{}, err
	}
	if p.stranger != nil {
		return Verdict{}, p.stranger
	}
	if r := found.Record; r != nil && r.Supervisor.PID != p.supervisor.PID {
		return Verdict{}, fmt.Errorf("cannot look after run %q: its supervisor is PID %d, and that did not start this guard", p.runID, r.Supervisor.PID)
	}
	verdict := p.look(ctx, false)
	if err := p.tell(rundir.EventsPath(filepath.Join(p.runs, p.runID)), verdict, "this indicates a bug in the normal shutdown"); err != nil {
		p.logger.Error("the look for orphaned processes", "error", err)
	}
	return verdict, nil
}

// takeOver is the cleanup after the supervisor has died. It acts only with the
// run's lock: whoever else has it has taken the run over, and a new run of this
// id must not lose its workers to us. A verdict that was given before is not told
// again: then the supervisor died on its way out, and only what it has left to do
// is done.
func (p *process) takeOver(ctx context.Context, given *Verdict) error {
	// The kernel closes what a killed process had open in no promised order, so
	// the pipe may end before the lock does. Whether it did, Adopt tells.
	limited, cancel := context.WithTimeout(ctx, exitWait)
	defer cancel()
	_ = rundir.WaitEnded(limited, filepath.Join(p.runs, p.runID))
	dir, err := rundir.Adopt(ctx, p.runs, p.runID)
	if err != nil {
		return err
	}
	defer dir.Close()
	if another, err := p.isAnother(); another || err != nil {
		return err
	}
	verdict := p.look(ctx, true)
	reason := ""
	if given == nil || !verdict.clean() {
		err = p.tell(dir.EventsPath(), verdict, "the supervisor died")
	}
	if given != nil {
		verdict = verdict.after(*given)
		reason = "the supervisor died after it had stopped everything, before it had written that down"
	}
	return errors.Join(err, dir.Settle(rundir.End{
		At: time.Now(), By: telemetry.SourceGuard, Found: verdict.Found, Killed: verdict.Killed, Survivors: verdict.Survivors, Confirmed: verdict.clean(), Reason: reason,
	}))
}

// isAnother says that the files are those of a later run of the same id, which has
// come and gone meanwhile.
func (p *process) isAnother() (bool, error) {
	found, err := rundir.Open(p.runs, p.runID)
	if err != nil {
		return false, err
	}
	return found.Record != nil && found.Record.Key != "" && found.Record.Key != p.key, nil
}

// look looks for what is left, and ends it if that is the guard's task.
func (p *process) look(ctx context.Context, dead bool) Verdict {
	s := scopeOf(p.runs, p.runID, p.key, p.supervisor, dead)
	if p.reportOnly {
		return s.report(ctx)
	}
	return s.sweep(ctx)
}

// tell says what was found, each with its count, in the events and to people.
func (p *process) tell(eventsPath string, v Verdict, reason string) error {
	for _, problem := range v.Errors {
		p.logger.Error("the look for orphaned processes", "error", problem)
	}
	found := telemetry.Findings{
		RunID: p.runID, Source: telemetry.SourceGuard, Confirmed: v.clean(),
		Found: v.Found, Killed: v.Killed, Survivors: v.Survivors, Errors: v.Errors,
	}
	if found.Confirmed {
		p.logger.Info("No orphaned processes: supervision cleaned up")
	}
	events, err := telemetry.Open(eventsPath, p.runID, p.logger)
	if err != nil {
		return err
	}
	for _, event := range found.Events(reason) {
		events.Emit(event)
	}
	return events.Close()
}
