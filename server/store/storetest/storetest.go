// Package storetest is what every implementation of the domains' Store interfaces must
// pass: one suite per interface, called by the implementation's own tests with a function
// that opens an empty store.
//
// The suites know no database. Where a store compiles predicates, the suite compares it
// with a plain evaluator of the same predicate over the same rows (filter.go), so that
// two implementations cannot differ without one of them failing here.
package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// The tenants of the suites.
const (
	tenantA ident.TenantID = "0a0a0a0a-0000-4000-8000-000000000001"
	tenantB ident.TenantID = "0b0b0b0b-0000-4000-8000-000000000002"
)

// base is the time around which rows are made; with nanoseconds, which must survive.
var base = time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC)

// errChange is a caller's own error, which must come back as it is.
var errChange = errors.New("the caller changed its mind")

func device(n int) ident.DeviceID { return ident.DeviceID(fmt.Sprintf("%040x", n)) }

func guid(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", n) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, what string, err error, k errs.Kind) {
	t.Helper()
	if !errs.Is(err, k) {
		t.Errorf("%s: got %v, want kind %v", what, err, k)
	}
}

func wantOwn(t testing.TB, err error) {
	t.Helper()
	if err != errChange { //nolint:errorlint // a wrapped one is not as it was
		t.Errorf("the caller's error came back as %v", err)
	}
}

// failing is what a test and a property share.
type failing interface {
	Helper()
	Errorf(format string, args ...any)
}

func wantEqual(t failing, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// together runs f n times at once and returns the errors.
func together(n int, f func(i int) error) []error {
	out := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { out[i] = f(i) })
	}
	wg.Wait()
	return out
}

// winners counts the nil errors; every other one must be of kind k.
func winners(t testing.TB, es []error, k errs.Kind) int {
	t.Helper()
	n := 0
	for _, err := range es {
		if err == nil {
			n++
		} else {
			wantKind(t, "of many at once", err, k)
		}
	}
	return n
}
