package cmd

import "strings"

// sparkline draws the last samples, one in a cell, the newest on the right; full is
// the sample that fills a cell. What is more than nothing is never drawn as nothing.
func sparkline(samples []float64, full float64, width int) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	samples = samples[max(0, len(samples)-width):]
	var out strings.Builder
	out.WriteString(strings.Repeat(" ", width-len(samples)))
	for _, sample := range samples {
		level := 0
		if sample > 0 && full > 0 {
			level = min(max(1, int(sample/full*float64(len(bars)-1)+0.5)), len(bars)-1)
		}
		out.WriteRune(bars[level])
	}
	return out.String()
}
