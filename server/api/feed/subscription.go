package feed

import (
	"net/http"
	"time"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
	"github.com/vedette-edr/vedette/server/notify"
)

// subscription is a subscription as it is answered.
type subscription struct {
	ID              string    `json:"id"`
	NotificationURL string    `json:"notificationUrl"`
	ClientState     string    `json:"clientState"`
	Resource        string    `json:"resource"`
	ChangeType      string    `json:"changeType"`
	Expires         time.Time `json:"expirationDateTime"`
}

// subscriptionBody is the body that subscribes. secret is ours: with it each call is
// signed.
type subscriptionBody struct {
	NotificationURL string `json:"notificationUrl" doc:"required,max=2048"`
	ClientState     string `json:"clientState" doc:"max=1024"`
	Resource        string `json:"resource" doc:"required,enum=alerts"`
	ChangeType      string `json:"changeType" doc:"required,enum=created"`
	Expires         string `json:"expirationDateTime" doc:"required,format=date-time"`
	Secret          string `json:"secret" doc:"max=256"`
}

// renewalBody is the body that lets a subscription end at another time.
type renewalBody struct {
	Expires string `json:"expirationDateTime" doc:"required,format=date-time"`
}

func show(s *notify.Subscription) subscription {
	return subscription{ID: string(s.ID), NotificationURL: s.URL, ClientState: s.ClientState, Resource: s.Resource, ChangeType: s.ChangeType, Expires: s.Expires.UTC()}
}

func (a *API) list(w http.ResponseWriter, r *api.Request) error {
	all, err := a.Subscriptions.Subscriptions(r.Context(), r.Caller.Tenant)
	if err != nil {
		return err
	}
	out := []subscription{}
	for _, s := range all {
		out = append(out, show(s))
	}
	return api.WriteJSON(w, r, http.StatusOK, map[string]any{"value": out})
}

func (a *API) subscribe(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	var s notify.Subscription
	for _, m := range []struct {
		name     string
		to       *string
		required bool
	}{{"notificationUrl", &s.URL, true}, {"resource", &s.Resource, true}, {"changeType", &s.ChangeType, true}, {"clientState", &s.ClientState, false}, {"secret", &s.Secret, false}} {
		read := body.String
		if m.required {
			read = body.RequireString
		}
		if *m.to, err = read(m.name); err != nil {
			return err
		}
	}
	if s.Expires, err = expiry(body); err != nil {
		return err
	}
	out, err := a.Subscriptions.Subscribe(r.Context(), r.Caller, s)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusCreated, show(out))
}

func expiry(body *api.Object) (time.Time, error) {
	if _, err := body.RequireString("expirationDateTime"); err != nil {
		return time.Time{}, err
	}
	return body.Time("expirationDateTime")
}

func (a *API) renew(w http.ResponseWriter, r *api.Request) error {
	body, err := r.JSON()
	if err != nil {
		return err
	}
	until, err := expiry(body)
	if err != nil {
		return err
	}
	out, err := a.Subscriptions.Renew(r.Context(), r.Caller, ident.SubscriptionID(r.Var("id")), until)
	if err != nil {
		return err
	}
	return api.WriteJSON(w, r, http.StatusOK, show(out))
}

func (a *API) unsubscribe(w http.ResponseWriter, r *api.Request) error {
	if err := a.Subscriptions.Unsubscribe(r.Context(), r.Caller, ident.SubscriptionID(r.Var("id"))); err != nil {
		return errs.Wrap("feed.unsubscribe", err)
	}
	return api.WriteEmpty(w, http.StatusNoContent)
}
