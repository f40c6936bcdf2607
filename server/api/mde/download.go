package mde

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// How long the links to what actions yielded are good.
const (
	packageLife = 15 * time.Minute
	liveLife    = 30 * time.Minute // published
)

type valueEntity struct {
	Value string `json:"value"`
}

// getPackageURI answers with the link as a quoted string within the string, as the
// published API does and its clients undo.
func (a *API) getPackageURI(w http.ResponseWriter, r *api.Request) error {
	link, err := a.link(r, 0, packageLife)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Edm.String"), valueEntity{`"` + link + `"`})
}

func (a *API) getLiveLink(w http.ResponseWriter, r *api.Request) error {
	n, err := strconv.Atoi(r.Var("index"))
	if err != nil || n < 0 {
		return errs.New("mde.link", errs.Invalid, errs.InvalidInput, "Invalid input: index is %q, not the number of a command", r.Var("index"))
	}
	link, err := a.link(r, n, liveLife)
	if err != nil {
		return err
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Edm.String"), valueEntity{link})
}

// link makes the address of what the action that the path names yielded at an index.
func (a *API) link(r *api.Request, index int, life time.Duration) (string, error) {
	id, err := actionID(r)
	if err != nil {
		return "", err
	}
	if _, err := a.actions.Get(r.Context(), r.Caller.Tenant, id); err != nil {
		return "", noAction(err, string(id))
	}
	if err := a.actions.Grant(r.Context(), r.Caller, id, index); err != nil {
		return "", err
	}
	by := r.Caller.Actor
	text := strings.Join([]string{string(r.Caller.Tenant), string(id), strconv.Itoa(index), strconv.FormatInt(a.now().Add(life).Unix(), 10), string(by.Kind), by.ID, by.Name}, "/")
	return r.BaseURL() + "/api/vedette/downloads/" + base64.RawURLEncoding.EncodeToString(append(a.sign(text), text...)), nil
}

func (a *API) sign(text string) []byte {
	h := hmac.New(sha256.New, a.linkKey)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// download answers a link with the file. What is wrong with a link is not told.
func (a *API) download(w http.ResponseWriter, r *api.Request) error {
	gone := errs.New("mde.download", errs.NotFound, errs.ResourceNotFound, "The link is not valid, or not any more: ask for another one")
	raw, err := base64.RawURLEncoding.DecodeString(r.Var("ticket"))
	if err != nil || len(raw) <= sha256.Size || len(a.linkKey) == 0 {
		return gone
	}
	text := string(raw[sha256.Size:])
	parts := strings.SplitN(text, "/", 7) // the actor's name is the last, and may hold anything
	if !hmac.Equal(raw[:sha256.Size], a.sign(text)) || len(parts) != 7 {
		return gone
	}
	index, _ := strconv.Atoi(parts[2]) // we wrote it: the signature says so
	until, _ := strconv.ParseInt(parts[3], 10, 64)
	if a.now().Unix() >= until {
		return gone
	}
	by := ident.Actor{Kind: ident.ActorKind(parts[4]), ID: parts[5], Name: parts[6], Tenant: ident.TenantID(parts[0])}
	part := r.Header.Get("Range")
	file, f, err := a.actions.Redeem(r.Context(), by, ident.ActionID(parts[1]), index, part != "" && !strings.HasPrefix(part, "bytes=0-"))
	if errs.Is(err, errs.NotFound) {
		return gone
	}
	if err != nil {
		return err
	}
	defer f.Close()
	h := w.Header()
	media := "application/octet-stream"
	if strings.HasSuffix(file.Name, ".json") {
		media = "application/json"
	}
	api.Attachment(h, file.Name, media)
	h.Set("Cache-Control", "no-store")
	h.Set("ETag", `"`+file.SHA256+`"`) // what a broken download goes on by
	http.ServeContent(w, r.Request, "", time.Time{}, f)
	return nil
}
