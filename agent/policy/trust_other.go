//go:build !linux

package policy

import "os"

// trusted leaves it to the system's own permissions who writes the file.
func trusted(*os.File) error { return nil }
