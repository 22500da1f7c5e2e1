package cmd

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/internal/holders"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
)

// portsDocument is what ports -o json prints (schema_version 1).
type portsDocument struct {
	SchemaVersion int            `json:"schema_version"`
	Ports         []portDocument `json:"ports"`
}

type portDocument struct {
	Host    string           `json:"host"`
	Port    int              `json:"port"`
	State   string           `json:"state"`
	RunID   string           `json:"run_id"` // the run that the port belongs to; empty for none
	Worker  string           `json:"worker"`
	Holders []holderDocument `json:"holders"`
	Message string           `json:"message"`
	Hint    string           `json:"hint"`
}

type holderDocument struct {
	PID         int        `json:"pid"` // 0: it may not be seen, see message
	Command     string     `json:"command"`
	User        string     `json:"user"`
	RunID       string     `json:"run_id"`
	Worker      string     `json:"worker"`
	Verdict     string     `json:"verdict"`
	Address     string     `json:"address"`
	SocketState string     `json:"socket_state"`
	StartedAt   *time.Time `json:"started_at"` // null: not known
}

func portsDocumentOf(ports []holders.Port) portsDocument {
	d := portsDocument{SchemaVersion: 1, Ports: []portDocument{}}
	for _, p := range ports {
		one := portDocument{
			Host: p.Host, Port: p.Port, State: string(p.State), RunID: p.RunID, Worker: p.Worker,
			Holders: []holderDocument{}, Message: portMessage(p), Hint: portHint(p),
		}
		for _, h := range p.Holders {
			holder := holderDocument{
				PID: int(h.PID), Command: h.Command, User: h.User, RunID: h.RunID, Worker: h.Worker, Verdict: string(h.Verdict),
				Address: h.Address, SocketState: h.State,
			}
			if !h.Since.IsZero() {
				at := h.Since.UTC()
				holder.StartedAt = &at
			}
			one.Holders = append(one.Holders, holder)
		}
		d.Ports = append(d.Ports, one)
	}
	return d
}

func (o *portsOptions) print(ports []holders.Port) error {
	if o.output.value == "json" {
		return printJSON(o.env.Out, portsDocumentOf(ports))
	}
	v := view{styles: newStyles(o.env.Out), width: screenOf(o.env.Out).width, now: o.env.Now(), wide: o.output.value == "wide"}
	if _, err := fmt.Fprintln(o.env.Out, v.styles.table(v.portColumns(ports))); err != nil {
		return err
	}
	fmt.Fprintln(o.env.Err, portSummary(ports))
	for _, hint := range portHints(ports) {
		fmt.Fprintln(o.env.Err, newStyles(o.env.Err).next(hint))
	}
	return nil
}

// portColumns has a line for each holder, and one for a port without any.
func (v view) portColumns(ports []holders.Port) []column {
	columns := []column{{head: "PORT", right: true}, {head: "STATE"}, {head: "PID", right: true}, {head: "USER"}, {head: "RUN"}, {head: "WORKER"}, {head: "SINCE", right: true}, {head: "COMMAND"}}
	if v.wide {
		columns = []column{
			{head: "ADDRESS"},
			{head: "STATE"},
			{head: "HELD AS"},
			{head: "PID", right: true},
			{head: "USER"},
			{head: "RUN"},
			{head: "WORKER"},
			{head: "SINCE", right: true},
			{head: "COMMAND"},
			{head: "WHAT TO TYPE"},
		}
	}
	for _, p := range ports {
		for _, cells := range v.portCells(p) {
			for i := range columns {
				columns[i].cells = append(columns[i].cells, cells[columns[i].head])
			}
		}
	}
	if v.wide {
		return columns
	}
	return fit(columns, v.width, "USER", "SINCE", "RUN", "WORKER")
}

func (v view) portCells(p holders.Port) []map[string]string {
	base := map[string]string{
		"PORT": strconv.Itoa(p.Port), "ADDRESS": net.JoinHostPort(p.Host, strconv.Itoa(p.Port)), "STATE": v.styles.state(string(p.State)),
		"HELD AS": "-", "PID": "-", "USER": "-", "RUN": oneLine(p.RunID), "WORKER": oneLine(p.Worker), "SINCE": "-",
		"COMMAND": oneLine(portMessage(p)), "WHAT TO TYPE": oneLine(portHint(p)),
	}
	if len(p.Holders) == 0 {
		return []map[string]string{base}
	}
	var rows []map[string]string
	for _, h := range p.Holders {
		row := map[string]string{}
		for k, text := range base {
			row[k] = text
		}
		row["STATE"] = v.styles.state(string(h.What))
		row["HELD AS"], row["USER"] = oneLine(h.Address+" "+h.State), oneLine(h.User)
		row["RUN"], row["WORKER"] = oneLine(cmp.Or(h.RunID, p.RunID)), oneLine(cmp.Or(h.Worker, p.Worker))
		row["COMMAND"] = oneLine(h.Command)
		if h.PID != 0 {
			row["PID"], row["SINCE"] = strconv.Itoa(int(h.PID)), sinceText(v.now, h.Since)
		} else {
			row["COMMAND"] = oneLine(h.String())
		}
		rows = append(rows, row)
	}
	return rows
}

