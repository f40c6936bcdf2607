package alert

import "github.com/vedette-edr/vedette/server/ident"

// Created says that an alert was raised. The alert is shared and must not be changed.
type Created struct{ Alert *Alert }

// Updated says that an alert was changed, by somebody or by a detection that was merged
// into it. The alert is shared and must not be changed.
type Updated struct {
	Alert *Alert
	By    ident.Actor
	// Added is how many pieces of evidence, the last of the alert's, are new.
	Added int
}
