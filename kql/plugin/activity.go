package plugin

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/vedette-edr/vedette/kql/types"
)

func params(names ...string) []Param {
	out := []Param{{Name: "IdColumn", Kind: Col}, {Name: "TimelineColumn", Kind: Col}}
	for _, n := range names {
		out = append(out, Param{Name: n, Kind: Const})
	}
	return append(out, Param{Name: "dim", Kind: Col, Optional: true, Variadic: true})
}

// timeline is the shape of most: the time column, the dimensions, then numbers.
func timeline(numbers ...Column) func(*Call, Rows) ([]Column, error) {
	return func(c *Call, _ Rows) ([]Column, error) {
		out := []Column{c.In[c.at("TimelineColumn")]}
		for _, a := range c.list("dim") {
			out = append(out, c.In[a.At])
		}
		for _, n := range numbers {
			out = append(out, Column{fresh(out, n.Name), n.Type})
		}
		return out, nil
	}
}

func activityFuncs() []Func {
	l := func(names ...string) []Column {
		var out []Column
		for _, n := range names {
			out = append(out, Column{n, types.Long})
		}
		return out
	}
	rates := []Column{{"retention_rate", types.Real}, {"churn_rate", types.Real}}
	return []Func{
		{Name: "active_users_count", Doc: "Distinct values that appeared in enough periods of a lookback window, by bin.",
			Params: params("Start", "End", "LookbackWindow", "Period", "ActivePeriodsCount", "Bin"), Shape: timeline(l("dcount")...), Run: activeUsers},
		{Name: "activity_counts_metrics", Doc: "Count, distinct count, new and aggregated distinct count by window.",
			Params: params("Start", "End", "Window"), Shape: timeline(l("count", "dcount", "new_dcount", "aggregated_dcount")...), Run: activityCounts},
		{Name: "activity_engagement", Doc: "Ratio of the distinct values of an inner window to those of an outer one.",
			Params: params("Start", "End", "InnerActivityWindow", "OuterActivityWindow"),
			Shape:  timeline(append(l("dcount_activities_inner", "dcount_activities_outer"), Column{"activity_ratio", types.Real})...), Run: engagement},
		{Name: "activity_metrics", Doc: "Distinct values of each window, and how many of the window before stayed.",
			Params: params("Start", "End", "Window"), Shape: timeline(append(l("dcount_values", "dcount_newvalues"), rates...)...), Run: activityMetrics},
		{Name: "new_activity_metrics", Doc: "How many of the new values of each window are in later ones.",
			Params: []Param{{Name: "IdColumn", Kind: Col}, {Name: "TimelineColumn", Kind: Col}, {Name: "Start", Kind: Const}, {Name: "End", Kind: Const}, {Name: "Window", Kind: Const},
				{Name: "Cohort", Kind: Const, Optional: true}, {Name: "dim", Kind: Col, Optional: true, Variadic: true}, {Name: "Lookback", Kind: Tab, Optional: true}},
			Shape: func(c *Call, _ Rows) ([]Column, error) {
				t := c.In[c.at("TimelineColumn")]
				out := []Column{{"from_" + t.Name, t.Type}, {"to_" + t.Name, t.Type}}
				for _, a := range c.list("dim") {
					out = append(out, c.In[a.At])
				}
				return append(append(out, l("dcount_new_values", "dcount_retained_values", "dcount_churn_values")...), rates...), nil
			}, Run: newActivity},
		{Name: "session_count", Doc: "Number of sessions that begin in each bin; a session ends when nothing follows within the lookback window.",
			Params: params("Start", "End", "Bin", "LookBackWindow"), Shape: timeline(l("count_sessions")...), Run: sessionCount},
		{Name: "sliding_window_counts", Doc: "Count and distinct count over a window that slides by bins.",
			Params: params("Start", "End", "LookbackWindow", "Bin"), Shape: timeline(l("Count", "Dcount")...), Run: slidingCounts},
		{Name: "rolling_percentile", Doc: "Percentile of a value over a window that rolls by bins.",
			Params: []Param{{Name: "ValueColumn", Kind: Col}, {Name: "Percentile", Kind: Const}, {Name: "TimelineColumn", Kind: Col}, {Name: "BinSize", Kind: Const}, {Name: "BinsPerWindow", Kind: Const}, {Name: "dim", Kind: Col, Optional: true, Variadic: true}},
			Shape: func(c *Call, rows Rows) ([]Column, error) {
				v := c.In[c.at("ValueColumn")]
				name := fmt.Sprintf("rolling_%d_percentile_%s_%s", c.value("BinsPerWindow", types.Long).I, v.Name, c.value("Percentile", types.Real).Text())
				return timeline(Column{name, v.Type})(c, rows)
			}, Run: rollingPercentile},
	}
}

