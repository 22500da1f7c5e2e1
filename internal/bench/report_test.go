package bench

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQuantile(t *testing.T) {
	twenty := []float64{20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}
	for _, tt := range []struct {
		values []float64
		share  float64
		want   float64
	}{
		{[]float64{7}, 0.5, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 3, 1, 2}, 0.25, 1},
		{twenty, 0.95, 19},
		{twenty, 0, 1},
		{twenty, 1, 20},
	} {
		if got := Quantile(tt.values, tt.share); got != tt.want {
			t.Errorf("the %v quantile of %v is %v, want %v", tt.share, tt.values, got, tt.want)
		}
	}
	for _, tt := range []struct{ values, want []float64 }{
		{[]float64{7}, []float64{7}}, {[]float64{3, 1, 2}, []float64{2}}, {[]float64{4, 3, 1, 2}, []float64{2.5}},
	} {
		if got := Median.Of(tt.values); got != tt.want[0] {
			t.Errorf("the median of %v is %v, want %v", tt.values, got, tt.want[0])
		}
	}
	if !math.IsNaN(Quantile(nil, 0.5)) || !math.IsNaN(Median.Of(nil)) {
		t.Error("of nothing there is a quantile")
	}
}

func repeat(value float64, n int) []float64 { return slices.Repeat([]float64{value}, n) }

func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name               string
		goal               Goal
		ours, floor        []float64
		count              int
		absolute, relative Verdict
		verdict            Verdict
		check              bool
	}{
		{"ratio holds", Goal{By: Median, Ratio: 0.5}, repeat(4, 3), repeat(10, 3), 8, None, Holds, Holds, true},
		{"ratio misses, not grossly", Goal{By: Median, Ratio: 0.5}, repeat(9, 3), repeat(10, 3), 8, None, Misses, Misses, true},
		{"ratio misses grossly", Goal{By: Median, Ratio: 0.5}, repeat(11, 3), repeat(10, 3), 8, None, Misses, Misses, false},
		{"one bad pair is the machine", Goal{By: Median, Ratio: 0.5}, []float64{4, 4, 90}, repeat(10, 3), 8, None, Holds, Holds, true},
		{"the pairs decide, not the medians", Goal{By: Median, Ratio: 1}, []float64{1, 20, 30}, []float64{2, 25, 10}, 8, None, Holds, Holds, true},
		{"an absolute limit", Goal{By: Median, AtMost: 20}, repeat(20, 1), nil, 100, Holds, None, Holds, true},
		{"an absolute limit is no check", Goal{By: Median, AtMost: 20}, repeat(100, 1), nil, 100, Misses, None, Misses, true},
		{"a limit for each worker", Goal{By: Median, AtMost: 25, PerWorker: 0.1}, repeat(34, 1), nil, 100, Holds, None, Holds, true},
		{"and for fewer", Goal{By: Median, AtMost: 25, PerWorker: 0.1}, repeat(34, 1), nil, 80, Misses, None, Misses, true},
		{"one of two limits", Goal{By: P95, AtMost: 25, Ratio: 1.5}, repeat(30, 20), repeat(25, 20), 1, Misses, Holds, Misses, true},
		{"above the floor", Goal{By: Median, Above: 50}, repeat(70, 2), repeat(20, 2), 8, Holds, None, Holds, true},
		{"too far above it", Goal{By: Median, Above: 50}, repeat(71, 2), repeat(20, 2), 8, Misses, None, Misses, true},
		{"nothing was measured", Goal{By: Median, AtMost: 1}, nil, nil, 8, None, None, None, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Result{Row: Row{Goal: tt.goal}, Count: tt.count, Ours: tt.ours, Floor: tt.floor}
			if r.Absolute() != tt.absolute || r.Relative() != tt.relative || r.Verdict() != tt.verdict || r.Check() != tt.check {
				t.Errorf("got %q, %q, %q, %v; want %q, %q, %q, %v",
					r.Absolute(), r.Relative(), r.Verdict(), r.Check(), tt.absolute, tt.relative, tt.verdict, tt.check)
			}
		})
	}
}

