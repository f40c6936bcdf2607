package indicator

import (
	"context"
	"time"

	"github.com/vedette-edr/vedette/server/ident"
)

// Lookback is an indicator that is to be looked for in past telemetry, because it was
// created with Historical or changed its value.
type Lookback struct {
	Tenant    ident.TenantID
	ID        ident.IndicatorID
	Asked     time.Time
	Indicator *Indicator // nil when it is gone
}

// LookbackStore keeps what is still to be looked for. IndicatorStore.PutIndicators adds
// to it, in the same transaction.
type LookbackStore interface {
	// Lookbacks returns at most limit, those that were asked for first.
	Lookbacks(ctx context.Context, limit int) ([]Lookback, error)
	// LookedBack notes that one is done; one that was asked for anew since stays.
	LookedBack(ctx context.Context, l Lookback) error
}
