package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// What a run writes at the least, and what its logs may take: each is rotated at
// 10 MB, and one older file is kept.
const (
	leastFree   = 10e6
	leastInodes = 100
	logsBytes   = 20e6
)

func (e *examination) directories() {
	e.tell(judgePlace("state directory", "XDG_STATE_HOME", e.Runs, lookAt(e.Runs), os.Geteuid(), uint64(workers(e.Config)+1)*logsBytes))
	e.runtimeDirectory()
	const cache = "cache"
	if e.needsPython(cache) {
		e.tell(judgePlace(cache, "XDG_CACHE_HOME", e.CacheDir, lookAt(e.CacheDir), os.Geteuid(), 0))
	}
}

// judgePlace is about a directory that a start writes to; mayTake is how much there
// could be in time.
func judgePlace(name, variable, dir string, p place, uid int, mayTake uint64) Check {
	c := Check{Name: name, State: Fail, Hint: variable + " chooses another place; look: ls -ld " + p.path}
	switch {
	case p.kind != nil:
		c.Evidence = fmt.Sprintf("%s cannot be used: %v", dir, p.kind)
	case p.readOnly:
		c.Evidence = fmt.Sprintf("%s is on a file system that is read-only", p.path)
	case p.denied != nil:
		c.Evidence = fmt.Sprintf("%s is not writable for this user (mode %#o, owner %d): %v", p.path, p.mode, p.uid, p.denied)
	case !p.missing && p.uid != uid:
		c.Evidence = fmt.Sprintf("%s belongs to user id %d, not to %d", dir, p.uid, uid)
		c.Hint = fmt.Sprintf("give it back: sudo chown -R %d %s; or choose another place: %s", uid, dir, variable)
	case !p.missing && p.mode&0o022 != 0:
		c.Evidence = fmt.Sprintf("others may write to %s: its mode is %#o, so that they can forge what runs leave", dir, p.mode)
		c.Hint = "chmod 700 " + dir
	case p.free < leastFree || p.inodes < leastInodes:
		c.Evidence = fmt.Sprintf("%s has %d MB and %d inodes left", p.path, p.free/1e6, p.inodes)
		c.Hint = fmt.Sprintf("make room: df -h %[1]s; df -i %[1]s; or choose another place: %[2]s", p.path, variable)
	default:
		return judgeSpare(c, dir, p, mayTake)
	}
	return c
}

// judgeSpare is about a directory that can be used.
func judgeSpare(c Check, dir string, p place, mayTake uint64) Check {
	c.State, c.Hint = OK, ""
	c.Evidence = fmt.Sprintf("%s is writable, mode %#o; %s", dir, p.mode, humanSize(p.free)+" free")
	if p.missing {
		c.Evidence = fmt.Sprintf("%s is not there yet and can be made; %s", dir, humanSize(p.free)+" free")
	}
	switch {
	case !p.missing && p.mode&0o055 != 0:
		c.State, c.Hint = Warn, "chmod 700 "+dir
		c.Evidence += "; others may read it"
	case p.free < mayTake:
		c.State = Warn
		c.Evidence += fmt.Sprintf("; the logs of this run may take %s in time", humanSize(mayTake))
		c.Hint = "make room: df -h " + p.path
	}
	return c
}

func humanSize(bytes uint64) string {
	if bytes >= 10e9 {
		return fmt.Sprintf("%d GB", uint64(float64(bytes)/1e9))
	}
	return fmt.Sprintf("%d MB", uint64(float64(bytes)/1e6))
}

// runtimeDirectory is where the control socket goes.
func (e *examination) runtimeDirectory() {
	const name = "runtime directory"
	runID := e.Config.RunID
	if runID == "" { // the configuration is broken; a name as long as a random one
		runID = strings.Repeat("x", 10)
	}
	path, err := rundir.LookSocketPath(e.RuntimeDir, e.TempDir, os.Getuid(), runID)
	if err != nil {
		e.fail(name, "set it right: chmod 700; or choose another: XDG_RUNTIME_DIR", "%v", err)
		return
	}
	dir := filepath.Dir(path)
	if p := lookAt(dir); p.kind != nil || p.readOnly || p.denied != nil {
		e.tell(judgePlace(name, "XDG_RUNTIME_DIR", dir, p, os.Geteuid(), 0))
		return
	}
	note := ""
	if e.RuntimeDir == "" {
		note = "; XDG_RUNTIME_DIR is not set"
	} else if !strings.HasPrefix(path, e.RuntimeDir) {
		note = fmt.Sprintf("; %s cannot hold it", e.RuntimeDir)
	}
	e.ok(name, "the socket's path has %d bytes of at most %d: %s%s", len(path), rundir.MaxSocketPath, path, note)
}
