package cmd

import (
	"strings"
)

// trees draws the processes of every run.
func (v view) trees(runs []*runStatus, all *processes) string {
	var blocks []string
	for _, run := range runs {
		rows := v.rows(treeOf(run, all), "", "")
		columns := []column{
			{head: "PROCESS"}, {head: "STATE"}, {head: "PID", right: true}, {head: "MEMORY", right: true}, {head: "COMMAND"},
		}
		for _, row := range rows {
			for i := range columns {
				columns[i].cells = append(columns[i].cells, row[i])
			}
		}
		if !v.wide {
			columns = fit(columns, v.width)
		}
		blocks = append(blocks, v.header(run)+"\n"+v.styles.table(columns))
	}
	return strings.Join(blocks, "\n\n")
}

// rows of a node and all below it; branch leads to the node itself, trunk to
// the lines below it.
func (v view) rows(n *node, branch, trunk string) [][]string {
	row := []string{v.styles.faint.Render(branch) + n.name, "", number(n.pid), "-", v.command(n.args)}
	if n.state != "" {
		row[1] = v.styles.state(n.state)
	}
	if n.rss > 0 {
		row[3] = humanBytes(n.rss)
	}
	rows := [][]string{row}
	for i, child := range n.children {
		if i < len(n.children)-1 {
			rows = append(rows, v.rows(child, trunk+"├─ ", trunk+"│  ")...)
		} else {
			rows = append(rows, v.rows(child, trunk+"└─ ", trunk+"   ")...)
		}
	}
	return rows
}

// command is short, unless there is to be everything.
func (v view) command(args []string) string {
	if v.wide {
		return oneLine(strings.Join(args, " "))
	}
	return shortCommand(args)
}
