package pyenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// build makes a new environment under home, whose lock the caller holds.
func (m managed) build(ctx context.Context, home string) (string, error) {
	base, err := findBase(ctx, m.path)
	if err != nil {
		return "", err
	}
	prune(home)
	m.progress("making the Python environment (first start only)")
	dir, err := m.attempt(ctx, home, base)
	switch {
	case err == nil:
		prune(home, filepath.Base(dir), markerName)
		return filepath.Join(dir, "bin", "python"), nil
	case ctx.Err() != nil:
		err = fmt.Errorf("cannot make the Python environment: %w", context.Cause(ctx))
	}
	prune(home)
	return "", err
}

// prune removes former attempts from home, all but the entries to keep. What
// it cannot remove does no harm, since no attempt shares a directory: the
// installer of a builder that was killed may be writing there still.
func prune(home string, keep ...string) {
	entries, _ := os.ReadDir(home)
	for _, entry := range entries {
		if !slices.Contains(keep, entry.Name()) {
			_ = os.RemoveAll(filepath.Join(home, entry.Name()))
		}
	}
}

func (m managed) attempt(ctx context.Context, home string, base answer) (string, error) {
	dir, err := os.MkdirTemp(home, attemptPrefix)
	if err != nil {
		return "", cacheError(m.root, err)
	}
	list := filepath.Join(home, "requirements.txt")
	if err := writeFile(list, []byte(m.requirements), 0o600); err != nil {
		return "", cacheError(m.root, err)
	}
	if err := m.install(ctx, dir, list, base); err != nil {
		return "", err
	}
	found, err := verify(ctx, filepath.Join(dir, "bin", "python"))
	if err != nil {
		return "", err
	}
	if err := writeMarker(home, filepath.Base(dir), found); err != nil {
		return "", cacheError(m.root, err)
	}
	return dir, nil
}

// install prefers uv for its speed, and falls back to Python's own tools: uv
// does not read pip's settings, and a private index may be in those alone.
func (m managed) install(ctx context.Context, dir, list string, base answer) error {
	if uv, ok := lookPath("uv", m.path); ok {
		err := m.installWithUV(ctx, uv, dir, list, base)
		if err == nil || ctx.Err() != nil {
			return err
		}
		m.progress("uv could not make it; trying venv and pip")
	}
	if output, err := m.step(ctx, dir, base.Base, "-m", "venv", dir); err != nil {
		if lacksVenv(output) {
			return noVenvError(base.Base, base.Version, output)
		}
		return venvError(base.Base, output, err)
	}
	m.announce()
	output, err := m.step(ctx, dir, filepath.Join(dir, "bin", "python"),
		"-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", list)
	if err != nil {
		return installError(installReason(output, err), output, err)
	}
	return nil
}

func (m managed) installWithUV(ctx context.Context, uv, dir, list string, base answer) error {
	if output, err := m.step(ctx, dir, uv, "venv", "--no-project", "--python", base.Base, dir); err != nil {
		return venvError(base.Base, output, err)
	}
	m.announce()
	output, err := m.step(ctx, dir, uv, "pip", "install",
		"--python", filepath.Join(dir, "bin", "python"), "--compile-bytecode", "-r", list)
	if err != nil {
		return installError(installReason(output, err), output, err)
	}
	return nil
}

func (m managed) announce() {
	m.progress("installing " + strings.Join(strings.Fields(m.requirements), ", "))
}

// step runs one program from a directory of ours: in the user's, a file named
// pip.py or a uv.toml would take part.
func (m managed) step(ctx context.Context, dir, path string, args ...string) (string, error) {
	out := &watch{progress: m.progress}
	err := run(ctx, command{path: path, args: args, dir: filepath.Dir(dir), env: isolated(), stdout: out, stderr: out})
	return out.String(), err
}

// verify really imports what the worker imports. A probe cannot see that a
// compiled module does not load, for want of libstdc++ say.
func verify(ctx context.Context, interpreter string) (answer, error) {
	found, err := probe(ctx, interpreter, isolated(), probeTimeout)
	if err != nil {
		return answer{}, err
	}
	modules := make([]string, 0, len(required()))
	for _, r := range required() {
		if found.Modules[r.module] == nil {
			return answer{}, installError(r.pip+" is not there after the installation", "", nil)
		}
		modules = append(modules, r.module)
	}
	var out tail
	c := command{
		path: interpreter, args: []string{"-c", "import " + strings.Join(modules, ", ")},
		dir: filepath.Dir(interpreter), env: isolated(), stdout: &out, stderr: &out,
	}
	if err := run(ctx, c); err != nil {
		return answer{}, installError("they are installed and cannot be imported", out.String(), err)
	}
	return found, nil
}

func venvError(base, output string, cause error) *Error {
	return &Error{
		Kind: InstallFailed,
		Message: fmt.Sprintf("cannot make a Python environment with %s: %v%s",
			base, cause, indented(lastLines(output))),
		Hint: "name another Python, or an environment of your own: --python /path/to/venv/bin/python",
		Err:  cause,
	}
}
