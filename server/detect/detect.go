// Package detect is what a way of finding bad things in telemetry has to offer, and the
// list of those that every batch goes through before it is committed.
//
// It is neither the rules (packages below it) nor what becomes of an alert (package
// alert). The invariant: examining a batch again gives alerts with the same ids, so a
// batch that is sent twice, or examined again after a crash, doubles nothing once the
// alert store has kept the first.
//
// Start at Detector; ioc is the matcher of indicators.
package detect

import (
	"context"
	"errors"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Detector finds bad things in batches. It is safe for concurrent use; batches of one
// device come in the order of their sequence, except that one may come again.
type Detector interface {
	// Match returns the alerts that b raises. It must not change or keep b or its events.
	// An error means that b was not wholly examined: the caller must not acknowledge it,
	// so that it is sent again. Alerts that come with an error are good.
	Match(ctx context.Context, b *telemetry.Batch) ([]*alert.Alert, error)
}

// All is detectors that each examine every batch, in order. It is itself a Detector.
type All []Detector

// Match returns the alerts of all detectors; one that fails does not keep the others from
// examining b.
func (a All) Match(ctx context.Context, b *telemetry.Batch) ([]*alert.Alert, error) {
	var out []*alert.Alert
	var failed error
	for _, d := range a {
		found, err := d.Match(ctx, b)
		out = append(out, found...)
		failed = errors.Join(failed, err)
	}
	return out, failed
}
