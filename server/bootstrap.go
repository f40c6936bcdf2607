package server

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/vedette-edr/vedette/durable"
	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/ident"
)

// bootstrap is the content of bootstrap.json, which is also a profile of the command line.
type bootstrap struct {
	PortalURL       string         `json:"portal_url"`
	APIURL          string         `json:"api_url"`
	TokenURL        string         `json:"token_url"`
	TenantID        ident.TenantID `json:"tenant_id"`
	ClientID        ident.AppID    `json:"client_id"`
	ClientSecret    string         `json:"client_secret"`
	AdminUser       string         `json:"admin_user"`
	AdminPassword   string         `json:"admin_password"`
	EnrollmentToken string         `json:"enrollment_token"`
	CAFile          string         `json:"ca_file"`
}

func (c *control) bootstrap(ctx context.Context) error {
	first, err := c.directory.Bootstrap(ctx, "Vedette")
	if err != nil || first == nil {
		return err
	}
	tenant := first.Tenant.ID
	token, _, err := c.devices.NewToken(ctx, tenant, device.TokenRequest{Name: "bootstrap", Life: enrolmentLife})
	if err != nil {
		return err
	}
	b := &bootstrap{TenantID: tenant, ClientID: first.Application.ID, ClientSecret: first.Secret,
		AdminUser: first.Admin.Login, AdminPassword: first.Password, EnrollmentToken: token}
	b.address(c.server.where.url, c.ca.File())
	if err := b.write(c.bootstrapFile()); err != nil {
		return err
	}
	c.server.cfg.Log.Info("first start: wrote credentials", "file", c.bootstrapFile())
	return nil
}

func (c *control) bootstrapFile() string {
	return filepath.Join(c.server.cfg.DataDir, "bootstrap.json")
}

// readdress brings the addresses in bootstrap.json up to date after the server was given
// another one, or its data directory was moved. A file that is gone stays so: taking it
// away is what a careful operator does.
func (c *control) readdress() error {
	log, path := c.server.cfg.Log, c.bootstrapFile()
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	b := &bootstrap{}
	if err := json.Unmarshal(raw, b); err != nil {
		log.Warn("the credentials file cannot be read; it is left as it is", "file", path, "err", err)
		return nil
	}
	if slices.Contains(c.server.where.urls, b.APIURL) && b.CAFile == c.ca.File() {
		return nil
	}
	url := b.APIURL
	if !slices.Contains(c.server.where.urls, url) {
		url = c.server.where.url
	}
	b.address(url, c.ca.File())
	if err := b.write(path); err != nil {
		return err
	}
	log.Info("brought the addresses in the credentials file up to date", "file", path, "url", url)
	return nil
}

func (b *bootstrap) address(url, caFile string) {
	b.PortalURL, b.APIURL, b.TokenURL = url+"/", url, url+"/"+string(b.TenantID)+"/oauth2/v2.0/token"
	b.CAFile = caFile
}

func (b *bootstrap) write(path string) error {
	raw, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	// The secrets are nowhere else: their file must be there before the transaction is.
	return durable.Write(path, append(raw, '\n'), 0o600)
}
