package config

// ParseWorkers reads the number of workers of a pool that runs already. The
// error is an *Error, and the limits are those of a pool that is to start.
func ParseWorkers(text string) (int, error) {
	n, f := parseWhole(text)
	if f == nil {
		f = checkWorkers(n)
	}
	if f != nil {
		return 0, f.on("the number of workers " + show(text))
	}
	return n, nil
}
