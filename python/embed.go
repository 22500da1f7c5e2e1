// Package python carries the Python worker inside the binary: its entry point,
// its package and the pinned packages it needs. It holds files and nothing
// else; unpacking and running them is the business of others. The worker's
// tests are not part of it.
package python

import (
	"embed"
	"io/fs"
)

// Entry is the name of the worker's entry point inside Worker.
const Entry = "grpc_server.py"

//go:embed grpc_server.py snakepit/*.py
var worker embed.FS

//go:embed requirements.txt
var requirements string

// Worker is the tree to unpack: Entry, and the package snakepit beside it,
// where Python finds it because the entry point's directory leads sys.path.
func Worker() fs.FS { return worker }

// Requirements is the text of a pip requirements file that pins what the
// worker imports.
func Requirements() string { return requirements }
