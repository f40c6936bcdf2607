package utmp

// Sizes of records in bytes.
const (
	Size     = 384
	LastSize = 292
)
