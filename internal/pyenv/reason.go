package pyenv

import "strings"

// lacksVenv recognises a Python whose distribution packages venv apart, by
// the words of CPython's Lib/venv and of the import system.
func lacksVenv(output string) bool {
	return containsAny(output,
		"ensurepip is not available", "No module named venv", "No module named ensurepip",
		"No module named 'venv'", "No module named 'ensurepip'")
}

// installReason says in our words why an installer failed, where its output
// tells. pip prints a warning for each attempt to reach the index, and ends in
// "No matching distribution", which misleads.
func installReason(output string, cause error) string {
	switch {
	case containsAny(output, "No space left on device", "Disk quota exceeded"):
		return "the disk is full"
	case containsAny(output, "CERTIFICATE_VERIFY_FAILED", "invalid peer certificate"):
		return "the package index's certificate is not trusted (PIP_CERT names your own)"
	case containsAny(output, "ProxyError", "Cannot connect to proxy", "Tunnel connection failed"):
		return "the proxy cannot be reached, or refuses (see HTTPS_PROXY)"
	case containsAny(output,
		"Failed to establish a new connection", "NewConnectionError", "Temporary failure in name resolution",
		"Name or service not known", "nodename nor servname", "Network is unreachable",
		"ConnectTimeoutError", "ReadTimeoutError", "Read timed out", "Connection refused",
		"Connection reset by peer", "RemoteDisconnected",
		"dns error", "error sending request", "tcp connect error"):
		return "no network, or the package index cannot be reached"
	}
	return cause.Error()
}

func containsAny(text string, parts ...string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
