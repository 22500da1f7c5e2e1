//go:build !linux

package procscan

func headless() { ready() }
