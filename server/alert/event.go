package alert

import "github.com/vedette-edr/vedette/server/ident"

// Created says that an alert was raised. The alert is shared and must not be changed.
type Created struct{ Alert *Alert }

// Updated says that somebody changed an alert. The alert is shared and must not be changed.
type Updated struct {
	Alert *Alert
	By    ident.Actor
}
