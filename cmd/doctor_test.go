package cmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/doctor"
)

func TestDoctorLines(t *testing.T) {
	checks := []doctor.Check{
		{Name: "configuration", State: doctor.OK, Evidence: "4 workers: default (4 × hello:Hello)"},
		{Name: "state directory", State: doctor.Warn, Evidence: "/var/lib/snakepit/state/runs is writable, mode 0755; 80 GB free; others may read it", Hint: "chmod 700 /var/lib/snakepit/state/runs"},
		{Name: "ports", State: doctor.Fail, Evidence: "127.0.0.1:5000 (pool default) is held by PID 7 (nc \x1b[31m-l)\n127.0.0.1:5001 (pool default) is held by PID 8 (nc -l)", Hint: "see: snakepit ports 5000 5001"},
		{Name: "systemd", State: doctor.Skipped, Evidence: "no unit that runs snakepit start"},
	}
	for name, width := range map[string]int{"doctor.txt": 0, "doctor_80.txt": 80} {
		p := doctorPrinter{env: &Env{}, styles: newStyles(&bytes.Buffer{}), width: width}
		var lines []string
		for _, c := range checks {
			lines = append(lines, p.draw(c))
		}
		checkGolden(t, name, strings.Join(append(lines, summaryOf(checks)), "\n"))
	}
}
