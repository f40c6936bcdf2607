// Package backtest runs a rule or an indicator over past telemetry and says what it would
// have raised: how much, on which devices, on which days, with samples.
//
// It raises nothing and changes nothing. Rules of files and continuous rules run by the
// very engine that runs them on the stream; scheduled queries and indicators are asked as
// hunts. A backtest is a job in memory: it is lost when the server ends, and asked for again.
//
// The invariant: a backtest is over the devices that its caller sees, as if there were no
// others, and is shown to callers who see all of these.
//
// Start at Service.Start.
package backtest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/vedette-edr/vedette/detection"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/detect/behavior"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/telemetry"
)

// Bounds of jobs.
const (
	MaxSpan    = 180 * 24 * time.Hour
	maxSamples = 20
	maxGroups  = 1000 // devices named
	maxJobs    = 200  // remembered
	chunk      = 24 * time.Hour
	leastChunk = time.Minute
)

// Request is one backtest. Exactly one of Rule, Query and Indicator is set.
type Request struct {
	Rule      *detection.Compiled // of a file, or a continuous custom rule
	Query     string              // of a scheduled custom rule
	Indicator Indicator
	From, To  time.Time // by the time of the events
}

// Indicator is one indicator; the zero Indicator is none.
type Indicator struct{ Type, Value string }

// Status is where a job stands.
type Status string

