package respond

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/hunt"
	"github.com/vedette-edr/vedette/server/ident"
)

// Sightings knows which devices saw a file.
type Sightings interface {
	// Sightings returns those that the caller of ctx sees, last sighting first.
	Sightings(ctx context.Context, tenant ident.TenantID, thing hunt.Thing, value string, since time.Time) ([]hunt.Sighting, error)
}

// lookBack is how far back the devices that saw a file are looked for, as published.
const lookBack = 30 * 24 * time.Hour

// Bounds of what is told of a file.
const (
	maxNames = 20
	maxPaths = 100
)

type fileBody struct {
	reasonBody
	Machines   []string `json:"MachineIds" doc:"max=1000"` // ids or computer names
	Everywhere bool     `json:"Everywhere"`                // or every machine that saw the file in the last 30 days
	CountOnly  bool     `json:"CountOnly"`                 // ask for nothing, say what would become of it
	External   string   `json:"ExternalId" doc:"max=256"`
}

// fileEntity says what the request is about, before it says what became of it.
type fileEntity struct {
	SHA1      string    `json:"sha1"`
	SHA256    string    `json:"sha256"`
	MD5       string    `json:"md5"`
	Size      int64     `json:"size"` // bytes; -1 where it is not known
	Names     []string  `json:"fileNames"`
	Paths     []string  `json:"filePaths"`
	Seen      int       `json:"machinesThatSawIt"`
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	bulkEntity
}

var digestForm = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// file asks the devices that saw a file, or some of them, for an action about it.
func (a *API) file(k action.Kind) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error { return a.aboutFile(w, r, k) }
}

func (a *API) aboutFile(w http.ResponseWriter, r *api.Request, k action.Kind) error {
	const op = "respond.file"
	digest := strings.ToLower(r.Var("id"))
	if !digestForm.MatchString(digest) {
		return errs.New(op, errs.Invalid, errs.InvalidHashValue, "The hash value %q is not a SHA-1 or SHA-256 in hexadecimal", r.Var("id")[:min(len(r.Var("id")), 80)])
	}
	body, err := r.JSON()
	if err != nil {
		return err
	}
	q := action.Request{Kind: k, Source: r.Source(), File: digest}
	countOnly, err := body.Bool("CountOnly")
	if err != nil {
		return err
	}
	if countOnly {
		q.Comment = "counted"
	} else if q.Comment, err = body.RequireString("Comment"); err != nil {
		return err
	}
	if q.External, err = body.String("ExternalId"); err != nil {
		return err
	}
	everywhere, err := body.Bool("Everywhere")
	if err != nil {
		return err
	}
	answer, seers, err := a.known(r, digest)
	if err != nil {
		return err
	}
	var devices []ident.DeviceID
	switch {
	case everywhere && body.Has("MachineIds"):
		return errs.New(op, errs.Invalid, errs.InvalidInput, "give either MachineIds or Everywhere")
	case everywhere:
		if devices, err = a.there(r, seers); err != nil {
			return err
		}
	default:
		if devices, err = a.devices(r, body); err != nil {
			return err
		}
	}
	if len(devices) > action.MaxBulk {
		return errs.New(op, errs.Invalid, errs.MaximumBatchSizeExceeded, "%d machines saw the file, and %d may be asked at once: give MachineIds", len(devices), action.MaxBulk)
	}
	if len(devices) == 0 {
		if countOnly {
			answer.bulkEntity = bulkEntity{Counted: true, Outcomes: []outcomeEntity{}}
			return api.WriteJSON(w, r, http.StatusOK, answer)
		}
		return errs.New(op, errs.NotFound, errs.ResourceNotFound, "No machine saw the file %s in the last 30 days", digest)
	}
	q.Paths, q.Size = answer.Paths, max(0, answer.Size)
	do := a.Many.RequestMany
	if countOnly {
		do = a.Many.Count
	}
	out, err := do(r.Context(), r.Caller, devices, q)
	if err != nil {
		return err
	}
	answer.bulkEntity = bulkOf(out, countOnly)
	return api.WriteJSON(w, r, http.StatusOK, answer)
}

// known is what telemetry says of a file, and the devices that saw it.
func (a *API) known(r *api.Request, digest string) (fileEntity, []ident.DeviceID, error) {
	thing := hunt.FileSHA1
	e := fileEntity{SHA1: digest, Size: -1, Names: []string{}, Paths: []string{}}
	if len(digest) == 64 {
		thing, e.SHA1, e.SHA256 = hunt.FileSHA256, "", digest
	}
	seen, err := a.Sightings.Sightings(r.Context(), r.Caller.Tenant, thing, digest, a.Now().Add(-lookBack))
	if err != nil {
		return e, nil, err
	}
	names, paths := map[string]int{}, map[string]int{}
	var devices []ident.DeviceID
	for i, s := range seen {
		devices = append(devices, s.Device)
		e.SHA1, e.SHA256, e.MD5, e.Size = cmp.Or(e.SHA1, s.SHA1), cmp.Or(e.SHA256, s.SHA256), cmp.Or(e.MD5, s.MD5), max(e.Size, s.Size)
		if i == 0 || s.First.Before(e.FirstSeen) {
			e.FirstSeen = s.First.UTC()
		}
		if s.Last.After(e.LastSeen) {
			e.LastSeen = s.Last.UTC()
		}
		for _, n := range s.Names {
			names[n]++
		}
		for _, p := range s.Paths {
			paths[p]++
		}
	}
	e.Seen, e.Names, e.Paths = len(devices), most(names, maxNames), most(paths, maxPaths)
	return e, devices, nil
}

// most returns those that were counted most often.
func most(counts map[string]int, n int) []string {
	out := []string{}
	for s := range counts {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	return out[:min(len(out), n)]
}

// there leaves out devices that are gone since they saw something.
func (a *API) there(r *api.Request, ids []ident.DeviceID) ([]ident.DeviceID, error) {
	field, ok := device.Fields.Find("id")
	if !ok {
		return nil, errors.New("respond: devices have no id")
	}
	var out []ident.DeviceID
	for part := range slices.Chunk(ids, 500) {
		in := filter.In{Field: field}
		for _, id := range part {
			in.Values = append(in.Values, filter.Value{Type: filter.String, S: string(id)})
		}
		page, err := a.Devices.Find(r.Context(), r.Caller.Tenant, device.Query{}, filter.Query{Where: in, Top: len(part)})
		if err != nil {
			return nil, err
		}
		for _, d := range page.Items {
			out = append(out, d.ID)
		}
		if len(out) > action.MaxBulk {
			break
		}
	}
	return out, nil
}
