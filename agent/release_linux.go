package agent

import (
	"context"
	"encoding/json"

	"github.com/vedette-edr/vedette/agent/responder/isolate"
)

// isolationOf returns what ends the isolation that an agent left behind on a state directory.
func isolationOf(stateDir, instance string) (end func(context.Context) Released, closing func(), err error) {
	i, err := isolate.New(isolate.Config{Instance: instance, StateDir: stateDir})
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) Released { return endIsolation(ctx, i) }, func() { _ = i.Close() }, nil
}

func endIsolation(ctx context.Context, i *isolate.Isolator) Released {
	if err := i.Release(ctx); err != nil {
		return Released{Problem: err.Error()}
	}
	report := i.VerifyReleased(ctx)
	out := Released{Verified: report.Verified}
	out.Evidence, _ = json.Marshal(report) // of strings and bools: cannot fail
	return out
}