// The statuses.
const (
	Running   Status = "running"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Count is how many alerts there would have been of something.
type Count struct {
	Name string `json:"name"`
	N    int    `json:"count"`
}

// Sample is one of the alerts that there would have been.
type Sample struct {
	At       time.Time          `json:"timestamp"`
	Device   string             `json:"machineId"`
	Name     string             `json:"computerDnsName"`
	Report   int64              `json:"reportId"`
	Title    string             `json:"title"`
	Events   int                `json:"events"`
	Entities []detection.Entity `json:"evidence"`
}

// Job is a backtest and what it found so far.
type Job struct {
	ID       string
	Tenant   ident.TenantID
	From, To time.Time
	Status   Status
	Progress float64 // 0 to 1
	Examined int     // events, or rows of a query's result
	Alerts   int
	Devices  []Count // most alerts first
	Days     []Count // by date, UTC
	Samples  []Sample
	Error    string
	Started  time.Time
	Ended    time.Time
}

// Hunter runs a query for the principal of the context.
type Hunter interface {
	Run(ctx context.Context, r hunt.Request) (*hunt.Result, error)
}

// Devices says which devices a caller sees.
type Devices interface {
	// Within returns the devices of the tenant that are in access.ScopeOf the context.
	Within(ctx context.Context, tenant ident.TenantID) ([]ident.DeviceID, error)
}

// Config is what a Service needs.
type Config struct {
	Store      telemetry.Querier
	Hunter     Hunter           // keeps itself to what the principal sees
	Devices    Devices          // nil: a caller who does not see every device sees none
	Clock      func() time.Time // nil for time.Now
	Concurrent int              // jobs at a time; 0 for 2
}

// Service runs backtests. It is safe for concurrent use.
type Service struct {
	cfg   Config
	slots chan struct{}

	mu   sync.Mutex
	jobs []*job // oldest first
	wg   sync.WaitGroup
}

type job struct {
	Job     // guarded by Service.mu
	cancel  context.CancelFunc
	scope   access.Scope                // of who asked
	within  map[ident.DeviceID]struct{} // its devices; nil for every device
	devices map[string]int
	days    map[string]int
}

// New returns a Service; Close has to be called when it is not needed any more.
func New(c Config) *Service {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Concurrent <= 0 {
		c.Concurrent = 2
	}
	return &Service{cfg: c, slots: make(chan struct{}, c.Concurrent)}
}

// Close ends all jobs and waits for them.
func (s *Service) Close() {
	s.mu.Lock()
	for _, j := range s.jobs {
		j.cancel()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Start begins a job for the principal of the context. While as many run as may, it is
// errs.Limited.
func (s *Service) Start(ctx context.Context, r Request) (*Job, error) {
	const op = "backtest.Start"
	by, err := access.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	now := s.cfg.Clock().UTC()
	if r.To.IsZero() || r.To.After(now) {
		r.To = now
	}
	if !r.From.Before(r.To) || r.To.Sub(r.From) > MaxSpan {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "from is not before to, or more than %d days before it", int(MaxSpan.Hours()/24))
	}
	within, err := s.within(ctx, by)
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	query := r.Query
	if r.Indicator != (Indicator{}) {
		if query, err = r.Indicator.Query(); err != nil {
			return nil, err
		}
	}
	select {
	case s.slots <- struct{}{}:
	default:
		return nil, &errs.E{Op: op, Kind: errs.Limited, Code: errs.TooManyRequests, Detail: "as many backtests run as may at a time", Retry: 10 * time.Second}
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	j := &job{Job: Job{ID: uuid.NewString(), Tenant: by.Tenant, From: r.From, To: r.To, Status: Running, Started: now},
		cancel: cancel, scope: by.Scope, within: within, devices: map[string]int{}, days: map[string]int{}}
	s.mu.Lock()
	if len(s.jobs) >= maxJobs {
		i := slices.IndexFunc(s.jobs, func(o *job) bool { return o.Status != Running })
		s.jobs = slices.Delete(s.jobs, i, i+1)
	}
	s.jobs = append(s.jobs, j)
	s.mu.Unlock()
	s.wg.Go(func() {
		defer func() { <-s.slots }()
		defer cancel()
		var err error
		if r.Rule != nil {
			err = s.stream(run, j, r)
		} else {
			err = s.query(run, j, query, r)
		}
		s.end(j, err, run.Err() != nil)
	})
	return s.view(j), nil
}

// within returns the devices that p sees; nil for every device.
func (s *Service) within(ctx context.Context, p *access.Principal) (map[ident.DeviceID]struct{}, error) {
	if p.Scope.All {
		return nil, nil
	}
	out := map[ident.DeviceID]struct{}{}
	if s.cfg.Devices == nil {
		return out, nil
	}
	ids, err := s.cfg.Devices.Within(ctx, p.Tenant)
	for _, id := range ids {
		out[id] = struct{}{}
	}
	return out, err
}

// covers reports whether who has a scope sees everything that another scope shows.
func covers(mine, other access.Scope) bool {
	if mine.All || other.All {
		return mine.All
	}
	return !slices.ContainsFunc(other.Groups, func(g int64) bool { return !mine.Holds(g) })
}

func (s *Service) end(j *job, err error, cancelled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.Ended = s.cfg.Clock().UTC()
	switch {
	case cancelled:
		j.Status = Cancelled
	case err != nil:
		j.Status, j.Error = Failed, "an internal error occurred; the server's log has it"
		var e *errs.E
		if errors.As(err, &e) && e.Detail != "" {
			j.Error = e.Detail
		}
	default:
		j.Status, j.Progress = Succeeded, 1
	}
}

func (s *Service) find(ctx context.Context, id string) (*job, error) {
	by, err := access.FromContext(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.ID == id && j.Tenant == by.Tenant && covers(by.Scope, j.scope) {
			return j, nil
		}
	}
	return nil, errs.New("backtest.find", errs.NotFound, errs.ResourceNotFound, "there is no backtest %s: those of before the server's start are gone", id)
}

// Get returns a job as it stands.
func (s *Service) Get(ctx context.Context, id string) (*Job, error) {
	j, err := s.find(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.view(j), nil
}

// Cancel ends a job.
func (s *Service) Cancel(ctx context.Context, id string) error {
	j, err := s.find(ctx, id)
	if err == nil {
		j.cancel()
	}
	return err
}

// view copies a job.
func (s *Service) view(j *job) *Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := j.Job
	out.Samples = slices.Clone(j.Samples)
	out.Devices, out.Days = counts(j.devices), counts(j.days)
	slices.SortFunc(out.Devices, func(a, b Count) int {
		if a.N != b.N {
			return b.N - a.N
		}
		return cmpText(a.Name, b.Name)
	})
	out.Devices = out.Devices[:min(len(out.Devices), maxGroups)]
	slices.SortFunc(out.Days, func(a, b Count) int { return cmpText(a.Name, b.Name) })
	return &out
}

func counts(m map[string]int) []Count {
	out := []Count{}
	for name, n := range m {
		out = append(out, Count{name, n})
	}
	return out
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// found counts one alert.
func (s *Service) found(j *job, x Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := x.Name
	if name == "" {
		name = x.Device
	}
	j.Alerts++
	j.devices[name]++
	j.days[x.At.UTC().Format(time.DateOnly)]++
	if len(j.Samples) < maxSamples {
		j.Samples = append(j.Samples, x)
	}
}

// stream runs a rule as it runs on the stream, over the stored events in the order of
// their time, some at a time.
func (s *Service) stream(ctx context.Context, j *job, r Request) error {
	set, state := detection.NewSet([]*detection.Compiled{r.Rule}, nil), detection.NewState(0)
	step := chunk
	for at := r.From; at.Before(r.To); {
		to := at.Add(step)
		if to.After(r.To) {
			to = r.To
		}
		records, err := behavior.Read(ctx, s.cfg.Store, j.Tenant, []*detection.Compiled{r.Rule}, "Timestamp", at, to)
		if errs.Is(err, errs.Limited) && step > leastChunk {
			step /= 4
			continue
		}
		if err != nil {
			return err
		}
		if j.within != nil {
			records = slices.DeleteFunc(records, func(r *detection.Record) bool {
				_, seen := j.within[ident.DeviceID(r.Device)]
				return !seen
			})
		}
		err = set.Match(state, slices.Values(records), func(f *detection.Finding) {
			s.found(j, Sample{At: f.Last, Device: f.Device, Name: f.DeviceName, Report: f.Report, Title: f.Title, Events: f.Events, Entities: f.Entities})
		})
		if err != nil {
			return err
		}
		s.progress(j, len(records), float64(to.Sub(r.From))/float64(r.To.Sub(r.From)))
		at, step = to, min(2*step, chunk)
	}
	return nil
}

func (s *Service) progress(j *job, examined int, to float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.Examined += examined
	j.Progress = to
}

// query runs a query once over everything that came in within the time.
func (s *Service) query(ctx context.Context, j *job, text string, r Request) error {
	res, err := s.cfg.Hunter.Run(ctx, hunt.Request{Query: text, Ingested: hunt.Span{From: r.From, To: r.To}, At: r.To})
	if err != nil {
		return err
	}
	defer func() { _ = res.Close() }()
	for row, err := range res.Rows.All() {
		if err != nil {
			return err
		}
		cells := map[string]types.Value{}
		for i, c := range res.Columns {
			cells[c.Name] = row[i]
		}
		rec := detection.FromRow("", cells)
		ents := detection.DefaultEntities("")
		s.found(j, Sample{At: rec.At, Device: rec.Device, Name: rec.DeviceName, Report: rec.Report, Events: 1, Entities: ents.Of(&rec)})
	}
	s.progress(j, res.Rows.Len(), 1)
	return nil
}