// portMessage is what is to be said of a port beside its holders.
func portMessage(p holders.Port) string {
	switch {
	case p.Problem != "":
		return p.Problem
	case len(p.Holders) > 0 && p.Holders[0].PID == 0:
		return p.Holders[0].String()
	case p.State == holders.Held && len(p.Holders) == 0:
		return "somebody has bound it and does not listen: no table of the kernel shows whom"
	case p.State == holders.Free && p.Worker != "" && p.Target.State != "":
		return "its worker is " + p.Target.State
	case p.State == holders.Free && p.Worker != "":
		return "its run has ended"
	}
	return ""
}

// portHint is what to type about a port.
func portHint(p holders.Port) string {
	port := strconv.Itoa(p.Port)
	var first holders.Holder
	if len(p.Holders) > 0 {
		first = p.Holders[0]
	}
	for _, h := range p.Holders {
		if h.What == holders.Orphan {
			return "snakepit kill-orphans --run-id " + h.RunID
		}
	}
	switch p.State {
	case holders.Serving:
		return "snakepit list --run-id " + first.RunID
	case holders.Stray:
		return "snakepit kill-orphans --strays --run-id " + first.RunID
	case holders.Free:
		return freeHint(p)
	case holders.Forbidden:
		return "sudo snakepit ports " + port + "; or choose a port from 1024 on"
	case holders.Unknown:
		return "name an address of this machine: --host 127.0.0.1"
	}
	switch {
	case len(p.Holders) == 0:
		return "ss -tanpB 'sport = :" + port + "' as root (it takes a new iproute2), or choose another port"
	case first.PID != 0 && first.Verdict == "foreign" && first.RunID != "":
		return "see why it is nobody's orphan: snakepit orphans --all -o wide --run-id " + first.RunID
	case first.PID != 0:
		return fmt.Sprintf("look at it: ps -o pid,ppid,user,stat,args -p %[1]d; end it, if it is yours to end: kill %[1]d", first.PID)
	case first.Unseen == portcheck.Denied:
		return "sudo snakepit ports " + port
	case first.Unseen == portcheck.Closed:
		return "wait: the kernel sees the connection to its end"
	}
	return "look from where it runs, the host of a container, say: sudo ss -ltnp 'sport = :" + port + "'"
}

// freeHint is about a port that its worker should have.
func freeHint(p holders.Port) string {
	switch p.Target.State {
	case "stopped", "failed":
		return fmt.Sprintf("snakepit restart %s --run-id %s", p.Worker, p.RunID)
	case "":
		return ""
	}
	return "snakepit list --run-id " + p.RunID
}

// portHints are those that matter, each once, with its ports.
func portHints(ports []holders.Port) []string {
	var order []string
	of := map[string][]string{}
	for _, p := range ports {
		hint := portHint(p)
		if hint == "" || p.State == holders.Serving && len(ports) > 1 && p.RunID != "" {
			continue
		}
		if !slices.Contains(order, hint) {
			order = append(order, hint)
		}
		of[hint] = append(of[hint], strconv.Itoa(p.Port))
	}
	const most = 6
	var hints []string
	for _, hint := range order[:min(most, len(order))] {
		list := of[hint]
		text := strings.Join(list[:min(most, len(list))], ", ")
		if len(list) > most {
			text += fmt.Sprintf(" and %d more", len(list)-most)
		}
		hints = append(hints, text+": "+hint)
	}
	if len(order) > most {
		hints = append(hints, "for the others: -o wide")
	}
	return hints
}

// portSummary counts.
func portSummary(ports []holders.Port) string {
	counts := map[holders.State]int{}
	for _, p := range ports {
		counts[p.State]++
	}
	var parts []string
	for _, s := range []holders.State{
		holders.Serving, holders.Free, holders.Held, holders.Orphan, holders.Stray, holders.Forbidden, holders.Unknown,
	} {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	return count(len(ports), "port", "ports") + ": " + strings.Join(parts, ", ")
}
