package expert

import (
	"net/http"
	"strconv"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/expert"
)

// receiverBody is the body that creates or changes a receiver; a change leaves out what stays.
// secret signs what the web hook gets and is never answered.
type receiverBody struct {
	Name    string   `json:"name" doc:"max=256"`
	About   string   `json:"about" doc:"max=1000"`
	Enabled bool     `json:"enabled"`
	Mail    []string `json:"mail" doc:"max=10"`
	URL     string   `json:"webhookUrl" doc:"max=2048"`
	Secret  string   `json:"secret" doc:"max=256"`
	Hand    string   `json:"handover" doc:"enum=Link|Attachment"`
	Keys    []string `json:"keys" doc:"max=10"` // public keys of age or ssh
	Plain   bool     `json:"allowPlain"`        // attachments of mail may go without encryption
	Most    int64    `json:"maxBytes"`
	Hours   int64    `json:"linkHours"`
	Base    string   `json:"linkBase" doc:"max=2048"`
	Groups  []int64  `json:"rbacGroupIds" doc:"max=100"` // of machines whose cases may go there; empty for all
}

// receiverEntity is a receiver as it is answered.
type receiverEntity struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	About     string    `json:"about"`
	Enabled   bool      `json:"enabled"`
	Mail      []string  `json:"mail"`
	URL       string    `json:"webhookUrl"`
	Signed    bool      `json:"signed"`
	Hand      string    `json:"handover"`
	Keys      []string  `json:"keys"`
	Plain     bool      `json:"allowPlain"`
	Most      int64     `json:"maxBytes"`
	Hours     int64     `json:"linkHours"`
	Base      string    `json:"linkBase"`
	Groups    []int64   `json:"rbacGroupIds"`
	CreatedBy string    `json:"createdBy"`
	Created   time.Time `json:"createdTime"`
	UpdatedBy string    `json:"lastUpdatedBy"`
	Updated   time.Time `json:"lastUpdateTime"`
}

// answerEntity is what a receiver said to a test.
type answerEntity struct {
	Answer string `json:"answer"`
}

func showReceiver(x *expert.Receiver) receiverEntity {
	return receiverEntity{ID: int64(x.ID), Name: x.Name, About: x.About, Enabled: x.Enabled, Mail: append([]string{}, x.Mail...), URL: x.URL, Signed: x.Secret != "",
		Hand: string(x.Hand), Keys: append([]string{}, x.Keys...), Plain: x.Plain, Most: x.MaxBytes, Hours: int64(x.Life / time.Hour), Base: x.Base,
		Groups: append([]int64{}, x.Groups...), CreatedBy: x.CreatedBy.Name, Created: x.Created.UTC(), UpdatedBy: x.UpdatedBy.Name, Updated: x.Updated.UTC()}
}

type values struct {
	Value []receiverEntity `json:"value"`
}

func (a *API) listReceivers(w http.ResponseWriter, r *api.Request) error {
	rs, err := a.receivers.Receivers(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	out := values{[]receiverEntity{}}
	for _, x := range rs {
		out.Value = append(out.Value, showReceiver(x))
	}
	return api.WriteJSON(w, r, http.StatusOK, out)
}

func (a *API) getReceiver(w http.ResponseWriter, r *api.Request) error {
	x, err := a.receivers.Receiver(r.Context(), r.Caller.Tenant, number(r))
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, showReceiver(x))
}

// read sets on a receiver what the body holds.
func read(body *api.Object, x *expert.Receiver) error {
	var err error
	hand := string(x.Hand)
	for name, to := range map[string]*string{"name": &x.Name, "about": &x.About, "webhookUrl": &x.URL, "secret": &x.Secret, "handover": &hand, "linkBase": &x.Base} {
		if body.Has(name) {
			if *to, err = body.String(name); err != nil {
				return err
			}
		}
	}
	x.Hand = expert.Hand(hand)
	for name, to := range map[string]*bool{"enabled": &x.Enabled, "allowPlain": &x.Plain} {
		if body.Has(name) {
			if *to, err = body.Bool(name); err != nil {
				return err
			}
		}
	}
	for name, to := range map[string]*[]string{"mail": &x.Mail, "keys": &x.Keys} {
		if body.Has(name) {
			if *to, err = body.Strings(name); err != nil {
				return err
			}
		}
	}
	if body.Has("maxBytes") {
		if x.MaxBytes, err = body.Int("maxBytes"); err != nil {
			return err
		}
	}
	if body.Has("linkHours") {
		n, err := body.Int("linkHours")
		if err != nil {
			return err
		}
		if n < 0 || n > 1<<20 {
			return errs.New("expert.receiver", errs.Invalid, errs.InvalidInput, "linkHours: it is a number of hours")
		}
		x.Life = time.Duration(n) * time.Hour
	}
	if !body.Has("rbacGroupIds") {
		return nil
	}
	texts, err := body.Texts("rbacGroupIds")
	if err != nil {
		return err
	}
	x.Groups = nil
	for i, t := range texts {
		n, err := strconv.ParseInt(t, 10, 64)
		if err != nil || n < 0 {
			return errs.New("expert.receiver", errs.Invalid, errs.InvalidInput, "rbacGroupIds[%d] is no id of a device group", i)
		}
		x.Groups = append(x.Groups, n)
	}
	return nil
}

func (a *API) createReceiver(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	x := expert.Receiver{Enabled: true}
	if err := read(body, &x); err != nil {
		return err
	}
	out, err := a.receivers.CreateReceiver(r.Context(), r.Caller, x)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusCreated, showReceiver(out))
}

func (a *API) updateReceiver(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	out, err := a.receivers.UpdateReceiver(r.Context(), r.Caller, number(r), func(x *expert.Receiver) error { return read(body, x) })
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, showReceiver(out))
}

func (a *API) deleteReceiver(w http.ResponseWriter, r *api.Request) error {
	if err := a.receivers.DeleteReceiver(r.Context(), r.Caller, number(r)); err != nil {
		return err
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}

func (a *API) testReceiver(w http.ResponseWriter, r *api.Request) error {
	answer, err := a.receivers.TestReceiver(r.Context(), r.Caller, number(r))
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, answerEntity{answer})
}
