package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/vedette-edr/vedette/client"
)

// meCommand is about the account of whoever calls it, who signs in as in the portal.
type meCommand struct {
	Show     meShow        `cmd:"" help:"Show your own account."`
	Rename   meRename      `cmd:"" help:"Change what you are called."`
	Password mePassword    `cmd:"" help:"Change your own password; your other sessions and tokens end."`
	Sessions meSessions    `cmd:"" help:"List your own sessions in the portal."`
	End      meEnd         `cmd:"" help:"End one of your own sessions, or all of them."`
	Factor   factorCommand `cmd:"" help:"Your own second factor."`
}

type factorCommand struct {
	On    factorOn    `cmd:"" help:"Set up a second factor, or another in its place."`
	Codes factorCodes `cmd:"" help:"Replace your recovery codes."`
	Off   factorOff   `cmd:"" help:"Turn your second factor off."`
}

// signIn is what somebody signs in with. Secrets come from the environment or are asked
// for: arguments can be seen by others.
type signIn struct {
	Login    string `help:"Your login; without it the admin_user of the profile." env:"VEDETTE_LOGIN"`
	Tenant   string `help:"Your tenant, where there are several."`
	Password string `kong:"-"`
}

// ask reads a secret: of the environment, or of the person.
func ask(s *session, env, what string) (string, error) {
	if v := os.Getenv(env); v != "" {
		return v, nil
	}
	fmt.Fprintf(s.errs, "%s: ", what)
	if term.IsTerminal(int(os.Stdin.Fd())) {
		b, err := term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(s.errs)
		return string(b), err
	}
	line, err := s.answers().ReadString('\n')
	fmt.Fprintln(s.errs)
	if errors.Is(err, io.EOF) && line == "" {
		return "", fmt.Errorf("%s is needed: set %s, or answer on a terminal", strings.ToLower(what[:1])+what[1:], env)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// answers is standard input, read by lines.
func (s *session) answers() *bufio.Reader {
	if s.in == nil {
		s.in = bufio.NewReader(os.Stdin)
	}
	return s.in
}

// as runs f as the person, and signs them out again.
func (c *signIn) as(s *session, f func(*client.Person) error) error {
	api, err := s.client()
	if err != nil {
		return err
	}
	login := c.Login
	if login == "" {
		login = api.Profile().AdminUser
	}
	if login == "" {
		return errors.New("give --login")
	}
	if c.Password, err = ask(s, "VEDETTE_PASSWORD", "Password of "+login); err != nil {
		return err
	}
	p, err := api.SignIn(s.ctx, client.Credentials{Tenant: c.Tenant, Login: login, Password: c.Password,
		Code: func() (string, error) { return ask(s, "VEDETTE_CODE", "Code of the second factor") }})
	if err != nil {
		return err
	}
	return errors.Join(f(p), p.SignOut(s.ctx))
}

// proof is what is shown again before the second factor is changed.
func (c *signIn) proof(s *session, p *client.Person) (client.Proof, error) {
	out := client.Proof{Password: c.Password}
	a, err := p.Account(s.ctx)
	if err != nil || !a.Factor.On {
		return out, err
	}
	// Each code is taken once, so that another one is needed than for signing in.
	out.Code, err = ask(s, "VEDETTE_NEXT_CODE", "Another code of the second factor, or a recovery code")
	return out, err
}

func showAccount(a *client.Account) [][2]string {
	factor := "off"
	if a.Factor.On {
		factor = fmt.Sprintf("on since %s, %d recovery codes left", when(a.Factor.Since), a.Factor.Recovery)
	}
	if a.Factor.Required {
		factor += " (required)"
	}
	return [][2]string{{"Login", a.Login}, {"Name", a.Name}, {"Mail", a.Mail}, {"Roles", strings.Join(a.RoleNames, ", ")}, {"Identity provider", a.Provider},
		{"Password changed", when(a.Changed)}, {"Second factor", factor}}
}

type meShow struct{ signIn }

func (c *meShow) Run(s *session) error {
	return c.as(s, func(p *client.Person) error {
		a, err := p.Account(s.ctx)
		if err != nil {
			return err
		}
		return s.out.one(a, showAccount(a))
	})
}

type meRename struct {
	signIn
	Name string `arg:"" help:"What others read."`
}

func (c *meRename) Run(s *session) error {
	return c.as(s, func(p *client.Person) error {
		a, err := p.Rename(s.ctx, c.Name)
		if err != nil {
			return err
		}
		return s.out.one(a, showAccount(a))
	})
}

type mePassword struct{ signIn }

func (c *mePassword) Run(s *session) error {
	return c.as(s, func(p *client.Person) error {
		next, err := ask(s, "VEDETTE_NEW_PASSWORD", "New password")
		if err != nil {
			return err
		}
		return p.ChangePassword(s.ctx, c.Password, next)
	})
}

type meSessions struct{ signIn }

func (c *meSessions) Run(s *session) error {
	return c.as(s, func(p *client.Person) error {
		all, err := p.Sessions(s.ctx)
		if err != nil {
			return err
		}
		cells := make([][]string, len(all))
		for i, x := range all {
			here := ""
			if x.Current {
				here = "this one"
			}
			cells[i] = []string{x.From, x.Browser, when(x.Created), when(x.Seen), here, x.ID}
		}
		return s.out.rows(all, []string{"FROM", "BROWSER", "SINCE", "LAST SEEN", "", "ID"}, cells)
	})
}

type meEnd struct {
	signIn
	ID string `arg:"" optional:"" help:"Id of the session; without it all are ended."`
}

func (c *meEnd) Run(s *session) error {
	return c.as(s, func(p *client.Person) error { return p.EndSessions(s.ctx, c.ID) })
}

// codes prints recovery codes, which are shown this once.
func codes(s *session, all []string) error {
	cells := make([][]string, len(all))
	for i, c := range all {
		cells[i] = []string{c}
	}
	return s.out.rows(map[string][]string{"recoveryCodes": all}, []string{"RECOVERY CODES, SHOWN THIS ONCE"}, cells)
}

type factorOn struct{ signIn }

func (c *factorOn) Run(s *session) error {
	return c.as(s, func(p *client.Person) error {
		by, err := c.proof(s, p)
		if err != nil {
			return err
		}
		e, err := p.BeginFactor(s.ctx, by)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.errs, "Secret, for your authenticator app: %s\n%s\n", e.Secret, e.Address)
		code, err := ask(s, "VEDETTE_CONFIRM_CODE", "Code that it shows now")
		if err != nil {
			return err
		}
		all, err := p.ConfirmFactor(s.ctx, code)
		if err != nil {
			return err
		}
		return codes(s, all)
	})
}

type factorCodes struct{ signIn }

func (c *factorCodes) Run(s *session) error {
	return c.as(s, func(p *client.Person) error {
		by, err := c.proof(s, p)
		if err != nil {
			return err
		}
		all, err := p.NewRecoveryCodes(s.ctx, by)
		if err != nil {
			return err
		}
		return codes(s, all)
	})
}

type factorOff struct{ signIn }

func (c *factorOff) Run(s *session) error {
	return c.as(s, func(p *client.Person) error {
		by, err := c.proof(s, p)
		if err != nil {
			return err
		}
		return p.RemoveFactor(s.ctx, by)
	})
}
