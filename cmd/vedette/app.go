package main

import (
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/vedette-edr/vedette/client"
)

const appPath = "/api/vedette/applications"

type appCommand struct {
	List        appList        `cmd:"" help:"List API applications."`
	Create      appCreate      `cmd:"" help:"Register an API application; its secret is shown once."`
	Get         appGet         `cmd:"" help:"Show an API application with its secrets."`
	Update      appUpdate      `cmd:"" help:"Replace name and permissions of an API application; its secrets stay."`
	Rotate      appRotate      `cmd:"" help:"Give an application one more secret, shown once. Remove the old one when nobody uses it any more."`
	Remove      appRemove      `cmd:"" name:"remove-secret" help:"Remove a secret of an application."`
	Certificate appCertificate `cmd:"" help:"Let an application sign in with a certificate."`
	Disable     appDisable     `cmd:"" help:"Keep an application from signing in; its tokens end at once."`
	Enable      appEnable      `cmd:"" help:"Let an application sign in again."`
	Delete      appDelete      `cmd:"" help:"Delete an application; its tokens end at once."`
}

// do sends a request whose answer is of no interest.
func (s *session) do(method, path string, body any) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	return c.Do(s.ctx, method, path, body, nil)
}

// all lists what is answered in one piece.
func all[T any](s *session, path string, header []string, row func(T) []string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	items, err := client.All[T](s.ctx, c, path, client.List{})
	if err != nil {
		return err
	}
	cells := make([][]string, len(items))
	for i, it := range items {
		cells[i] = row(it)
	}
	return s.out.rows(items, header, cells)
}

// send sends a request and prints its answer.
func send[T any](s *session, method, path string, body any, show func(T) [][2]string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var out T
	if err := c.Do(s.ctx, method, path, body, &out); err != nil {
		return err
	}
	return s.out.one(out, show(out))
}

type appList struct{}

func (*appList) Run(s *session) error {
	return all(s, appPath, []string{"NAME", "CREATED", "LAST USED", "DISABLED", "CLIENT ID", "PERMISSIONS"}, func(a client.Application) []string {
		return []string{a.Name, when(a.Created), when(a.LastUsed), when(a.Disabled), a.ID, strings.Join(a.Roles, ",")}
	})
}

// appFlags is what an application is made of.
type appFlags struct {
	Role      []string `help:"Permission of its own, such as Alert.Read.All; may be given several times. Without it the application may do nothing by itself."`
	Delegated []string `help:"Permission that people may delegate to it, such as Alert.Read; without it those that go with --role."`
	Public    bool     `help:"It runs on people's machines and keeps no secret: people sign in for it."`
	Redirect  []string `help:"Address that people are sent back to after they signed in, such as http://localhost."`
}

func (f *appFlags) body(name string) map[string]any {
	b := map[string]any{"name": name, "roles": f.Role, "isPublicClient": f.Public, "redirectUris": f.Redirect}
	if f.Delegated != nil {
		b["delegatedPermissions"] = f.Delegated
	}
	return b
}

func showApp(a client.Application) [][2]string {
	out := [][2]string{{"Name", a.Name}, {"Client id", a.ID}}
	if a.Secret != "" {
		out = append(out, [2]string{"Client secret", a.Secret})
	}
	out = append(out, [2]string{"Permissions", strings.Join(a.Roles, ", ")}, [2]string{"Delegated", strings.Join(a.Delegated, ", ")},
		[2]string{"Redirects", strings.Join(a.Redirects, ", ")}, [2]string{"Last used", when(a.LastUsed)}, [2]string{"Disabled", when(a.Disabled)})
	for _, k := range a.Secrets {
		out = append(out, [2]string{"Secret " + k.ID, k.Hint + "… " + k.Name + " expires " + when(k.Expires) + ", last used " + when(k.LastUsed)})
	}
	return out
}

type appCreate struct {
	Name string `arg:"" help:"Name of the application."`
	appFlags
	Days int `help:"Days that its secret is good for; 0 for ever." default:"0"`
}

func (a *appCreate) Run(s *session) error {
	b := a.body(a.Name)
	b["secretLifeInDays"] = a.Days
	return send(s, http.MethodPost, appPath, b, showApp)
}

type appGet struct {
	ID string `arg:"" help:"Client id of the application."`
}

func (a *appGet) Run(s *session) error {
	return send(s, http.MethodGet, appPath+"/"+url.PathEscape(a.ID), nil, showApp)
}

type appUpdate struct {
	ID   string `arg:"" help:"Client id of the application."`
	Name string `arg:"" help:"Name of the application."`
	appFlags
}

func (a *appUpdate) Run(s *session) error {
	return send(s, http.MethodPut, appPath+"/"+url.PathEscape(a.ID), a.body(a.Name), showApp)
}

type appRotate struct {
	ID   string `arg:"" help:"Client id of the application."`
	Name string `help:"What the secret is for."`
	Days int    `help:"Days that it is good for; 0 for ever." default:"0"`
}

func (a *appRotate) Run(s *session) error {
	return send(s, http.MethodPost, appPath+"/"+url.PathEscape(a.ID)+"/secrets", map[string]any{"displayName": a.Name, "lifeInDays": a.Days},
		func(k client.Secret) [][2]string {
			return [][2]string{{"Secret id", k.ID}, {"Client secret", k.Text}, {"Expires", when(k.Expires)}}
		})
}

type appRemove struct {
	ID     string `arg:"" help:"Client id of the application."`
	Secret string `arg:"" help:"Id of the secret."`
}

func (a *appRemove) Run(s *session) error {
	return s.do(http.MethodDelete, appPath+"/"+url.PathEscape(a.ID)+"/secrets/"+url.PathEscape(a.Secret), nil)
}

type appCertificate struct {
	ID   string `arg:"" help:"Client id of the application."`
	File string `arg:"" help:"PEM file of the certificate." type:"existingfile"`
	Name string `help:"What the certificate is for."`
}

func (a *appCertificate) Run(s *session) error {
	raw, err := os.ReadFile(a.File)
	if err != nil {
		return err
	}
	return s.do(http.MethodPost, appPath+"/"+url.PathEscape(a.ID)+"/certificates", map[string]string{"displayName": a.Name, "certificate": string(raw)})
}

type appDisable struct {
	ID string `arg:"" help:"Client id of the application."`
}

func (a *appDisable) Run(s *session) error {
	return s.do(http.MethodPost, appPath+"/"+url.PathEscape(a.ID)+"/disable", nil)
}

type appEnable struct {
	ID string `arg:"" help:"Client id of the application."`
}

func (a *appEnable) Run(s *session) error {
	return s.do(http.MethodPost, appPath+"/"+url.PathEscape(a.ID)+"/enable", nil)
}

type appDelete struct {
	ID string `arg:"" help:"Client id of the application."`
}

func (a *appDelete) Run(s *session) error {
	return s.do(http.MethodDelete, appPath+"/"+url.PathEscape(a.ID), nil)
}
