package main

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/vedette-edr/vedette/client"
)

type appCommand struct {
	List    appList    `cmd:"" help:"List API applications."`
	Create  appCreate  `cmd:"" help:"Register an API application; its secret is shown once."`
	Disable appDisable `cmd:"" help:"Keep an application from signing in; its tokens end at once."`
}

type appList struct{}

func (*appList) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	apps, err := client.All[client.Application](s.ctx, c, "/api/vedette/applications", client.List{})
	if err != nil {
		return err
	}
	cells := make([][]string, len(apps))
	for i, a := range apps {
		cells[i] = []string{a.Name, when(a.Created), when(a.Disabled), a.ID, strings.Join(a.Roles, ",")}
	}
	return s.out.rows(apps, []string{"NAME", "CREATED", "DISABLED", "CLIENT ID", "PERMISSIONS"}, cells)
}

type appCreate struct {
	Name string   `arg:"" help:"Name of the application."`
	Role []string `help:"Permission, such as Alert.Read.All; may be given several times. Without it the application may do nothing."`
}

func (a *appCreate) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var out client.Application
	if err := c.Do(s.ctx, http.MethodPost, "/api/vedette/applications", map[string]any{"name": a.Name, "roles": a.Role}, &out); err != nil {
		return err
	}
	return s.out.one(out, [][2]string{{"Name", out.Name}, {"Client id", out.ID}, {"Client secret", out.Secret},
		{"Permissions", strings.Join(out.Roles, ", ")}})
}

type appDisable struct {
	ID string `arg:"" help:"Client id of the application."`
}

func (a *appDisable) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	return c.Do(s.ctx, http.MethodPost, "/api/vedette/applications/"+url.PathEscape(a.ID)+"/disable", nil, nil)
}
