package durable

// SyncDir does nothing: NTFS journals its directories and offers no handle to flush one.
func SyncDir(string) error { return nil }
