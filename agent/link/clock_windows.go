package link

import (
	"time"

	"golang.org/x/sys/windows"
)

// sinceBoot counts sleep, which Go's monotonic clock does not.
func sinceBoot() time.Duration { return windows.DurationSinceBoot() }

// bootID is not known: the time that is kept counts as that of another boot.
func bootID() string { return "" }
