//go:build unix

package durable

import (
	"errors"
	"os"
)

// SyncDir returns once the names in a directory are on the disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
