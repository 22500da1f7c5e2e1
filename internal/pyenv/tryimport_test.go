package pyenv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/adrg/xdg"
)

// adapters are modules of the user's that go wrong, each in its way.
var adapters = map[string]string{
	"fine.py":    "from snakepit import Adapter, tool\nimport os\nclass Fine(Adapter):\n    @tool\n    def ping(self): return 1\nprint('noise')\n",
	"threads.py": "from snakepit import Adapter, tool\nimport threading, time\nthreading.Thread(target=time.sleep, args=(60,), name='poller').start()\nclass A(Adapter):\n    @tool\n    def a(self): pass\n",
	"made.py": "from snakepit import Adapter, tool\nimport abc\nclass Base(Adapter):\n    @tool\n    def a(self): pass\n" +
		"class Needs(Base):\n    def __init__(self, model): raise SystemExit('it was called')\n" +
		"class Abstract(Base, abc.ABC):\n    @abc.abstractmethod\n    def load(self): pass\n" +
		"class Empty(Adapter): pass\n" +
		"class Fine(Base):\n    def __init__(self, model=None): raise SystemExit('it was called')\n",
	"hangs.py": "import os, subprocess, sys, time\nfifo = os.open(os.environ['FIFO'], os.O_WRONLY)\n" +
		"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], pass_fds=[fifo])\n" +
		"os.write(fifo, b'started\\n')\ntime.sleep(600)\n",
	"raises.py": "raise ValueError('no licence')\n",
	"needs.py":  "import no_such_package\n",
	"leaves.py": "import os\nos._exit(7)\n",
}

func tryAdapter(t *testing.T, adapter string, limit time.Duration) (Import, error) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the packages")
	}
	env, err := Resolve(t.Context(), Options{CacheDir: filepath.Join(xdg.CacheHome, "snakepit"), Path: os.Getenv("PATH")})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range adapters {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := TryImport(t.Context(), ImportOptions{Python: env.Python, Adapter: adapter, PythonPath: []string{dir}, Env: os.Environ(), Limit: limit})
	left, _ := os.ReadDir(dir)
	if len(left) != len(adapters) {
		t.Errorf("something was written: %v", left)
	}
	return got, err
}

// What a worker would refuse in the class is found without making an instance.
func TestTryImportClass(t *testing.T) {
	for class, want := range map[string]string{
		"Needs":    "the constructor of the adapter Needs is called without arguments: missing a required argument: 'model'",
		"Abstract": "the class Abstract is abstract, it lacks: load",
		"Empty":    "adapter Empty has no tools",
		"Fine":     "",
	} {
		_, err := tryAdapter(t, "made:"+class, time.Minute)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: %v, want %q", class, err, want)
		}
	}
}

func TestTryImport(t *testing.T) {
	got, err := tryAdapter(t, "fine:Fine", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if got.Threads != 1 || got.Took <= 0 || got.PeakBytes < 10e6 || got.Packages["grpcio"] == "" || got.Packages["grpcio"] == "unknown version" {
		t.Errorf("%+v", got)
	}
	if got, err = tryAdapter(t, "snakepit.showcase:Showcase", time.Minute); err != nil || got.Threads != 1 {
		t.Errorf("the showcase: %+v, %v", got, err)
	}
	if got, err = tryAdapter(t, "threads:A", time.Minute); err != nil || got.Threads != 2 || got.ThreadsBefore != 1 || strings.Join(got.ThreadNames, ",") != "poller" {
		t.Errorf("one with a thread: %+v, %v", got, err)
	}
}

func TestTryImportFails(t *testing.T) {
	for _, tt := range []struct{ adapter, kind, message, last string }{
		{"raises:A", "adapter_import", "raised ValueError: no licence", ""},
		{"needs:A", "adapter_missing_package", "needs 'no_such_package'", ""},
		{"nowhere:A", "adapter_not_found", "no adapter module 'nowhere'", ""},
		{"fine:Other", "adapter_class_not_found", "its adapters are: Fine", ""},
		{"leaves:A", "ended", "exit status 7", ""},
	} {
		_, err := tryAdapter(t, tt.adapter, time.Minute)
		var failed *ImportError
		if !errors.As(err, &failed) || failed.Kind != tt.kind || !strings.Contains(failed.Message, tt.message) {
			t.Errorf("%s: %v, want %s about %q", tt.adapter, err, tt.kind, tt.message)
		}
	}
}

// One that hangs is killed with the children it has, and has said where it hung.
func TestTryImportHangs(t *testing.T) {
	fifo := makeFIFO(t)
	t.Setenv("FIFO", fifo)
	result := make(chan error, 1)
	go func() {
		_, err := tryAdapter(t, "hangs:A", 5*time.Second)
		result <- err
	}()
	reader := openFIFO(t, fifo, nil)
	waitEOF(t, reader)
	err := <-result
	var failed *ImportError
	if !errors.As(err, &failed) || failed.Kind != "hung" {
		t.Fatalf("%v", err)
	}
	if last := strings.Join(failed.Last, "\n"); !strings.Contains(last, "hangs.py\", line 5") {
		t.Errorf("it does not say where: %s", last)
	}
}

// Look says what Resolve would do, and leaves the cache as it was.
func TestLookMakesNothing(t *testing.T) {
	dir := t.TempDir()
	path, cache := filepath.Join(dir, "bin"), filepath.Join(dir, "cache")
	fake{}.install(t, path, "python3")
	got, err := Look(context.Background(), Options{CacheDir: cache, Path: path})
	if err != nil || !got.ToMake || got.Source != SourceManaged || got.Version != "3.12.1" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := os.Stat(cache); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cache was made: %v", err)
	}
	missing := fake{missing: true}.install(t, path, "bare")
	_, err = Look(context.Background(), Options{Python: missing, CacheDir: cache, Path: path})
	var unfit *Error
	if !errors.As(err, &unfit) || unfit.Kind != MissingPackage {
		t.Errorf("%v", err)
	}
}

// Whatever an adapter prints around it, the last line of ours counts.
func TestParseImport(t *testing.T) {
	got, err := parseImport("a:B", "noise\nnoise snakepit-import:{\"seconds\": 0.5, \"threads\": 3}\nmore", "", nil)
	if err != nil || got.Took != 500*time.Millisecond || got.Threads != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parseImport("a:B", "snakepit-import:{", "", nil); err == nil {
		t.Error("half a line was taken")
	}
}

func FuzzParseImport(f *testing.F) {
	f.Add("noise\nsnakepit-import:{\"kind\": \"x\", \"message\": \"y\"}\n", "stack")
	f.Add("snakepit-import:{\"threads\": -1}", "")
	f.Fuzz(func(t *testing.T, stdout, stderr string) {
		got, err := parseImport("a:B", stdout, stderr, nil)
		if err == nil && !strings.Contains(stdout, importPrefix) {
			t.Errorf("success without a word of ours: %+v", got)
		}
	})
}
