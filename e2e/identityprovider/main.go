// Command identityprovider is an OpenID Connect provider of other hands, for the end-to-end
// tests: the one of github.com/zitadel/oidc, certified by the OpenID Foundation, with the
// people and groups of a file. What this project believes about the protocol is held
// against what somebody else's code answers.
//
// It is a program and a module of its own, so that the server's dependencies stay few.
// `make bin/identityprovider` builds it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// people are the users of a file. They are read anew at each question, so that a test can
// change them while the provider runs.
type people struct {
	file string
}

type person struct {
	storage.User
	Groups []string
}

func (p people) all() map[string]*person {
	raw, err := os.ReadFile(p.file)
	out := map[string]*person{}
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		slog.Error("reading the people", "err", err)
	}
	return out
}

// GetUserByID implements storage.UserStore.
func (p people) GetUserByID(id string) *storage.User {
	if u := p.all()[id]; u != nil {
		return &u.User
	}
	return nil
}

// GetUserByUsername implements storage.UserStore.
func (p people) GetUserByUsername(name string) *storage.User {
	for _, u := range p.all() {
		if u.Username == name {
			return &u.User
		}
	}
	return nil
}

// ExampleClientID implements storage.UserStore.
func (people) ExampleClientID() string { return "" }

// store is the example's storage, which tells of groups as well.
type store struct {
	*storage.Storage
	people people
	back   string // where people are sent who signed out
}

// SetUserinfoFromRequest implements op.CanSetUserinfoFromRequest: what the identity token
// says beside who it is about. Names and addresses are told by the userinfo endpoint, as
// the standard has it of a flow that gives an access token.
func (s store) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, request op.IDTokenRequest, _ []string) error {
	u := s.people.all()[request.GetSubject()]
	if u == nil {
		return fmt.Errorf("there is nobody %s", request.GetSubject())
	}
	info.Subject = request.GetSubject() // or the token would be about nobody
	info.AppendClaims("groups", u.Groups)
	return nil
}

// client is the example's client, who may be sent back after signing out.
type client struct {
	op.Client
	back string
}

// PostLogoutRedirectURIs implements op.Client.
func (c client) PostLogoutRedirectURIs() []string { return []string{c.back} }

// GetClientByClientID implements op.Storage.
func (s store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	return client{c, s.back}, err
}

func main() {
	listen := flag.String("listen", "", "address to serve on, which the certificate is for")
	issuer := flag.String("issuer", "", "what it calls itself: https://…")
	cert, key := flag.String("cert", "", "PEM file"), flag.String("key", "", "PEM file")
	file := flag.String("people", "", "JSON file: an object of users by id")
	redirect := flag.String("redirect", "", "redirect address of the client")
	back := flag.String("back", "", "where the client has people sent who signed out")
	secret := flag.String("secret", "", "secret of the client, whose id is vedette")
	flag.Parse()
	storage.RegisterClients(storage.WebClient("vedette", *secret, *redirect))
	p := people{*file}
	handler := exampleop.SetupServer(*issuer, store{storage.NewStorage(p), p, *back}, slog.New(slog.NewTextHandler(os.Stderr, nil)), false)
	if err := http.ListenAndServeTLS(*listen, *cert, *key, handler); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
