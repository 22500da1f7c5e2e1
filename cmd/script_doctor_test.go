package cmd

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"
)

// The document of "doctor -o json" as it was promised.
type promisedDoctor struct {
	SchemaVersion int             `json:"schema_version"`
	Passed        bool            `json:"passed"`
	Checks        []promisedCheck `json:"checks"`
}

type promisedCheck struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Evidence string `json:"evidence"`
	Hint     string `json:"hint"`
}

// diagnosed CHECK STATE [EVIDENCE [HINT]]: the document that doctor has printed last
// has such a check; the texts are regular expressions. Every document must agree
// with itself: what failed is told, with something to type.
func checkDiagnosed(ts *testscript.TestScript, args []string) error {
	var d promisedDoctor
	if err := promised(ts.ReadFile("stdout"), &d); err != nil {
		return err
	}
	failed := slices.ContainsFunc(d.Checks, func(c promisedCheck) bool { return c.State == "fail" })
	if d.SchemaVersion != 1 || d.Passed == failed || len(d.Checks) < 15 {
		return fmt.Errorf("passed is %v: %+v", d.Passed, d)
	}
	var near []string
	for _, c := range d.Checks {
		if c.Evidence == "" || c.State == "fail" && c.Hint == "" {
			return fmt.Errorf("%s explains nothing: %+v", c.Name, c)
		}
		if c.Name != args[0] {
			continue
		}
		if c.State == args[1] && matches(c.Evidence, args, 2) && matches(c.Hint, args, 3) {
			return nil
		}
		text, _ := json.Marshal(c)
		near = append(near, string(text))
	}
	return fmt.Errorf("not found; there is: %s", near)
}

func matches(text string, args []string, at int) bool {
	return at >= len(args) || regexp.MustCompile(args[at]).MatchString(text)
}

// examined [ARG...]: doctor examines the start with these flags, and its exit code
// is what its document says.
func checkExamined(ts *testscript.TestScript, args []string) error {
	err := ts.Exec("snakepit", append([]string{"doctor", "-o", "json"}, args...)...)
	var d promisedDoctor
	if failed := promised(ts.ReadFile("stdout"), &d); failed != nil {
		return failed
	}
	want := "1"
	if d.Passed {
		want = "0"
	}
	return exitsWith(want, err)
}
