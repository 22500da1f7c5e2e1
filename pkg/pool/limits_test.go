package pool

import (
	"errors"
	"strings"
	"testing"
)

func TestWithin(t *testing.T) {
	files := limit{what: "open files", allowed: 1024, fixed: 64, worker: 6, foreign: 6, raise: "ulimit -n %d"}
	tasks := limit{what: "threads", allowed: 1000, used: 400, fixed: 32, worker: 10, foreign: 1, raise: "set it to %d"}
	for _, tt := range []struct {
		name   string
		demand Demand
		limits []limit
		want   string // in the error; "" for none
		raise  string
		fit    int
	}{
		{name: "room", demand: Demand{Workers: 50}, limits: []limit{files, tasks}},
		{name: "exactly", demand: Demand{Workers: 160}, limits: []limit{files}},
		{
			name: "one too many", demand: Demand{Workers: 161}, limits: []limit{files},
			want: "cannot keep 161 workers: they need 1030 open files, and 1024 are allowed", raise: "ulimit -n 1030", fit: 160,
		},
		{
			name: "others use it", demand: Demand{Workers: 57}, limits: []limit{files, tasks},
			want: "they need 602 threads, and 1000 are allowed, 400 of them in use", raise: "set it to 1002", fit: 56,
		},
		{name: "foreign ones take less", demand: Demand{Foreign: 150}, limits: []limit{files, tasks}},
		{
			name: "no room at all", demand: Demand{Workers: 1}, limits: []limit{{what: "threads", allowed: 10, used: 20, worker: 10}},
			want: "they need 10 threads",
		},
		{name: "nothing is limited", demand: Demand{Workers: 4096}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.demand.within(tt.limits)
			var short *LimitError
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (!errors.As(err, &short) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			case tt.want != "" && (short.Raise != tt.raise || short.Fit != tt.fit):
				t.Errorf("raise %q, room for %d; want %q, %d", short.Raise, short.Fit, tt.raise, tt.fit)
			}
		})
	}
}

func TestScaleAsksBeforeItAdds(t *testing.T) {
	inBubble(t, steady, func(t *testing.T, w *world) {
		o := w.options(2)
		full := errors.New("no room")
		asked := 0
		o.Admit = func(more int) error { asked = more; return full }
		p := startPool(t, o)
		if _, err := p.Scale(t.Context(), 5); !errors.Is(err, full) || asked != 3 {
			t.Errorf("got %v, asked for %d more; want %v for 3", err, asked, full)
		}
		if p.Desired() != 2 || w.launched != 2 {
			t.Errorf("%d are wanted, %d were launched, of 2", p.Desired(), w.launched)
		}
		p.Stop(StopOptions{})
	})
}
