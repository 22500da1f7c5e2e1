// Package control is the supervisor over a Unix socket: the protocol, the
// server that a supervisor runs, the client of the command line, and the one
// table that turns errors into gRPC codes and back.
//
// It decides nothing: what a request does is the run's business.
package control

// API is the version of the protocol. Both sides say theirs; a client of
// another version is told so, and can still stop the run. A method or a field
// more needs no other version: a client that asks a supervisor for a method that
// it does not have gets ErrVersion as well.
const API = 1

// apiKey is the metadata key that carries the version.
const apiKey = "snakepit-control-api"
