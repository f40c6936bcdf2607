package mde

import (
	"context"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/library"
)

// Library is what this package needs of library.Service.
type Library interface {
	List(ctx context.Context, tenant ident.TenantID, q filter.Query) (filter.Page[*library.File], error)
	Put(ctx context.Context, by *access.Principal, u library.Upload) (*library.File, error)
	Delete(ctx context.Context, by *access.Principal, name string) error
}

// libraryEntity is the published libraryFile.
type libraryEntity struct {
	FileName              string         `json:"fileName"`
	SHA256                string         `json:"sha256"`
	Description           *string        `json:"description"`
	CreationTime          odata.DateTime `json:"creationTime"`
	LastUpdatedTime       odata.DateTime `json:"lastUpdatedTime"`
	CreatedBy             string         `json:"createdBy"`
	HasParameters         bool           `json:"hasParameters"`
	ParametersDescription *string        `json:"parametersDescription"`
}

type uploadBody struct {
	File                  []byte `json:"file" doc:"required"`
	Description           string `json:"Description" doc:"max=4000"`
	ParametersDescription string `json:"ParametersDescription" doc:"max=4000"`
	HasParameters         bool   `json:"HasParameters"`
	OverrideIfExists      bool   `json:"OverrideIfExists"`
}

// formRoom is what an upload may have beside its file, in bytes.
const formRoom = 1 << 20

func (a *API) libraryRoutes() []api.Route {
	need := []access.Permission{access.LibraryManage}
	upload := post("/libraryfiles", need, a.putLibraryFile)
	upload.MaxBody = library.MaxSize + formRoom
	return []api.Route{
		get("/libraryfiles", need, a.getLibraryFiles), get("/libraryfiles/$count", need, a.countLibraryFiles), upload,
		{Method: http.MethodDelete, Pattern: "/api/libraryfiles/{id}", Need: need, Handle: a.deleteLibraryFile},
	}
}

func (a *API) librarySpec() odata.Spec { return a.spec(library.Fields, libraryEntity{}) }

func (a *API) libraryDocs() docs {
	name := api.Param{Name: "id", About: "The name of the file."}
	return docs{
		"GET /libraryfiles":        listed("List the files of the live response library", a.librarySpec(), []libraryEntity{}),
		"GET /libraryfiles/$count": numbered("Count the files of the live response library", a.librarySpec()),
		"POST /libraryfiles": {Summary: "Upload a file to the live response library, of at most 20 MB", Media: "multipart/form-data", Body: uploadBody{}, Answer: libraryEntity{},
			Errors: []errs.Code{errs.InvalidRequestBody, errs.MissingRequiredParameter, errs.InvalidInput, errs.QuotaExceeded}},
		"DELETE /libraryfiles/{id}": {Summary: "Delete a file of the live response library", Params: []api.Param{name}, Status: 204, Errors: []errs.Code{errs.ResourceNotFound}},
	}
}

func (a *API) getLibraryFiles(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, a.librarySpec())
	if err != nil {
		return err
	}
	page, err := a.library.List(r.Context(), r.Caller.Tenant, o.Query)
	if err != nil {
		return err
	}
	return odata.WriteCollection(w, r, kindOf("LibraryFiles"), o, page, libraryOf)
}

func (a *API) countLibraryFiles(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, a.librarySpec())
	if err != nil {
		return err
	}
	page, err := a.library.List(r.Context(), r.Caller.Tenant, filter.Query{Where: o.Query.Where, Top: 1, Count: true})
	if err != nil {
		return err
	}
	return counted(w, page.Total)
}

func (a *API) putLibraryFile(w http.ResponseWriter, r *api.Request) error {
	const op = "mde.putLibraryFile"
	if err := r.ParseMultipartForm(formRoom); err != nil {
		return &errs.E{Op: op, Kind: errs.Invalid, Code: errs.InvalidRequestBody, Err: err,
			Detail: "The body is not multipart/form-data of at most " + strconv.Itoa(library.MaxSize>>20) + " MB"}
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }() // temporary files, swept at the latest with the directory
	field := func(name string) string {
		for k, v := range r.MultipartForm.Value {
			if strings.EqualFold(k, name) && len(v) > 0 {
				return v[0]
			}
		}
		return ""
	}
	truth := func(name string) (bool, error) {
		s := field(name)
		if s == "" {
			return false, nil
		}
		b, err := strconv.ParseBool(strings.ToLower(s))
		if err != nil {
			return false, errs.New(op, errs.Invalid, errs.InvalidInput, "Invalid input: %s is %q, not true or false", name, s)
		}
		return b, nil
	}
	u := library.Upload{Description: field("Description"), Parameters: field("ParametersDescription")}
	var err error
	if u.Override, err = truth("OverrideIfExists"); err != nil {
		return err
	}
	if u.Parametered, err = truth("HasParameters"); err != nil {
		return err
	}
	u.Parametered = u.Parametered || u.Parameters != ""
	for k, parts := range r.MultipartForm.File {
		if !strings.EqualFold(k, "file") {
			continue
		}
		f, err := parts[0].Open()
		if err != nil {
			return errs.Wrap(op, err)
		}
		defer f.Close()
		// Browsers and scripts send the path they read the file from.
		u.Content, u.Name = f, path.Base(strings.ReplaceAll(parts[0].Filename, `\`, "/"))
	}
	if u.Content == nil {
		return errs.New(op, errs.Invalid, errs.MissingRequiredParameter, "Required parameter file is missing")
	}
	f, err := a.library.Put(r.Context(), r.Caller, u)
	if err != nil {
		return quotaAsInput(err)
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("LibraryFiles/$entity"), libraryOf(f))
}

func (a *API) deleteLibraryFile(w http.ResponseWriter, r *api.Request) error {
	err := a.library.Delete(r.Context(), r.Caller, r.Var("id"))
	if errs.Is(err, errs.NotFound) {
		return errs.New("mde.library", errs.NotFound, errs.ResourceNotFound, "File %s was not found", r.Var("id"))
	}
	if err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

func libraryOf(f *library.File) libraryEntity {
	return libraryEntity{FileName: f.Name, SHA256: f.SHA256, Description: optional(f.Description), CreationTime: stamp(f.Created),
		LastUpdatedTime: stamp(f.Updated), CreatedBy: f.By, HasParameters: f.Parametered, ParametersDescription: optional(f.Parameters)}
}
