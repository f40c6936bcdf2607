package mde

import (
	"net/http"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/api"
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

// requests lists every such route.
var requests = []requestKind{
	{"isolate", action.Isolate, access.MachineIsolate, "Isolate a machine from the network", isolateBody{}, readIsolation},
	{"unisolate", action.Unisolate, access.MachineIsolate, "Release a machine from isolation", actionBody{}, nil},
	{"runAntiVirusScan", action.RunAntiVirusScan, access.MachineScan, "Scan a machine for malware", scanBody{}, readScan},
	{"restrictCodeExecution", action.RestrictCodeExecution, access.MachineRestrict, "Let a machine run nothing but what is trusted", actionBody{}, nil},
	{"unrestrictCodeExecution", action.AllowCodeExecution, access.MachineRestrict, "Let a machine run everything again", actionBody{}, nil},
	{"collectInvestigationPackage", action.CollectPackage, access.MachineCollect, "Collect an investigation package of a machine", actionBody{}, nil},
	{"StopAndQuarantineFile", action.StopAndQuarantineFile, access.MachineQuarantine, "Stop a file on a machine and put it into quarantine", fileActionBody{}, readFile},
	{"requestSample", action.RequestSample, access.MachineQuarantine, "Fetch a file of a machine; of before 2019", fileActionBody{}, readFile},
	{"offboard", action.Offboard, access.MachineOffboard, "Take a machine out of the service", actionBody{}, nil},
	{"runliveresponse", action.LiveResponse, access.MachineLive, "Run commands on a machine", liveBody{}, readCommands},
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
	q.ForceSelf, err = body.Bool("ForceSelf")
	return err
}

func readScan(body *api.Object, q *action.Request) (err error) {
	q.Scope, err = body.String("ScanType")
	return err
}

func readFile(body *api.Object, q *action.Request) (err error) {
	q.File, err = body.RequireString("Sha1")
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
	return &relatedFile{FileIdentifier: act.File, FileIdentifierType: "Sha1"}
}
