package utmp

// Sizes of records in bytes.
const (
	Size     = 400
	LastSize = 296
)
