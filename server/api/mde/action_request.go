package mde

import (
	"net/http"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
)

// requestKind is a route that asks for an action on a machine.
type requestKind struct {
	path    string // below /machines/{id}/
	kind    action.Kind
	need    access.Permission
	summary string
	body    any // for the document
	// read reads what the kind takes beside Comment and ExternalId; nil for nothing.
	read func(*api.Object, *action.Request) error
}

type scanBody struct {
	actionBody
	ScanType string `json:"ScanType" doc:"enum=Quick|Full"`
}

type fileActionBody struct {
	actionBody
	SHA1 string `json:"Sha1" doc:"required"`
}

type liveBody struct {
	actionBody
	Commands []command `json:"Commands" doc:"required,max=100"`
}

type restrictBody struct {
	actionBody
	Allow *struct {
		Hashes      []string `json:"Hashes" doc:"max=1000"`
		Directories []string `json:"Directories" doc:"max=64"`
	} `json:"Allow"`
}

type notifyBody struct {
	actionBody
	Message string `json:"Message" doc:"required,max=1000"`
	Title   string `json:"Title" doc:"max=100"`
	Level   string `json:"Level" doc:"enum=Low|Normal|Critical"`
}

// requests lists every such route.
var requests = []requestKind{
	{"isolate", action.Isolate, access.MachineIsolate, "Isolate a machine from the network", isolateBody{}, readIsolation},
	{"unisolate", action.Unisolate, access.MachineIsolate, "Release a machine from isolation", actionBody{}, nil},
	{"runAntiVirusScan", action.RunAntiVirusScan, access.MachineScan, "Scan a machine for malware", scanBody{}, readScan},
	{"restrictCodeExecution", action.RestrictCodeExecution, access.MachineRestrict, "Let a machine run nothing but what is trusted", restrictBody{}, readRestriction},
	{"unrestrictCodeExecution", action.AllowCodeExecution, access.MachineRestrict, "Let a machine run everything again", actionBody{}, nil},
	{"collectInvestigationPackage", action.CollectPackage, access.MachineCollect, "Collect an investigation package of a machine", actionBody{}, nil},
	{"StopAndQuarantineFile", action.StopAndQuarantineFile, access.MachineQuarantine, "Stop a file on a machine and put it into quarantine", fileActionBody{}, readFile},
	{"requestSample", action.RequestSample, access.MachineQuarantine, "Fetch a file of a machine; of before 2019", fileActionBody{}, readFile},
	{"offboard", action.Offboard, access.MachineOffboard, "Take a machine out of the service", actionBody{}, nil},
	{"runliveresponse", action.LiveResponse, access.MachineLive, "Run commands on a machine", liveBody{}, readCommands},
}

// ownRequests are those that the published API does not have, below /api/vedette.
var ownRequests = []requestKind{
	{"notifyUser", action.NotifyUser, access.MachineRestrict, "Show a message to the users of a machine", notifyBody{}, readMessage},
}

func (a *API) requestOf(k requestKind) api.Handler {
	return func(w http.ResponseWriter, r *api.Request) error {
		body, err := r.JSON()
		if err != nil {
			return err
		}
		q := action.Request{Kind: k.kind}
		if k.read != nil {
			if err := k.read(body, &q); err != nil {
				return err
			}
		}
		return a.request(w, r, body, q)
	}
}

func readIsolation(body *api.Object, q *action.Request) (err error) {
	if q.Scope, err = body.String("IsolationType"); err != nil {
		return err
	}
	if q.ForceSelf, err = body.Bool("ForceSelf"); err != nil || !body.Has("Allow") || body.IsNull("Allow") {
		return err
	}
	allow, err := body.Object("Allow")
	if err != nil {
		return err
	}
	q.Allow = &action.IsolationAllow{}
	if q.Allow.Targets, err = allow.Texts("Addresses"); err != nil {
		return err
	}
	if q.Allow.Programs, err = allow.Texts("Programs"); err != nil {
		return err
	}
	q.Allow.Cgroups, err = allow.Texts("Cgroups")
	return err
}

func readRestriction(body *api.Object, q *action.Request) error {
	if !body.Has("Allow") || body.IsNull("Allow") {
		return nil
	}
	allow, err := body.Object("Allow")
	if err != nil {
		return err
	}
	q.Trust = &action.Trust{}
	if q.Trust.Hashes, err = allow.Texts("Hashes"); err != nil {
		return err
	}
	q.Trust.Directories, err = allow.Texts("Directories")
	return err
}

func readMessage(body *api.Object, q *action.Request) (err error) {
	q.Message = &action.Message{}
	if q.Message.Text, err = body.RequireString("Message"); err != nil {
		return err
	}
	if q.Message.Title, err = body.String("Title"); err != nil {
		return err
	}
	q.Message.Level, err = body.String("Level")
	return err
}

func readScan(body *api.Object, q *action.Request) (err error) {
	q.Scope, err = body.String("ScanType")
	return err
}

func readFile(body *api.Object, q *action.Request) (err error) {
	if q.File, err = body.RequireString("Sha1"); err == nil && len(strings.TrimSpace(q.File)) > 40 {
		err = errs.New("mde.file", errs.Invalid, errs.InvalidHashValue, "Sha1 %q is not a SHA-1 in hexadecimal", q.File)
	}
	return err
}

func readCommands(body *api.Object, q *action.Request) error {
	list, err := body.Objects("Commands")
	if err != nil {
		return err
	}
	for _, o := range list {
		var c action.LiveCommand
		o = o.Fold() // clients write Type and type, Params and params
		kind, err := o.RequireString("type")
		if err != nil {
			return err
		}
		c.Kind = action.LiveKind(kind)
		params, err := o.Objects("params")
		if err != nil {
			return err
		}
		for _, p := range params {
			p = p.Fold()
			key, err := p.RequireString("key")
			if err != nil {
				return err
			}
			value, err := p.String("value")
			if err != nil {
				return err
			}
			c.Params = append(c.Params, action.Param{Key: key, Value: value})
		}
		q.Commands = append(q.Commands, c)
	}
	return nil
}

func commandsOf(act *action.Action) []commandState {
	out := make([]commandState, len(act.Commands))
	for i, c := range act.Commands {
		out[i] = commandState{Index: int64(i), StartTime: stamp(c.Start), EndTime: stamp(c.End), CommandStatus: c.Status, Errors: list(c.Errors),
			Command: command{Type: string(c.Kind), Params: []commandParam{}}}
		for _, p := range c.Params {
			out[i].Command.Params = append(out[i].Command.Params, commandParam{Key: p.Key, Value: p.Value})
		}
	}
	return out
}

func relatedTo(act *action.Action) *relatedFile {
	if act.File == "" {
		return nil
	}
	if len(act.File) == 64 {
		return &relatedFile{FileIdentifier: act.File, FileIdentifierType: "Sha256"}
	}
	return &relatedFile{FileIdentifier: act.File, FileIdentifierType: "Sha1"}
}
