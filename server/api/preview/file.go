package preview

import (
	"cmp"
	"net/http"

	"github.com/vedette-edr/vedette/server/action"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/indicator"
)

// FileAction is the published fileAction: that a file was blocked, or is not any more.
type FileAction struct {
	FileIdentifier        string         `json:"fileIdentifier"`
	FileIdentifierType    string         `json:"fileIdentifierType" doc:"enum=Sha1|Sha256|Md5"`
	ActionType            string         `json:"actionType" doc:"enum=Block|UnBlock"`
	FileStatus            string         `json:"fileStatus"`
	CreationDateTimeUTC   odata.DateTime `json:"creationDateTimeUtc"`
	Requestor             string         `json:"requestor"`
	RequestorComment      string         `json:"requestorComment"`
	CancellationRequestor *string        `json:"cancellationRequestor"`
	CancellationComment   *string        `json:"cancellationComment"`
	CancellationDateTime  odata.DateTime `json:"cancellationDateTimeUtc"`
	LastUpdateDateTimeUTC odata.DateTime `json:"lastUpdateDateTimeUtc"`
}

// The words of FileAction.
const (
	Block     = "Block"
	Blocked   = "Blocked"
	Unblock   = "UnBlock"
	Unblocked = "UnBlocked"
)

// ActionOn is the file action that an indicator of a file stands for.
func ActionOn(i *indicator.Indicator, verb, status string) FileAction {
	kind := map[indicator.Type]string{indicator.FileSHA256: "Sha256", indicator.FileMD5: "Md5"}[i.Type]
	updated := i.Modified
	if updated.IsZero() {
		updated = i.Created
	}
	return FileAction{FileIdentifier: i.Value, FileIdentifierType: cmp.Or(kind, "Sha1"), ActionType: verb, FileStatus: status,
		CreationDateTimeUTC: stamp(i.Created), LastUpdateDateTimeUTC: stamp(updated),
		Requestor: cmp.Or(i.CreatedByName, i.CreatedBy), RequestorComment: i.Description}
}

// fileActions lists the files that an indicator blocks. An unblocked one has no indicator
// any more: it stands in the audit record.
func (a *API) fileActions(w http.ResponseWriter, r *api.Request) error {
	blocking := filter.And{
		is(indicator.Fields, "indicatorType", string(indicator.FileSHA1), string(indicator.FileSHA256), string(indicator.FileMD5)),
		is(indicator.Fields, "action", string(indicator.Block), string(indicator.BlockAndRemediate), string(indicator.AlertAndBlock)),
	}
	render := func(i *indicator.Indicator) FileAction { return ActionOn(i, Block, Blocked) }
	return page(w, r, "FileActions", render, func(q filter.Query) (filter.Page[*indicator.Indicator], error) {
		q.Where = blocking
		return a.Indicators.Indicators(r.Context(), q)
	})
}

type fileMachineAction struct {
	ID                    string         `json:"id"`
	SHA1                  *string        `json:"sha1"`
	Type                  string         `json:"type"`
	Requestor             string         `json:"requestor"`
	RequestorComment      string         `json:"requestorComment"`
	Status                string         `json:"status"`
	FileID                *string        `json:"fileId"`
	MachineID             string         `json:"machineId"`
	CreationDateTimeUTC   odata.DateTime `json:"creationDateTimeUtc"`
	LastUpdateDateTimeUTC odata.DateTime `json:"lastUpdateDateTimeUtc"`
	FileInstances         []fileInstance `json:"fileInstances"`
}

type fileInstance struct {
	FilePath string `json:"filePath"`
	Status   string `json:"status"`
}

func actionOf(act *action.Action) fileMachineAction {
	return fileMachineAction{ID: string(act.ID), SHA1: optional(act.File), Type: string(act.Kind), Requestor: cmp.Or(act.Requestor.Name, act.Requestor.ID),
		RequestorComment: act.Comment, Status: string(act.State.Status()), FileID: optional(act.File), MachineID: string(act.Device),
		CreationDateTimeUTC: stamp(act.Created), LastUpdateDateTimeUTC: stamp(act.Updated), FileInstances: []fileInstance{}}
}

// onFiles are the actions on files.
var onFiles = [...]action.Kind{action.StopAndQuarantineFile, action.RequestSample}

func (a *API) fileMachineActions(w http.ResponseWriter, r *api.Request) error {
	kinds := is(action.Fields, "type", string(onFiles[0]), string(onFiles[1]))
	return page(w, r, "FileMachineActions", actionOf, func(q filter.Query) (filter.Page[*action.Action], error) {
		q.Where = kinds
		return a.Actions.List(r.Context(), r.Caller.Tenant, q)
	})
}

func (a *API) fileMachineAction(w http.ResponseWriter, r *api.Request) error {
	missing := errs.New("preview.fileMachineAction", errs.NotFound, errs.ResourceNotFound, "File machine action %.64s was not found", r.Var("id"))
	id, ok := ident.ParseActionID(r.Var("id"))
	if !ok {
		return missing
	}
	act, err := a.Actions.Get(r.Context(), r.Caller.Tenant, id)
	if errs.Is(err, errs.NotFound) || err == nil && act.Kind != onFiles[0] && act.Kind != onFiles[1] {
		return missing
	}
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("FileMachineActions/$entity"), actionOf(act))
}
