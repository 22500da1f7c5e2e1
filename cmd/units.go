package cmd

import (
	"fmt"
	"strconv"
	"time"
)

// humanBytes is a size in decimal units, as in "27.1 MB".
func humanBytes(bytes uint64) string {
	if bytes < 1000 {
		return strconv.FormatUint(bytes, 10) + " B"
	}
	size := float64(bytes)
	for _, unit := range []string{"kB", "MB", "GB"} {
		if size /= 1000; size < 999.95 { // from there on it would be shown as 1000.0
			return fmt.Sprintf("%.1f %s", size, unit)
		}
	}
	return fmt.Sprintf("%.1f TB", size/1000)
}

// tookText is a time that was measured: 5.2 ms, 218 ms, 1.25 s.
func tookText(d time.Duration) string {
	switch ms := millis(d); {
	case ms < 9.95: // from there on it would be shown as 10.0
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 999.5:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// humanDuration shows the two largest units: 42s, 3m12s, 2h05m, 3d4h.
func humanDuration(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
