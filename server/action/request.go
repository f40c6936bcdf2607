package action

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Bounds of a live response.
const (
	maxSessions = 25 // at a time in a tenant, as published
	maxCommands = 100
	maxParam    = 4096 // bytes of one value
)

// Library is the files that PutFile and RunScript name.
type Library interface {
	// Digest returns the SHA-256 of a file of the tenant's library in hexadecimal, or
	// errs.NotFound.
	Digest(ctx context.Context, tenant ident.TenantID, name string) (string, error)
}

type noLibrary struct{}

// Digest implements Library.
func (noLibrary) Digest(_ context.Context, _ ident.TenantID, name string) (string, error) {
	return "", errs.New("action.Library", errs.NotFound, errs.ResourceNotFound, "The library has no file %s", name)
}

// check validates r, fills in what was left out, and returns what the responder gets.
func (r *Request) check() (json.RawMessage, error) {
	const op = "action.Request"
	if strings.TrimSpace(r.Comment) == "" {
		return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Comment is missing: an action needs a reason")
	}
	for _, t := range []struct {
		place, text string
		most        int
	}{{"Comment", r.Comment, maxComment}, {"ExternalId", r.External, maxExternal}, {"Source", r.Source, maxExternal}} {
		if !utf8.ValidString(t.text) || utf8.RuneCountInString(t.text) > t.most {
			return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "%s is longer than %d characters or not UTF-8", t.place, t.most)
		}
	}
	if r.Life == 0 {
		r.Life = defaultLife
	}
	if r.Life < 0 || r.Life > maxLife {
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "the lifetime is not between 0 and %v", maxLife)
	}
	switch r.Kind {
	case Isolate:
		return r.checkIsolation()
	case RunAntiVirusScan:
		return r.checkScan()
	case StopAndQuarantineFile, RestoreFile, RequestSample:
		return r.checkFile()
	case LiveResponse:
		return r.checkCommands()
	case RestrictCodeExecution:
		return r.checkRestriction()
	case NotifyUser:
		return r.checkMessage()
	case Unisolate, AllowCodeExecution, CollectPackage, Offboard, PauseScan, ResumeScan, AskExpert:
		r.Scope = ""
		return nil, nil
	}
	return nil, errs.New(op, errs.Unsupported, errs.InvalidInput, "actions of type %q are not offered", r.Kind)
}

// liveParams are the parameters of each command, with whether they are required.
var liveParams = map[LiveKind]map[string]bool{
	PutFile:   {"FileName": true},
	RunScript: {"ScriptName": true, "Args": false},
	GetFile:   {"Path": true},
}

func (r *Request) checkCommands() (json.RawMessage, error) {
	const op = "action.Request"
	r.Scope = ""
	switch n := len(r.Commands); {
	case n == 0:
		return nil, errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Required parameter Commands is missing or empty")
	case n > maxCommands:
		return nil, errs.New(op, errs.Invalid, errs.InvalidInput, "Commands: received %d, allowed %d", n, maxCommands)
	}
	for i := range r.Commands {
		if err := r.Commands[i].check(i); err != nil {
			return nil, err
		}
	}
	return json.Marshal(struct {
		Commands []LiveCommand `json:"commands"`
	}{r.Commands})
}