// event is a row of the timeline: an id in a bin.
type event struct {
	id  string
	at  int64
	bin int
	row []types.Value
}

// track is the rows of one combination of dimensions, in the order of their first row.
type track struct {
	dims   []types.Value
	events []event
}

// tracks reads the rows whose time lies between start and end, both included.
func tracks(c *Call, in Rows, id string, start, end, step int64) []track {
	dims, idAt, timeAt := positions(c.list("dim")), c.at(id), c.at("TimelineColumn")
	index := map[string]int{}
	var out []track
	for _, row := range in {
		t := row[timeAt]
		if n := ticks(t); t.Null || n < start || n > end {
			continue
		}
		k := keyOf(row, dims)
		i, ok := index[k]
		if !ok {
			i = len(out)
			index[k] = i
			tr := track{}
			for _, d := range dims {
				tr.dims = append(tr.dims, row[d])
			}
			out = append(out, tr)
		}
		n := ticks(t)
		out[i].events = append(out[i].events, event{types.Key(row[idAt]), n, int((n - start) / step), row})
	}
	return out
}

// line makes an output row.
func (c *Call) line(at int64, dims []types.Value, cells ...types.Value) []types.Value {
	row := append([]types.Value{instant(at, c.Out[0].Type)}, dims...)
	return append(row, cells...)
}

// binned reads the usual arguments Start, End and a step, and the rows by bin.
func binned(c *Call, in Rows, step string) (from, size int64, n int, list []track, err error) {
	ax, _, err := c.axis("TimelineColumn", "Start", "End", step)
	if err != nil {
		return 0, 0, 0, nil, err
	}
	n, err = steps(c.Fn.Name, ax[0], ax[1], ax[2])
	if err != nil {
		return 0, 0, 0, nil, err
	}
	return ax[0], ax[2], n, tracks(c, in, "IdColumn", ax[0], ax[1], ax[2]), nil
}

func byBin(events []event, n int) []map[string]bool {
	out := make([]map[string]bool, n)
	for i := range out {
		out[i] = map[string]bool{}
	}
	for _, e := range events {
		out[e.bin][e.id] = true
	}
	return out
}

func activeUsers(c *Call, in, _ Rows, _ int) (Rows, error) {
	ax, _, err := c.axis("TimelineColumn", "Start", "End", "LookbackWindow", "Period", "ActivePeriodsCount", "Bin")
	if err != nil {
		return nil, err
	}
	start, end, look, period, least, bin := ax[0], ax[1], ax[2], ax[3], ax[4], ax[5]
	if period <= 0 || bin <= 0 || look < period {
		return nil, fmt.Errorf("active_users_count needs positive periods, and a lookback window of one at least")
	}
	var out Rows
	for _, tr := range tracks(c, in, "IdColumn", start-look, end, period) {
		days := map[string]map[int64]bool{}
		for _, e := range tr.events {
			if days[e.id] == nil {
				days[e.id] = map[int64]bool{}
			}
			d := (e.at - start) / period
			if (e.at-start)%period < 0 {
				d--
			}
			days[e.id][d] = true
		}
		users := map[int64]map[string]bool{}
		for id, set := range days {
			var list []int64
			for d := range set {
				list = append(list, d)
			}
			slices.Sort(list)
			for i, d := range list {
				if d < 0 {
					continue
				}
				n := int64(0)
				for j := i; j >= 0 && (d-list[j])*period < look; j-- {
					n++
				}
				if n >= least {
					b := d * period / bin
					if users[b] == nil {
						users[b] = map[string]bool{}
					}
					users[b][id] = true
				}
			}
		}
		var bins []int64
		for b := range users {
			bins = append(bins, b)
		}
		slices.Sort(bins)
		for _, b := range bins {
			out = append(out, c.line(start+b*bin, tr.dims, long(len(users[b]))))
		}
	}
	return out, nil
}

