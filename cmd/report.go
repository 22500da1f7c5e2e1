package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

type reportOptions struct {
	env    *Env
	runID  string
	file   string // of settings
	output string
}

func newReport(env *Env) *cobra.Command {
	o := &reportOptions{env: env}
	c := &cobra.Command{
		Use:   "report",
		Short: "Write one file to paste into an issue",
		Long: `report writes what others need to understand a problem: versions, what doctor
says, the runs and their workers, the last events and the last lines of the logs, and
the configuration. It is Markdown, short enough for one issue.

Of environment variables it has the names and no values. Passwords, tokens, keys and
the like are taken out wherever they stand, and the home directory is written ~. A
secret that has neither a name nor a form, and is in no environment, cannot be told
from a word (what the environment of an ended run was is not known any more): read
the file before you show it.

Without --run-id it is about the only living run or, when none lives, the one that
ended last. It works without any run, and with files that are broken: what could not
be read is said. Nothing but the file is written.`,
		Example: `  snakepit report
  snakepit report --run-id demo --output -
  snakepit report --config snakepit.yaml --output report.md`,
		Args: cobra.NoArgs,
	}
	addRunFlag(c, &o.runID)
	c.Flags().Lookup("run-id").Usage = "the run, living or ended; without it, the only living one, or the last that ended"
	c.Flags().StringVar(&o.file, "config", "", "YAML `file` with the settings of a start to report on, in place of a run (default: none)")
	c.Flags().StringVarP(&o.output, "output", "o", "", "`file` to write, which must not be there yet; - is standard output (default: snakepit-report-RUN-TIME.md)")
	_ = c.MarkFlagFilename("output", "md") // fails only for a flag that is not there
	c.RunE = func(c *cobra.Command, _ []string) error {
		outliveReader()
		return unlessReaderLeft(o.run(c.Context()))
	}
	return c
}

func (o *reportOptions) run(ctx context.Context) error {
	ctx, cancel := interruptible(ctx)
	defer cancel()
	found, problems, err := o.find()
	if err != nil {
		return err
	}
	path := o.path(found)
	if err := refuseExisting(path); err != nil {
		return err
	}
	fmt.Fprintln(o.env.Err, "looking; an adapter that hangs may take a while")
	r := newIssueReport(o.env, found, o.file)
	r.problems = problems
	text := r.write(ctx)
	if ctx.Err() != nil {
		return failf(exitFailed, "", "cannot write the report: interrupted")
	}
	if path == "-" {
		_, err := io.WriteString(o.env.Out, text)
		return err
	}
	if err := writeNew(path, text); err != nil {
		return err
	}
	fmt.Fprintf(o.env.Err, "wrote %s (%s); read it before you show it\n", path, humanBytes(uint64(len(text))))
	return nil
}

// find is the run to report on; nil when there is none. Only a run that was named
// has to be there.
func (o *reportOptions) find() (*rundir.Found, []string, error) {
	if o.runID == "" && o.file != "" {
		return nil, nil, nil
	}
	found, err := findRunOrLast(o.env, o.runID, "facts")
	var known *failure
	switch {
	case err == nil:
		return &found, nil, nil
	case errors.As(err, &known) && (o.runID != "" || known.code == exitAmbiguous):
		return nil, nil, err
	case errors.As(err, &known):
		return nil, nil, nil // no run at all
	}
	return nil, []string{err.Error()}, nil
}

func (o *reportOptions) path(found *rundir.Found) string {
	if o.output != "" {
		return o.output
	}
	name := "snakepit-report-"
	if found != nil {
		name += found.RunID + "-"
	}
	return name + o.env.Now().Format("20060102-150405") + ".md"
}

func refuseExisting(path string) error {
	if path == "-" {
		return nil
	}
	if _, err := os.Lstat(path); err == nil {
		return existing(path)
	}
	return nil
}

func existing(path string) error {
	return failf(exitUsage, "name another: --output FILE; or remove it: rm "+path, "cannot write %s: it is there already", path)
}

// writeNew writes a file that is not there yet, for this user alone: what was taken
// out may not be all.
func writeNew(path, text string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return existing(path)
	}
	if err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	_, err = io.Copy(file, strings.NewReader(text))
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("cannot write the report: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
}

// stamp is a time as reports write it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