// check validates the command at index i and brings its words into their spelling.
func (c *LiveCommand) check(i int) error {
	const op = "action.Request"
	wrong := func(code errs.Code, format string, args ...any) error {
		e := errs.New(op, errs.Invalid, code, format, args...)
		return errs.New(op, errs.Invalid, code, "Commands[%d]: %s", i, e.Detail)
	}
	kind := c.Kind
	for k := range liveParams {
		if strings.EqualFold(string(kind), string(k)) {
			c.Kind = k
		}
	}
	allowed, ok := liveParams[c.Kind]
	if !ok {
		return wrong(errs.InvalidInput, "type %q is not PutFile, RunScript or GetFile", kind)
	}
	seen := map[string]bool{}
	for j := range c.Params {
		p := &c.Params[j]
		name := ""
		for k := range allowed {
			if strings.EqualFold(p.Key, k) {
				name = k
			}
		}
		switch {
		case name == "":
			return wrong(errs.InvalidInput, "%s takes no parameter %q", c.Kind, p.Key)
		case seen[name]:
			return wrong(errs.InvalidInput, "the parameter %s is given twice", name)
		case len(p.Value) > maxParam || !utf8.ValidString(p.Value) || strings.ContainsRune(p.Value, 0):
			return wrong(errs.InvalidInput, "%s is longer than %d bytes, or not text", name, maxParam)
		case p.Value == "" && allowed[name]:
			return wrong(errs.MissingRequiredParameter, "the parameter %s is empty", name)
		}
		seen[name], p.Key = true, name
	}
	for name, required := range allowed {
		if required && !seen[name] {
			return wrong(errs.MissingRequiredParameter, "the parameter %s is missing", name)
		}
	}
	c.Status, c.Start, c.End, c.Errors = "Created", time.Time{}, time.Time{}, nil
	return nil
}

// files returns what of the library a live response names, with the place that names it.
func files(commands []LiveCommand) (names, places []string) {
	for i, c := range commands {
		for _, p := range c.Params {
			if c.Kind != GetFile && (p.Key == "FileName" || p.Key == "ScriptName") {
				names, places = append(names, p.Value), append(places, fmt.Sprintf("Commands[%d]", i))
			}
		}
	}
	return names, places
}

// pin sees that the library has what r names, and returns the content of each by its name.
func (s *Service) pin(ctx context.Context, tenant ident.TenantID, r *Request) (map[string]string, error) {
	names, places := files(r.Commands)
	if r.Kind == RunAntiVirusScan && r.Scan != nil {
		for i, name := range r.Scan.Rules {
			names, places = append(names, name), append(places, fmt.Sprintf("Rules[%d]", i))
		}
	}
	var pins map[string]string
	for i, name := range names {
		sum, err := s.cfg.Library.Digest(ctx, tenant, name)
		if errs.Is(err, errs.NotFound) {
			return nil, errs.New("action.Request", errs.Invalid, errs.InvalidInput, "%s: the library has no file %q", places[i], name)
		}
		if err != nil {
			return nil, err
		}
		if pins == nil {
			pins = map[string]string{}
		}
		pins[name] = sum
	}
	return pins, nil
}

// replaced says which of the library's files that a names is not the one any more that it was
// asked for with, "" for none.
func (p *Dispatcher) replaced(ctx context.Context, a *Action) (string, error) {
	for _, name := range slices.Sorted(maps.Keys(a.Pins)) {
		sum, err := p.cfg.Library.Digest(ctx, a.Tenant, name)
		switch {
		case errs.Is(err, errs.NotFound):
			return fmt.Sprintf("the library's file %q was deleted after the action was asked for", name), nil
		case err != nil:
			return "", err
		case sum != a.Pins[name]:
			return fmt.Sprintf("the library's file %q was replaced after the action was asked for: it was %s and is %s", name, a.Pins[name], sum), nil
		}
	}
	return "", nil
}

// sessionFree refuses a live response beyond what a tenant may have at a time.
func (s *Service) sessionFree(ctx context.Context, a *Action) error {
	if a.Kind != LiveResponse {
		return nil
	}
	open, err := s.cfg.Store.OpenActions(ctx, a.Tenant, "")
	if err != nil {
		return err
	}
	n := 0
	for _, o := range open {
		// A second session on one device is told as such, whatever their number.
		if o.Kind == LiveResponse && o.Device != a.Device {
			n++
		}
	}
	if n >= maxSessions {
		return errs.New("action.Request", errs.Limited, errs.TooManyRequests, "%d live response sessions are open, which is as many as a tenant may have", n)
	}
	return nil
}
