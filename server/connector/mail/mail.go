// Package mail sends mail through one SMTP server that the administrator names.
//
// The connection is encrypted unless the administrator asks otherwise. Start at Open.
package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/notify"
)

// Config says where mail goes out.
type Config struct {
	// URL is smtps://user:password@host:465 (TLS from the start), smtp://…:587 (STARTTLS,
	// required) or smtp+plain://…:25 (no TLS, for a relay on this machine). User and
	// password may be left out.
	URL  string
	From string      // the sender: an address, with a name if need be
	TLS  *tls.Config // nil for the system's authorities
}

// Client sends mail. It is safe for concurrent use: each mail has its own connection.
type Client struct {
	host    string
	options []gomail.Option
	from    *mail.Address
}

var _ notify.Mailer = (*Client)(nil)

// timeout bounds each step of a conversation.
const timeout = 15 * time.Second

// Open checks the configuration. It connects to nothing.
func Open(c Config) (*Client, error) {
	const op = "mail.Open"
	bad := func(format string, args ...any) error { return errs.New(op, errs.Invalid, "", format, args...) }
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" {
		return nil, bad("smtp: it is an address such as smtps://user:password@mail.example.com:465")
	}
	from, err := mail.ParseAddress(c.From)
	if err != nil {
		return nil, bad("smtp-from: %q is no mail address", c.From)
	}
	m := &Client{host: u.Hostname(), from: from, options: []gomail.Option{gomail.WithTimeout(timeout)}}
	port := 587
	switch u.Scheme {
	case "smtps":
		port = 465
		m.options = append(m.options, gomail.WithSSL())
	case "smtp":
		m.options = append(m.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case "smtp+plain":
		port = 25
		m.options = append(m.options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		return nil, bad("smtp: %q is none of smtps, smtp and smtp+plain", u.Scheme)
	}
	if p := u.Port(); p != "" {
		if port, err = strconv.Atoi(p); err != nil {
			return nil, bad("smtp: %q is no port", p)
		}
	}
	conf := &tls.Config{}
	if c.TLS != nil {
		conf = c.TLS.Clone()
	}
	conf.ServerName = m.host
	m.options = append(m.options, gomail.WithPort(port), gomail.WithTLSConfig(conf))
	if user := u.User.Username(); user != "" {
		password, _ := u.User.Password()
		auth := gomail.SMTPAuthAutoDiscover
		if u.Scheme == "smtp+plain" {
			auth = gomail.SMTPAuthPlainNoEnc
		}
		m.options = append(m.options, gomail.WithSMTPAuth(auth), gomail.WithUsername(user), gomail.WithPassword(password))
	}
	if _, err := gomail.NewClient(m.host, m.options...); err != nil {
		return nil, bad("smtp: %v", err)
	}
	return m, nil
}

// Mail implements notify.Mailer.
func (c *Client) Mail(ctx context.Context, m notify.Mail) (answer string, err error) {
	const op = "mail.Mail"
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(c.from)
	if err := msg.To(m.To...); err != nil {
		return "", &errs.E{Op: op, Kind: errs.Invalid, Detail: "an address of the receivers is none", Err: err}
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	_, domain, _ := strings.Cut(c.from.Address, "@")
	msg.SetMessageIDWithValue(m.Key + "@" + domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: do not answer
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.ReplyTo != "" {
		if err := msg.ReplyTo(m.ReplyTo); err != nil {
			return "", &errs.E{Op: op, Kind: errs.Invalid, Detail: "the address to reply to is none", Err: err}
		}
	}
	options := c.options
	if m.File != nil {
		f, err := m.File.Open()
		if err != nil {
			return "", errs.Wrap(op, err)
		}
		defer f.Close()
		msg.AttachReadSeeker(m.File.Name, f, gomail.WithFileContentType(gomail.ContentType(m.File.Type)), gomail.WithFileEncoding(gomail.EncodingB64))
		// The library sets one deadline for the whole of a mail: what ends a large one that is
		// not taken is the caller's context.
		if until, ok := ctx.Deadline(); ok {
			options = append(options[:len(options):len(options)], gomail.WithTimeout(max(timeout, time.Until(until))))
		}
	}
	client, err := gomail.NewClient(c.host, options...)
	if err != nil {
		return "", errs.Wrap(op, err)
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return "", explain(op, err)
	}
	return msg.ServerResponse(), nil
}

// explain tells final refusals from what may pass.
func explain(op string, err error) error {
	var sent *gomail.SendError
	if errors.As(err, &sent) {
		if sent.IsTemp() {
			return &errs.E{Op: op, Kind: errs.Unavailable, Detail: "the mail server wants the mail later", Err: err}
		}
		switch sent.Reason {
		case gomail.ErrSMTPMailFrom, gomail.ErrSMTPRcptTo, gomail.ErrGetRcpts:
			return &errs.E{Op: op, Kind: errs.Invalid, Detail: "the mail server refuses the sender or a receiver", Err: err}
		}
	}
	return &errs.E{Op: op, Kind: errs.Unavailable, Detail: "the mail server cannot be reached, or does not take the mail", Err: err}
}