func activityCounts(c *Call, in, _ Rows, _ int) (Rows, error) {
	from, size, n, list, err := binned(c, in, "Window")
	var out Rows
	for _, tr := range list {
		count := make([]int, n)
		for _, e := range tr.events {
			count[e.bin]++
		}
		seen := map[string]bool{}
		for i, set := range byBin(tr.events, n) {
			before := len(seen)
			for id := range set {
				seen[id] = true
			}
			out = append(out, c.line(from+int64(i)*size, tr.dims, long(count[i]), long(len(set)), long(len(seen)-before), long(len(seen))))
		}
	}
	return out, err
}

func engagement(c *Call, in, _ Rows, _ int) (Rows, error) {
	from, size, n, list, err := binned(c, in, "InnerActivityWindow")
	if err != nil {
		return nil, err
	}
	wide := int(max(c.value("OuterActivityWindow", types.Long).I/size, 1))
	var out Rows
	for _, tr := range list {
		bins := byBin(tr.events, n)
		inWindow := map[string]int{}
		for i, set := range bins {
			for id := range set {
				inWindow[id]++
			}
			if i >= wide {
				for id := range bins[i-wide] {
					if inWindow[id]--; inWindow[id] == 0 {
						delete(inWindow, id)
					}
				}
			}
			ratio := math.NaN()
			if len(inWindow) > 0 {
				ratio = float64(len(set)) / float64(len(inWindow))
			}
			out = append(out, c.line(from+int64(i)*size, tr.dims, long(len(set)), long(len(inWindow)), types.NewReal(ratio)))
		}
	}
	return out, nil
}

func overlap(a, b map[string]bool) int {
	n := 0
	for k := range a {
		if b[k] {
			n++
		}
	}
	return n
}

func rate(part, whole int) (stay, churn types.Value) {
	if whole == 0 {
		return types.NewReal(math.NaN()), types.NewReal(math.NaN())
	}
	f := float64(part) / float64(whole)
	return types.NewReal(f), types.NewReal(1 - f)
}

func activityMetrics(c *Call, in, _ Rows, _ int) (Rows, error) {
	from, size, n, list, err := binned(c, in, "Window")
	var out Rows
	for _, tr := range list {
		bins := byBin(tr.events, n)
		seen := map[string]bool{}
		for i, set := range bins {
			fresh := len(set) - overlap(set, seen)
			for id := range set {
				seen[id] = true
			}
			stay, churn := types.NewReal(1), types.NewReal(0)
			if i > 0 {
				stay, churn = rate(overlap(set, bins[i-1]), len(bins[i-1]))
			}
			out = append(out, c.line(from+int64(i)*size, tr.dims, long(len(set)), long(fresh), stay, churn))
		}
	}
	return out, err
}

func newActivity(c *Call, in, table Rows, _ int) (Rows, error) {
	from, size, n, list, err := binned(c, in, "Window")
	if err != nil {
		return nil, err
	}
	cohort := -1
	if a, ok := c.arg("Cohort"); ok && !a.Val.Null {
		if cohort = int((types.Convert(a.Val, types.Long).I - from) / size); cohort < 0 || cohort >= n {
			return nil, nil
		}
	}
	old := map[string]bool{}
	if len(c.Table) > 0 {
		id := slices.IndexFunc(c.Table, func(t Column) bool { return t.Name == c.In[c.at("IdColumn")].Name })
		if id < 0 {
			return nil, fmt.Errorf("new_activity_metrics: the lookback has no column %q", c.In[c.at("IdColumn")].Name)
		}
		for _, row := range table {
			old[types.Key(row[id])] = true
		}
	}
	if cohort < 0 && n > 1000 {
		return nil, fmt.Errorf("new_activity_metrics without a cohort takes at most 1000 windows")
	}
	var out Rows
	for _, tr := range list {
		bins := byBin(tr.events, n)
		seen := map[string]bool{}
		for id := range old {
			seen[id] = true
		}
		for i := 0; i < n; i++ {
			fresh := map[string]bool{}
			for id := range bins[i] {
				if !seen[id] {
					fresh[id], seen[id] = true, true
				}
			}
			if cohort >= 0 && i != cohort {
				continue
			}
			for j := i; j < n; j++ {
				kept := overlap(fresh, bins[j])
				stay, churn := rate(kept, len(fresh))
				row := []types.Value{instant(from+int64(i)*size, c.Out[0].Type), instant(from+int64(j)*size, c.Out[1].Type)}
				out = append(out, append(append(row, tr.dims...), long(len(fresh)), long(kept), long(len(fresh)-kept), stay, churn))
			}
		}
	}
	return out, nil
}

