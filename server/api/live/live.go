// Package live is the interactive part of live response in this server's own API: opening
// sessions, their consoles as WebSockets, and what they left.
//
// It holds no rules and no state; package server/live does. Start at Routes; the console's
// messages are in socket.go and in docs/live-response.md.
package live

import (
	"context"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/live"
	"github.com/vedette-edr/vedette/wire"
)

// Sessions is what this package needs of live.Service.
type Sessions interface {
	Open(ctx context.Context, by *access.Principal, r live.Request) (*live.Session, string, error)
	Ask(ctx context.Context, by *access.Principal, id ident.DeviceID) (*live.Outlook, error)
	Redeem(id ident.ActionID, ticket string) (*live.Seat, error)
	End(ctx context.Context, by *access.Principal, id ident.ActionID) (*live.Session, error)
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*live.Session], error)
}

// Records is what is left of sessions.
type Records interface {
	Get(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*live.Session, error)
	Commands(ctx context.Context, tenant ident.TenantID, id ident.ActionID) ([]*live.Command, error)
	Transcript(ctx context.Context, tenant ident.TenantID, id ident.ActionID) (*live.Session, *os.File, error)
	File(ctx context.Context, tenant ident.TenantID, id ident.ActionID, index int) (live.File, *os.File, error)
}

// API is the handlers over the services.
type API struct {
	sessions Sessions
	records  Records
}

// New returns the API.
func New(s Sessions, r Records) *API { return &API{s, r} }

type openBody struct {
	Comment string `json:"Comment" doc:"max=4000"`
	Level   string `json:"Level" doc:"enum=basic|advanced"`
}

type openEntity struct {
	Session sessionEntity `json:"session"`
	// Ticket opens the socket once, within a minute.
	Ticket string `json:"ticket"`
	// Socket is the path of the console's WebSocket; the ticket goes into its query.
	Socket string `json:"socket"`
	// Commands are those that the session may use, in the order of help.
	Commands []usableEntity `json:"commands"`
}

// outlookEntity is what would come of opening a session now.
type outlookEntity struct {
	Available bool   `json:"isAvailable"`
	Reason    string `json:"notAvailableReason"`
	Level     string `json:"level"`
	// Open is the session that the device has, of whoever it is; null for none.
	Open *sessionEntity `json:"openSession"`
}

type usableEntity struct {
	Name  string `json:"name"`
	Usage string `json:"usage"`
	Help  string `json:"help"`
}

func usable(level wire.LiveLevel) []usableEntity {
	var out []usableEntity
	for _, c := range wire.LiveCommands() {
		if level.Allows(c) {
			out = append(out, usableEntity{c.Name, c.Usage, c.Help})
		}
	}
	return out
}

type sessionEntity struct {
	ID           string       `json:"id"`
	MachineID    string       `json:"machineId"`
	MachineName  string       `json:"computerDnsName"`
	Level        string       `json:"level"`
	StartedBy    string       `json:"startedBy"`
	Comment      string       `json:"comment"`
	State        string       `json:"state"`
	Created      *time.Time   `json:"creationDateTimeUtc"`
	Started      *time.Time   `json:"startDateTimeUtc"`
	Ended        *time.Time   `json:"endDateTimeUtc"`
	Reason       string       `json:"reason"`
	Outcome      string       `json:"outcome"`
	Commands     int          `json:"commandCount"`
	Files        []fileEntity `json:"files"`
	IsTranscript bool         `json:"hasTranscript"`
}

