package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/internal/telemetry"
	"github.com/snakepit-dev/snakepit/pkg/pool"
)

// progress shows a start: on a terminal one line that is rewritten, elsewhere a
// line for each step. It writes to standard error.
type progress struct {
	env    *Env
	styles *styles
	runID  string
	live   bool // on a terminal
	began  time.Time
	total  int
	width  int    // of the longest worker id
	next   string // what to type

	mu     sync.Mutex // guards the rest, and keeps lines whole
	states map[string]pool.State
	open   bool // a line is being rewritten
	up     bool // every worker was ready once
}

func newProgress(env *Env, c config.Config, began time.Time) *progress {
	p := &progress{
		env: env, styles: newStyles(env.Err), runID: c.RunID, live: isTerminal(env.Err),
		began: began, states: map[string]pool.State{}, next: "snakepit list",
	}
	for _, pl := range c.Pools {
		p.total += pl.Workers
		p.width = max(p.width, len(pool.WorkerID(pl.Name, pl.Workers-1)))
	}
	if c.NeedsPython() {
		p.next += " · snakepit call ping"
	}
	return p
}

// isTerminal reports whether somebody looks at what is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// event follows the workers. Once the run is up, only what a person should know
// is shown: crashes, and what became of them.
func (p *progress) event(e pool.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.states[e.Worker]
	p.states[e.Worker] = e.To
	switch {
	case p.up:
		p.news(e)
	case e.To == pool.Ready && before != pool.Ready:
		p.line(fmt.Sprintf("%d/%d ready", p.count(pool.Ready), p.total), fmt.Sprintf("%s, PID %d, port %d", e.Worker, e.PID, e.Port))
	case e.To == pool.Failed, e.To == pool.Blocked:
		p.print(p.styles.bad.Render(fmt.Sprintf("✗ %s %s: %s", e.Worker, e.To, e.Reason)))
	}
}

func (p *progress) news(e pool.Event) {
	switch {
	case e.From == pool.Ready && e.To == pool.Releasing:
		p.print(p.styles.warn.Render(fmt.Sprintf("◐ %s ended unasked: %s", e.Worker, e.Reason)))
	case e.To == pool.Ready:
		p.print(p.styles.good.Render(fmt.Sprintf("● %s is back: PID %d, port %d", e.Worker, e.PID, e.Port)))
	case e.To == pool.Failed, e.To == pool.Blocked:
		p.print(p.styles.bad.Render(fmt.Sprintf("✗ %s %s: %s", e.Worker, e.To, e.Reason)))
	}
}

func (p *progress) count(state pool.State) (n int) {
	for _, s := range p.states {
		if s == state {
			n++
		}
	}
	return n
}

// line rewrites the progress line, or prints another.
func (p *progress) line(short, detail string) {
	if p.live {
		fmt.Fprintf(p.env.Err, "\r\x1b[K%s", short)
		p.open = true
		return
	}
	fmt.Fprintf(p.env.Err, "%s (%s)\n", short, detail)
}

func (p *progress) print(text string) {
	if p.open {
		fmt.Fprint(p.env.Err, "\r\x1b[K")
		p.open = false
	}
	fmt.Fprintln(p.env.Err, text)
}

// output shows a line that a worker printed.
func (p *progress) output(worker, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print(fmt.Sprintf("%s %s", p.styles.faint.Render(worker+strings.Repeat(" ", p.width-len(worker))+" |"), line))
}

// ready says that all are up and how to go on.
func (p *progress) ready(detached bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up = true
	took := p.env.Now().Sub(p.began)
	p.print(fmt.Sprintf("%s  run %s: %d/%d ready in %.2f s", p.styles.state("running"), p.styles.title.Render(p.runID), p.total, p.total, took.Seconds()))
	if detached {
		p.print(p.styles.next(fmt.Sprintf("%s · snakepit stop --run-id %s", p.next, p.runID)))
		return
	}
	p.print(p.styles.next("Ctrl-C stops it; in another terminal: " + p.next))
}

// metrics says where they are: the record knows which port it has become.
func (p *progress) metrics(record *rundir.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if record != nil {
		p.print(fmt.Sprintf("%s http://%s%s", p.styles.faint.Render("metrics:"), record.Metrics, telemetry.MetricsPath))
	}
}

// stopped shows how a worker ended.
func (p *progress) stopped(r pool.StopResult) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print(stoppedLine(p.styles, r.Worker, r.PID, r.Exit, r.Signal, r.Took))
}

func (p *progress) warn(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print(p.styles.warning(text))
}

// end leaves the terminal at the start of a line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open {
		fmt.Fprintln(p.env.Err)
		p.open = false
	}
}
