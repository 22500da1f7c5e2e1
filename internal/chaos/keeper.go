package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

// The keeper is a process of its own: if this one is killed, nobody else would end
// the runs that it has started, as their supervisors live on, in a place that nobody
// knows of.

// wordDone is what a keeper is told when there is nothing left to be done. A pipe
// that ends without it means that we were killed.
const wordDone = "done\n"

// KeepAfter starts a keeper for somebody else who starts runs in a place of his own:
// each of his processes has to have the mark in its environment.
func KeepAfter(program string, env []string, place string) (mark string, dismiss func() error, err error) {
	token := unique(tokenLength)
	dismiss, err = startKeeper(program, env, place, token)
	return tokenVariable + "=" + token, dismiss, err
}

// startKeeper returns what dismisses it.
func startKeeper(program string, env []string, base, token string) (func() error, error) {
	if program == "" {
		return func() error { return nil }, nil // without it there are no runs
	}
	cmd := exec.Command(program, "chaos", "keep", "--token", token, "--place", base)
	cmd.Args[0] = "snakepit"
	cmd.Dir, cmd.Env = "/", env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what ends a terminal's processes is not for it
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start who cleans up if this process is killed: %w", err)
	}
	return func() error {
		_, _ = io.WriteString(in, wordDone) // whether it was read, its exit code says
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("who cleans up if this process is killed has failed: %w", err)
		}
		return nil
	}, nil
}

// Keep is the keeper. It ends, each by its identity, all processes that carry the
// token, and removes their place.
func Keep(in io.Reader, base, token string) error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGPIPE)
	if len(token) < tokenLength || filepath.Dir(base) == base {
		return fmt.Errorf("cannot clean up %q after %q", base, token)
	}
	if word, err := bufio.NewReader(in).ReadString('\n'); word == wordDone || err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	left := &stage{token: token, signal: send}
	_, err := left.endAll()
	homes, _ := filepath.Glob(filepath.Join(base, "*", "s")) // the pattern is right
	for _, home := range homes {
		unmountAll(home)
	}
	return errors.Join(err, os.RemoveAll(base))
}