type fileEntity struct {
	Index  int    `json:"index"`
	Name   string `json:"fileName"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

type commandEntity struct {
	Run     int        `json:"run"`
	Line    string     `json:"commandLine"`
	Begun   *time.Time `json:"startTime"`
	Ended   *time.Time `json:"endTime"`
	Seconds *float64   `json:"durationSeconds"`
	Status  string     `json:"status"`
	Exit    int        `json:"exitCode"`
	Error   string     `json:"error"`
	Output  int64      `json:"outputBytes"`
	Files   []int      `json:"files"`
}

func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func fileOf(f live.File) fileEntity { return fileEntity{f.Index, f.Name, f.SHA256, f.Size} }

func sessionOf(n *live.Session) sessionEntity {
	e := sessionEntity{ID: string(n.ID), MachineID: string(n.Device), MachineName: n.DeviceName, Level: string(n.Level), StartedBy: n.By.Name,
		Comment: n.Comment, State: string(n.State), Created: stamp(n.Created), Started: stamp(n.Started), Ended: stamp(n.Ended),
		Reason: n.Reason, Outcome: n.Outcome, Commands: n.Commands, Files: []fileEntity{}, IsTranscript: n.Transcript != ""}
	for _, f := range n.Files {
		e.Files = append(e.Files, fileOf(f))
	}
	return e
}

// Routes returns the route table of the API.
func (a *API) Routes() []api.Route {
	need := []access.Permission{access.MachineLive}
	one := []errs.Code{errs.ResourceNotFound}
	const root = "/api/vedette/livesessions"
	get := func(pattern string, h api.Handler, d api.Doc) api.Route {
		return api.Route{Method: http.MethodGet, Pattern: root + pattern, Need: need, Handle: h, Doc: d}
	}
	return []api.Route{
		{Method: http.MethodPost, Pattern: "/api/vedette/machines/{id}/livesessions", Need: need, Handle: a.open, MaxBody: 64 << 10, Doc: api.Doc{
			Summary: "Open a live response session with a device", Body: openBody{}, Answer: openEntity{}, Status: http.StatusCreated, Bare: true,
			Errors: []errs.Code{errs.ResourceNotFound, errs.InvalidInput, errs.InvalidRequestBody, errs.ActiveRequestAlreadyExists, errs.ClientVersionNotSupported, errs.DisabledFeature}}},
		{Method: http.MethodGet, Pattern: "/api/vedette/machines/{id}/livesessions", Need: need, Handle: a.ask, Doc: api.Doc{
			Summary: "Tell whether a live response session can be had with a device", Answer: outlookEntity{}, Bare: true, Errors: one}},
		get("", a.list, api.Doc{Summary: "List live response sessions", Params: odata.Params(spec()), Answer: []sessionEntity{}, Errors: []errs.Code{errs.ODataError}}),
		get("/{id}", a.get, api.Doc{Summary: "Get a live response session", Answer: sessionEntity{}, Errors: one, Bare: true}),
		get("/{id}/commands", a.commands, api.Doc{Summary: "List the commands of a live response session", Answer: []commandEntity{}, Errors: one}),
		get("/{id}/transcript", a.transcript, api.Doc{Summary: "Get the transcript of a live response session, as asciicast", AnswerMedia: "application/x-asciicast", Answer: "", Errors: one}),
		get("/{id}/files/{index}", a.file, api.Doc{Summary: "Get a file that a live response session brought", AnswerMedia: "application/octet-stream", Answer: "", Errors: []errs.Code{errs.ResourceNotFound, errs.InvalidInput}}),
		{Method: http.MethodPost, Pattern: root + "/{id}/end", Need: need, Handle: a.end, MaxBody: 64 << 10,
			Doc: api.Doc{Summary: "End a live response session", Answer: sessionEntity{}, Errors: one, Bare: true}},
		{Method: http.MethodGet, Pattern: root + "/{id}/socket", Open: "the ticket is its own permission: for one session, once, within a minute", Handle: a.socket,
			Doc: api.Doc{Summary: "The console of a live response session, as a WebSocket", Params: []api.Param{{Name: "ticket", Required: true, About: "of the answer that opened the session"}},
				Status: http.StatusSwitchingProtocols, Errors: []errs.Code{errs.Unauthorized, errs.BadRequest}}},
	}
}

func spec() odata.Spec { return odata.Spec{Fields: live.Fields, Entity: sessionEntity{}} }

func missing(err error, id string) error {
	if errs.Is(err, errs.NotFound) {
		return errs.New("live.session", errs.NotFound, errs.ResourceNotFound, "Live response session %s was not found", id)
	}
	return err
}

func sessionID(r *api.Request) (ident.ActionID, error) {
	id, ok := ident.ParseActionID(r.Var("id"))
	if !ok {
		return "", missing(errs.New("", errs.NotFound, "", ""), r.Var("id"))
	}
	return id, nil
}

func (a *API) ask(w http.ResponseWriter, r *api.Request) error {
	id, ok := ident.ParseDeviceID(r.Var("id"))
	var o *live.Outlook
	var err error = errs.New("live.ask", errs.NotFound, errs.ResourceNotFound, "Machine %s was not found", r.Var("id"))
	if ok {
		o, err = a.sessions.Ask(r.Context(), r.Caller, id)
	}
	if err != nil {
		return err
	}
	e := outlookEntity{Available: o.Reason == "" && o.Open == nil, Reason: o.Reason, Level: string(o.Level)}
	if o.Open != nil {
		n := sessionOf(o.Open)
		e.Open = &n
		if e.Reason == "" {
			e.Reason = o.Open.By.Name + " has a session with it: a device has one at a time"
		}
	}
	return api.WriteJSON(w, r, http.StatusOK, e)
}

func (a *API) open(w http.ResponseWriter, r *api.Request) error {
	id, ok := ident.ParseDeviceID(r.Var("id"))
	if !ok {
		return errs.New("live.open", errs.NotFound, errs.ResourceNotFound, "Machine %s was not found", r.Var("id"))
	}
	body, err := r.JSON()
	if err != nil {
		return err
	}
	q := live.Request{Device: id}
	if q.Comment, err = body.String("Comment"); err != nil {
		return err
	}
	level, err := body.String("Level")
	if err != nil {
		return err
	}
	q.Level = wire.LiveLevel(strings.ToLower(level))
	n, ticket, err := a.sessions.Open(r.Context(), r.Caller, q)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusCreated, openEntity{Session: sessionOf(n), Ticket: ticket,
		Socket: "/api/vedette/livesessions/" + string(n.ID) + "/socket", Commands: usable(n.Level)})
}

func (a *API) list(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, spec())
	if err != nil {
		return err
	}
	page, err := a.sessions.List(r.Context(), r.Caller.Tenant, o.Query)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, "/api/$metadata#LiveSessions", o, page, sessionOf)
}

func (a *API) get(w http.ResponseWriter, r *api.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	n, err := a.records.Get(r.Context(), r.Caller.Tenant, id)
	if err != nil {
		return missing(err, string(id))
	}
	return api.WriteJSON(w, r, http.StatusOK, sessionOf(n))
}

func (a *API) end(w http.ResponseWriter, r *api.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	n, err := a.sessions.End(r.Context(), r.Caller, id)
	if err != nil {
		return missing(err, string(id))
	}
	return api.WriteJSON(w, r, http.StatusOK, sessionOf(n))
}

func (a *API) commands(w http.ResponseWriter, r *api.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	all, err := a.records.Commands(r.Context(), r.Caller.Tenant, id)
	if err != nil {
		return missing(err, string(id))
	}
	out := make([]commandEntity, 0, len(all))
	for _, c := range all {
		e := commandEntity{Run: c.Run, Line: c.Line, Begun: stamp(c.Begun), Ended: stamp(c.Ended), Status: c.Status, Exit: c.Exit, Error: c.Error, Output: c.Output, Files: c.Files}
		if e.Files == nil {
			e.Files = []int{}
		}
		if !c.Ended.IsZero() {
			s := c.Ended.Sub(c.Begun).Seconds()
			e.Seconds = &s
		}
		out = append(out, e)
	}
	return api.WriteJSON(w, r, http.StatusOK, map[string]any{"@odata.context": r.BaseURL() + "/api/$metadata#LiveCommands", "value": out})
}

func (a *API) transcript(w http.ResponseWriter, r *api.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	n, f, err := a.records.Transcript(r.Context(), r.Caller.Tenant, id)
	if err != nil {
		return missing(err, string(id))
	}
	defer func() { _ = f.Close() }() // it is only read
	return content(w, r, f, "application/x-asciicast", string(n.ID)+".cast")
}

func (a *API) file(w http.ResponseWriter, r *api.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	index, err := strconv.Atoi(r.Var("index"))
	if err != nil || index < 0 {
		return errs.New("live.file", errs.Invalid, errs.InvalidInput, "index is %q, not the number of a file", r.Var("index"))
	}
	e, f, err := a.records.File(r.Context(), r.Caller.Tenant, id, index)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it is only read
	return content(w, r, f, "application/octet-stream", e.Name)
}

// content answers with a file that nobody's browser may take for a page.
func content(w http.ResponseWriter, r *api.Request, f *os.File, media, name string) error {
	api.Attachment(w.Header(), name, media)
	http.ServeContent(w, r.Request, "", time.Time{}, f)
	return nil
}