func sessionCount(c *Call, in, _ Rows, _ int) (Rows, error) {
	ax, _, err := c.axis("TimelineColumn", "Start", "End", "Bin", "LookBackWindow")
	if err != nil {
		return nil, err
	}
	start, end, bin, look := ax[0], ax[1], ax[2], ax[3]
	if _, err := steps(c.Fn.Name, start, end, bin); err != nil {
		return nil, err
	}
	var out Rows
	for _, tr := range tracks(c, in, "IdColumn", start, end, bin) {
		sort.SliceStable(tr.events, func(i, j int) bool { return tr.events[i].at < tr.events[j].at })
		last := map[string]int64{}
		count := map[int64]int{}
		for _, e := range tr.events {
			if t, ok := last[e.id]; !ok || e.at-t >= look {
				count[e.at/bin*bin]++
			}
			last[e.id] = e.at
		}
		var bins []int64
		for b := range count {
			bins = append(bins, b)
		}
		slices.Sort(bins)
		for _, b := range bins {
			out = append(out, c.line(b, tr.dims, long(count[b])))
		}
	}
	return out, nil
}

func slidingCounts(c *Call, in, _ Rows, _ int) (Rows, error) {
	ax, _, err := c.axis("TimelineColumn", "Start", "End", "LookbackWindow", "Bin")
	if err != nil {
		return nil, err
	}
	start, end, look, bin := ax[0], ax[1], ax[2], ax[3]
	n, err := steps(c.Fn.Name, start, end, bin)
	if err != nil {
		return nil, err
	}
	// Rows of the bins before the start count in its windows.
	before := int((look + bin - 1) / bin)
	if before < 1 || before > maxSteps {
		return nil, fmt.Errorf("sliding_window_counts needs a lookback window of 1 to %d bins", maxSteps)
	}
	origin := start - int64(before)*bin
	var out Rows
	for _, tr := range tracks(c, in, "IdColumn", origin, end+bin-1, bin) {
		bins, total := make([]map[string]int, n+before), 0
		count := make([]int, n+before)
		for _, e := range tr.events {
			if e.bin < len(bins) {
				if bins[e.bin] == nil {
					bins[e.bin] = map[string]int{}
				}
				bins[e.bin][e.id]++
				count[e.bin]++
			}
		}
		window := map[string]int{}
		for i := range bins {
			for id, k := range bins[i] {
				window[id] += k
			}
			total += count[i]
			if i >= before {
				for id, k := range bins[i-before] {
					if window[id] -= k; window[id] == 0 {
						delete(window, id)
					}
				}
				total -= count[i-before]
				if len(window) > 0 {
					out = append(out, c.line(start+int64(i-before)*bin, tr.dims, long(total), long(len(window))))
				}
			}
		}
	}
	return out, nil
}

func rollingPercentile(c *Call, in, _ Rows, _ int) (Rows, error) {
	ax, _, err := c.axis("TimelineColumn", "BinSize", "BinsPerWindow")
	if err != nil {
		return nil, err
	}
	size, width := ax[0], int(ax[1])
	if size <= 0 || width < 1 || width > maxSteps {
		return nil, fmt.Errorf("rolling_percentile needs a positive bin and 1 to %d bins", maxSteps)
	}
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	timeAt, valAt := c.at("TimelineColumn"), c.at("ValueColumn")
	for _, row := range in {
		if v := row[timeAt]; !v.Null {
			lo, hi = min(lo, ticks(v)), max(hi, ticks(v))
		}
	}
	if lo > hi {
		return nil, nil
	}
	lo -= ((lo % size) + size) % size
	n, err := steps(c.Fn.Name, lo, hi, size)
	if err != nil {
		return nil, err
	}
	p := c.value("Percentile", types.Real).F
	var out Rows
	for _, tr := range tracks(c, in, "ValueColumn", lo, hi, size) {
		bins := make([][]types.Value, n)
		for _, e := range tr.events {
			if v := e.row[valAt]; !v.Null {
				bins[e.bin] = append(bins[e.bin], v)
			}
		}
		for i := range bins {
			if len(bins[i]) == 0 {
				continue
			}
			var window []types.Value
			for j := max(i-width+1, 0); j <= i; j++ {
				window = append(window, bins[j]...)
			}
			slices.SortFunc(window, types.Compare)
			at := int(math.Ceil(p/100*float64(len(window)))) - 1
			out = append(out, c.line(lo+int64(i)*size, tr.dims, window[min(max(at, 0), len(window)-1)]))
		}
	}
	return out, nil
}
