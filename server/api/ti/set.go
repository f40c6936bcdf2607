package ti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/server/indicator"
)

// entitySet is what both entity sets do alike: entities E, with keys K, rendered as T.
type entitySet[E, T any, K ~int64] struct {
	name   string // in addresses
	member string // of the body of a bulk upload
	spec   odata.Spec
	fresh  func() *E
	key    func(*E) K
	read   func(*api.Object, *E) error // puts the members that are there into an entity
	render func(*E) T

	list      func(context.Context, filter.Query) (filter.Page[*E], error)
	create    func(context.Context, []*E) error
	update    func(context.Context, K, func(*E) error) (*E, error)
	remove    func(context.Context, K) error
	removeAll func(context.Context) error
}

// routes is all but reading entities, whose links differ.
func (s *entitySet[E, T, K]) routes() []api.Route {
	at := root + "/" + s.name
	return []api.Route{
		{Method: http.MethodGet, Pattern: at + "/$count", Handle: s.count},
		{Method: http.MethodPost, Pattern: at, Handle: s.post},
		{Method: http.MethodPost, Pattern: at + "/Actions.BulkUpload", MaxBody: maxBulk, Handle: s.upload},
		{Method: http.MethodPatch, Pattern: at + "({id})", Handle: s.patch},
		{Method: http.MethodDelete, Pattern: at + "({id})", Handle: removes(s.remove)},
		{Method: http.MethodDelete, Pattern: at, Handle: s.deleteAll},
	}
}

// context is the @odata.context of the set's answers.
func (s *entitySet[E, T, K]) context() string { return root + "/$metadata#" + s.name }

func (s *entitySet[E, T, K]) count(w http.ResponseWriter, r *api.Request) error {
	o, err := odata.Parse(r.Query, s.spec)
	if err != nil {
		return err
	}
	page, err := s.list(r.Context(), filter.Query{Where: o.Query.Where, Top: 1, Count: true})
	if err != nil {
		return err
	}
	return api.WriteText(w, http.StatusOK, strconv.FormatInt(page.Total, 10))
}

// post answers 201 with where the new entity is.
func (s *entitySet[E, T, K]) post(w http.ResponseWriter, r *api.Request) error {
	o, err := body(r)
	if err != nil {
		return err
	}
	e := s.fresh()
	if err := s.read(o, e); err != nil {
		return err
	}
	if err := s.create(r.Context(), []*E{e}); err != nil {
		return err
	}
	w.Header().Set("Location", r.BaseURL()+root+"/"+s.name+"("+strconv.FormatInt(int64(s.key(e)), 10)+")")
	return odata.WriteEntity(w, r, http.StatusCreated, s.context()+"/$entity", s.render(e))
}

func (s *entitySet[E, T, K]) upload(w http.ResponseWriter, r *api.Request) error {
	list, err := upload(r, s.member)
	if err != nil {
		return err
	}
	es := make([]*E, len(list))
	for n, o := range list {
		es[n] = s.fresh()
		if err := s.read(o.Fold(), es[n]); err != nil {
			return placed(fmt.Sprintf("%s[%d]", s.member, n), err)
		}
	}
	if err := s.create(r.Context(), es); err != nil {
		return err
	}
	return odata.WriteCollection(w, r, s.context(), odata.Options{}, pageOf(es...), s.render)
}

// upload reads the one list of a bulk upload, and refuses a list that is too long before
// its entities are read.
func upload(r *api.Request, name string) ([]*api.Object, error) {
	o, err := body(r)
	if err != nil {
		return nil, err
	}
	// As published, the object has exactly this one field: what else a client means to
	// upload would be lost without a word.
	for _, other := range o.Names() {
		if !strings.EqualFold(other, name) && !strings.HasPrefix(other, "@") {
			return nil, errs.New("ti.upload", errs.Invalid, errs.InvalidInput, "the body has the member %q; an upload has exactly one, %s", clip(other), name)
		}
	}
	list, err := o.Objects(name)
	if err != nil {
		return nil, err
	}
	if list == nil {
		return nil, errs.New("ti.upload", errs.Invalid, errs.MissingRequiredParameter, "Required parameter %s is missing", name)
	}
	if len(list) > indicator.MaxBulk {
		return nil, errs.New("ti.upload", errs.Invalid, errs.MaximumBatchSizeExceeded, "%s: received %d, allowed %d", name, len(list), indicator.MaxBulk)
	}
	return list, nil
}

// placed is an error that names the place in a bulk upload.
func placed(place string, err error) error {
	var e *errs.E
	if errors.As(err, &e) && !strings.Contains(e.Detail, place) {
		return &errs.E{Op: "ti.upload", Kind: e.Kind, Code: e.Code, Detail: place + ": " + e.Detail, Err: err}
	}
	return err
}

func (s *entitySet[E, T, K]) patch(w http.ResponseWriter, r *api.Request) error {
	n, err := id(r)
	if err != nil {
		return err
	}
	o, err := body(r)
	if err != nil {
		return err
	}
	e, err := s.update(r.Context(), K(n), func(e *E) error { return s.read(o, e) })
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, s.context()+"/$entity", s.render(e))
}

// removes answers a request to remove what the key in the path names.
func removes[K ~int64](remove func(context.Context, K) error) func(http.ResponseWriter, *api.Request) error {
	return func(w http.ResponseWriter, r *api.Request) error {
		n, err := id(r)
		if err != nil {
			return err
		}
		if err := remove(r.Context(), K(n)); err != nil {
			return err
		}
		return api.WriteEmpty(w, http.StatusNoContent)
	}
}

func (s *entitySet[E, T, K]) deleteAll(w http.ResponseWriter, r *api.Request) error {
	if err := s.removeAll(r.Context()); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}
