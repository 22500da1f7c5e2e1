//go:build !linux

package chaos

import (
	"context"
	"errors"
)

const canMount = false

func mountSmall(context.Context, *stage) error { return &skip{"only on Linux"} }

func (s *stage) mountOver() error { return errors.New("only on Linux") }

func unmountAll(string) {}

func (s *stage) unmountOver() error { return nil }
