package eval_test

import (
	"context"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/kqltest"
	"github.com/vedette-edr/vedette/kql/types"
)

// FuzzRun runs whatever compiles on the tables of a small hunt: no query may panic, and
// none may make more rows than it is told.
func FuzzRun(f *testing.F) {
	for _, s := range []string{
		`DeviceProcessEvents | where Timestamp > ago(5m) | summarize count() by FileName | top 10 by count_`,
		`DeviceProcessEvents | evaluate bag_unpack(AdditionalFields) | take 3`,
		`DeviceProcessEvents | evaluate pivot(FileName, dcount(ProcessId), DeviceId)`,
		`DeviceLogonEvents | top-nested 2 of DeviceId by count(), top-nested of AccountName with others="x" by max(Code)`,
		`DeviceLogonEvents | sort by Timestamp asc | scan with_match_id=m declare (n:long=0) with (step a: LogonType == "Interactive" => n = a.n + 1; step b output=last: AccountName == "bob";)`,
		`DeviceLogonEvents | partition by DeviceId (top 1 by Timestamp | project AccountName)`,
		`DeviceProcessEvents | make-series n = count() on Timestamp step 1m by FileName | extend series_decompose_anomalies(n), series_fit_2lines(n), series_periods_detect(n, 0.0, 9.0, 2)`,
		`DeviceProcessEvents | reduce by FileName with threshold=0.2`,
		`DeviceProcessEvents | evaluate autocluster()`,
		`DeviceProcessEvents | project FileName, DeviceId | evaluate basket(0.1)`,
		`DeviceLogonEvents | evaluate sliding_window_counts(AccountName, Timestamp, ago(1d), now(), 1h, 10m)`,
		`print geo_point_in_polygon(1, 1, dynamic({"type":"Polygon","coordinates":[[[0,0],[10,10],[10,1],[0,0]]]})), geo_from_wkt("POINT (1 2)")`,
		`print punycode_to_string("a-b"), beta_inv(0.1, 10, 20), hash_many("a", 1), convert_speed(1, "Knot", "Mach")`,
		`find where AccountName == "bob"`,
		`search "bob" | take 1`,
	} {
		f.Add(s)
	}
	now := types.FromTime(time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC))
	const limit = 2000
	f.Fuzz(func(t *testing.T, text string) {
		data := kqltest.HuntData(now)
		q, err := kql.Compile(text, data, kql.Options{Now: now, Principal: "someone"})
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		rows, err := eval.Run(ctx, q.Root, data, eval.Limits{Rows: limit})
		if err != nil {
			return
		}
		if len(rows) > limit {
			t.Errorf("%d rows with a limit of %d", len(rows), limit)
		}
		for _, r := range rows {
			if len(r) != len(q.Columns) {
				t.Fatalf("a row has %d cells for %d columns", len(r), len(q.Columns))
			}
		}
	})
}
