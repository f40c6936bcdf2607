package mde

import (
	"net/http"

	"github.com/vedette-edr/vedette/server/alert"
	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/api/odata"
	"github.com/vedette-edr/vedette/server/errs"
)

func (a *API) getAlertMachine(w http.ResponseWriter, r *api.Request) error {
	al, err := a.alert(r)
	if err != nil {
		return err
	}
	d, err := a.devices.Get(r.Context(), r.Caller.Tenant, al.Device)
	if err != nil {
		return err
	}
	return a.writeMachine(w, r, d)
}

// writeRelated answers with the distinct things that an alert's evidence yields.
func writeRelated[E comparable](a *API, w http.ResponseWriter, r *api.Request, set string, of func(*alert.Evidence) (E, bool)) error {
	al, err := a.alert(r)
	if err != nil {
		return err
	}
	var out []E
	seen := map[E]bool{}
	for i := range al.Evidence {
		if e, ok := of(&al.Evidence[i]); ok && !seen[e] {
			seen[e] = true
			out = append(out, e)
		}
	}
	return derived(a, w, r, set, out)
}

func (a *API) getAlertIPs(w http.ResponseWriter, r *api.Request) error {
	return writeRelated(a, w, r, "Ips", func(v *alert.Evidence) (ipReference, bool) {
		return ipReference{ID: v.IP}, v.IP != ""
	})
}

func (a *API) getAlertDomains(w http.ResponseWriter, r *api.Request) error {
	return writeRelated(a, w, r, "Domains", func(v *alert.Evidence) (domainReference, bool) {
		host := alert.Host(v.URL)
		return domainReference{Host: host}, host != ""
	})
}

// hashes is what tells the files of an alert apart.
type hashes struct{ sha1, sha256 string }

func (a *API) getAlertFiles(w http.ResponseWriter, r *api.Request) error {
	al, err := a.alert(r)
	if err != nil {
		return err
	}
	var out []fileEntity
	seen := map[hashes]bool{}
	for i := range al.Evidence {
		v := &al.Evidence[i]
		key := hashes{v.SHA1, v.SHA256}
		if key == (hashes{}) || seen[key] {
			continue
		}
		seen[key] = true
		out = append(out, fileEntity{SHA1: optional(v.SHA1), SHA256: optional(v.SHA256)})
	}
	return derived(a, w, r, "Files", out)
}

func (a *API) getAlertUser(w http.ResponseWriter, r *api.Request) error {
	al, err := a.alert(r)
	if err != nil {
		return err
	}
	if al.User.Name == "" {
		return errs.New("mde.alertUser", errs.NotFound, errs.ResourceNotFound, "Alert %s names no user", al.ID)
	}
	return odata.WriteEntity(w, r, http.StatusOK, kindOf("Users/$entity"), user(al.User.Domain, al.User.Name, userID(al)))
}

// userID returns the SID of the alert's user, "" when no evidence tells it.
func userID(al *alert.Alert) string {
	for i := range al.Evidence {
		if v := &al.Evidence[i]; v.Account == al.User.Name && v.Domain == al.User.Domain && v.UserID != "" {
			return v.UserID
		}
	}
	return ""
}
