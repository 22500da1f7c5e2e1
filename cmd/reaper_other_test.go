//go:build !linux

package cmd

// estateRoles need a child subreaper, which only Linux has.
func estateRoles() map[string]func() { return map[string]func(){} }
