package cmd

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version and commit are set by the release build, see .goreleaser.yaml.
var version, commit string

type versionDocument struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func newVersion(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit, and the Go that built it",
		Long: `version says which release this is, the commit that it was built from, and the Go
that built it. A build from a checkout takes both from git; one without either is
"(devel)" of an unknown commit.`,
		Example: "  snakepit version\n  snakepit version -o json",
		Args:    cobra.NoArgs,
	}
	output := addOutput(c, "text", "json")
	c.RunE = func(*cobra.Command, []string) error {
		v := thisVersion()
		if output.value == "json" {
			return printJSON(env.Out, v)
		}
		fmt.Fprintln(env.Out, v)
		return nil
	}
	return c
}

func (v versionDocument) String() string {
	return fmt.Sprintf("snakepit %s (%s, %s, %s/%s)", v.Version, cmp.Or(v.Commit, "unknown commit"), v.Go, v.OS, v.Arch)
}

// thisVersion reads what the build left in the binary.
func thisVersion() versionDocument {
	v := versionDocument{Version: version, Commit: commit, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && v.Commit == "" {
			v.Commit = setting.Value
		}
	}
	if v.Version == "" {
		v.Version = "(devel)"
	}
	return v
}