func TestP95sDecideOnlyWhereThereAreEnough(t *testing.T) {
	r := Result{Row: Row{Goal: Goal{By: P95, Ratio: 1.5}}}
	r.Ours, r.Floor = append(repeat(10, 18), 40, 40), repeat(10, 20)
	if got := r.Judged(); got != 4 {
		t.Errorf("of 20 pairs the p95s decide: got %v, want 4", got)
	}
	r.Ours, r.Floor = r.Ours[10:], r.Floor[10:]
	if got := r.Judged(); got != 1 {
		t.Errorf("of 10 pairs their median decides: got %v, want 1", got)
	}
}

func TestWhatCannotBeMeasuredIsNoSuccess(t *testing.T) {
	r := Result{Row: Row{Goal: Goal{By: Median, Ratio: 0.5}}, Ours: repeat(1, 3), Floor: repeat(10, 3), Failed: "it broke"}
	if r.Measured() || r.Verdict() != None || r.Check() {
		t.Errorf("measured %v, verdict %q, check %v", r.Measured(), r.Verdict(), r.Check())
	}
	report := Report{Results: []Result{r, {Row: Row{Name: "other", Goal: Goal{By: Median, AtMost: 1}}, Ours: repeat(1, 1)}}}
	if holds, misses, others := report.Tally(); holds != 1 || misses != 0 || others != 1 {
		t.Errorf("%d, %d, %d", holds, misses, others)
	}
	if got := report.Regressed(); len(got) != 1 {
		t.Errorf("regressed: %v", got)
	}
}

func TestBetter(t *testing.T) {
	goal := Row{Goal: Goal{By: Median, Ratio: 0.5}}
	good := Result{Row: goal, Ours: repeat(4, 1), Floor: repeat(10, 1)}
	bad := Result{Row: goal, Ours: repeat(40, 1), Floor: repeat(10, 1)}
	failed := Result{Row: goal, Failed: "it broke"}
	for _, tt := range []struct {
		first, second Result
		want          float64 // NaN: the failed one
	}{{bad, good, 0.4}, {bad, bad, 4}, {failed, good, 0.4}} {
		if got := better(tt.first, tt.second); got.Ratio() != tt.want || !got.Retried {
			t.Errorf("got %v, %v; want %v, tried again", got.Ratio(), got.Retried, tt.want)
		}
	}
	// Its best pair passes Check, though its median is worse than that of the first.
	passes := Result{Row: goal, Ours: []float64{8, 50, 50}, Floor: repeat(10, 3)}
	if got := better(bad, passes); !got.Check() {
		t.Error("the second time it passed, and that does not count")
	}
	if got := better(good, failed); got.Failed == "" {
		t.Error("a row that failed when it was measured again is no success")
	}
}

func TestSelect(t *testing.T) {
	rows, unknown := Select([]string{"list", "restart"})
	if names := namesOf(rows); unknown != "" || !cmp.Equal(names, []string{"restart", "list"}) {
		t.Errorf("got %v, %q", names, unknown)
	}
	if _, unknown := Select([]string{"list", "nosuch"}); unknown != "nosuch" {
		t.Errorf("unknown: %q", unknown)
	}
	all, _ := Select(nil)
	if slices.ContainsFunc(all, func(r Row) bool { return r.Extra }) || len(all) < 10 {
		t.Errorf("without names: %v", namesOf(all))
	}
}

func namesOf(rows []Row) (names []string) {
	for _, r := range rows {
		names = append(names, r.Name)
	}
	return names
}

// Each row has a limit, and a floor where the limit is about one.
func TestRowsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rows() {
		if seen[r.Name] || r.What == "" || r.Unit == "" || r.measure == nil || r.Goal.By == "" {
			t.Errorf("%+v is not complete, or is there twice", r)
		}
		seen[r.Name] = true
		if r.Goal.Text(r.Unit, 8) == "" {
			t.Errorf("%s has no limit", r.Name)
		}
		if (r.Goal.Ratio > 0 || r.Goal.Above > 0) && r.Floor == "" {
			t.Errorf("%s has a limit about a floor that there is not", r.Name)
		}
	}
}

func TestWhat(t *testing.T) {
	for n, want := range map[int]string{8: "8 here", 250: "250 here", 2000: "2,000 here", 1000050: "1,000,050 here"} {
		if got := (Result{Row: Row{What: "{n} here"}, Count: n}).What(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
