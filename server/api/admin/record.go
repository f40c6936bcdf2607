package admin

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/audit"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/health"
)

func (a *API) recordRoutes() []api.Route {
	list := answering(administer(http.MethodGet, "/audit", "List the audit record, newest first", a.listRecords), nil, []record{}, 0)
	list.Doc.Params = []api.Param{{Name: "before", Type: "integer", About: "Records with a lower sequence; the newest without it."},
		{Name: "top", Type: "integer", About: "How many, 100 without it."}, {Name: "actor", About: "Records whose actor's name contains it."},
		{Name: "verb", About: "Records whose verb begins with it."}, {Name: "outcome", Enum: []string{"done", "denied", "failed"}}}
	verify := answering(administer(http.MethodPost, "/audit/verify", "Check that no audit record was changed", a.verifyRecords), nil, verdict{}, 0)
	verify.Doc.Bare = true
	settings := answering(administer(http.MethodGet, "/settings", "Tell how the server is configured", a.showSettings), nil, Settings{}, 0)
	settings.Doc.Bare = true
	state := answering(administer(http.MethodGet, "/health", "Tell how the parts of the server fare", a.showHealth), nil, health.Summary{}, 0)
	state.Doc.Bare = true
	return []api.Route{list, verify, settings, state}
}

// record is one entry of the audit record as it is answered.
type record struct {
	Seq     int64     `json:"sequence"`
	At      time.Time `json:"time"`
	Actor   string    `json:"actor"`
	Kind    string    `json:"actorKind"`
	Verb    string    `json:"verb"`
	Object  string    `json:"object"`
	Detail  string    `json:"detail"`
	Outcome string    `json:"outcome"`
}

// Of a list of records: how many by default and at most, and how many are looked at for
// them where most do not match.
const (
	usualRecords = 100
	maxRecords   = 1000
	lookedAt     = 20_000
)

func (a *API) listRecords(w http.ResponseWriter, r *api.Request) error {
	if err := unrestricted(r); err != nil {
		return err
	}
	top, err := number(r, "top", usualRecords, maxRecords)
	if err != nil {
		return err
	}
	before, err := number(r, "before", 0, 1<<62)
	if err != nil {
		return err
	}
	actor, verb, outcome := strings.ToLower(r.Query.Get("actor")), r.Query.Get("verb"), r.Query.Get("outcome")
	out, looked, next := []record{}, int64(0), int64(0)
	for looked < lookedAt {
		page, err := a.history.Latest(r.Context(), r.Caller.Tenant, before, maxRecords)
		if err != nil {
			return err
		}
		for _, x := range page {
			before, looked = x.Seq, looked+1
			if int64(len(out)) == top {
				break
			}
			next = x.Seq
			if strings.Contains(strings.ToLower(x.Actor.Name), actor) && strings.HasPrefix(x.Verb, verb) && (outcome == "" || string(x.Outcome) == outcome) {
				out = append(out, record{x.Seq, x.At, x.Actor.Name, string(x.Actor.Kind), x.Verb, x.Object, x.Detail, string(x.Outcome)})
			}
		}
		if len(page) < maxRecords || int64(len(out)) == top {
			break
		}
	}
	if next == 1 {
		next = 0
	}
	// next is where a further page begins, 0 when there is none.
	return write(w, r, http.StatusOK, map[string]any{"value": out, "next": next})
}

func number(r *api.Request, name string, otherwise, most int64) (int64, error) {
	text := r.Query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, errs.New("admin.number", errs.Invalid, errs.BadRequest, "%s: a number up to %d is needed", name, most)
	}
	return n, nil
}

// verdict is what checking the chain of records told.
type verdict struct {
	Intact bool   `json:"intact"`
	Seq    int64  `json:"sequence"` // of the newest record that was checked
	Detail string `json:"detail"`   // what does not fit; "" when all does
}

// unrestricted refuses callers whom device groups restrict: records speak of every device.
func unrestricted(r *api.Request) error {
	if r.Caller.Scope.All {
		return nil
	}
	return errs.New("admin.audit", errs.Denied, errs.Forbidden, "the audit record speaks of every device: it is for callers whom no device group restricts")
}

func (a *API) verifyRecords(w http.ResponseWriter, r *api.Request) error {
	if err := unrestricted(r); err != nil {
		return err
	}
	head, err := a.history.Verify(r.Context(), r.Caller.Tenant, audit.Head{})
	if errs.Is(err, errs.Conflict) {
		return write(w, r, http.StatusOK, verdict{Seq: head.Seq, Detail: why(err)})
	}
	if err != nil {
		return err
	}
	return write(w, r, http.StatusOK, verdict{Intact: true, Seq: head.Seq})
}

func why(err error) string {
	var e *errs.E
	if errors.As(err, &e) {
		return e.Detail
	}
	return err.Error()
}

// Settings is how the server is configured: what its operator decided when starting it, and
// what only they can change.
type Settings struct {
	Version       string   `json:"version"`
	URLs          []string `json:"urls"` // by which it may be reached
	CA            string   `json:"caCertificate"`
	RetentionDays float64  `json:"telemetryRetentionDays"`
	DiskReserve   int64    `json:"diskReserveBytes"`
	HuntHour      float64  `json:"huntQuotaHourSeconds"` // 0 for none
	HuntDay       float64  `json:"huntQuotaDaySeconds"`
	RateFactor    float64  `json:"rateLimitFactor"` // times the published limits; 0 for none
	Mail          bool     `json:"mailConfigured"`
	ExternalHosts []string `json:"externalHosts"`
}

func (a *API) showHealth(w http.ResponseWriter, r *api.Request) error {
	return write(w, r, http.StatusOK, a.state.Ask(r.Context()))
}

func (a *API) showSettings(w http.ResponseWriter, r *api.Request) error {
	return write(w, r, http.StatusOK, a.settings)
}
