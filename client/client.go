// Package client speaks the public REST API of a Vedette server, or of anything that
// serves the published Defender for Endpoint API, over OAuth client credentials.
//
// A Client fetches its token when it is first needed and again before it runs out. It
// retries what the server asked to retry (429, 503 with Retry-After) within the caller's
// context, and nothing else. Errors of the API are *Error. Start at New or FromProfile.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Profile says where a server is and how to sign in; a server's bootstrap.json is one.
type Profile struct {
	PortalURL       string `json:"portal_url"`
	APIURL          string `json:"api_url"`
	TokenURL        string `json:"token_url"`
	TenantID        string `json:"tenant_id"`
	ClientID        string `json:"client_id"`
	ClientSecret    string `json:"client_secret"`
	AdminUser       string `json:"admin_user,omitempty"`
	AdminPassword   string `json:"admin_password,omitempty"`
	EnrollmentToken string `json:"enrollment_token,omitempty"`
	CAFile          string `json:"ca_file"`
}

// LoadProfile reads a profile. A relative ca_file is taken from the profile's folder.
func LoadProfile(path string) (*Profile, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var p Profile
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, fmt.Errorf("profile %s: %w", path, err)
	}
	if p.APIURL == "" || p.TokenURL == "" {
		return nil, fmt.Errorf("profile %s: api_url and token_url are needed", path)
	}
	if p.CAFile != "" && !filepath.IsAbs(p.CAFile) {
		p.CAFile = filepath.Join(filepath.Dir(path), p.CAFile)
	}
	return &p, nil
}

// Client is a connection to one server. It is safe for concurrent use.
type Client struct {
	profile Profile
	http    *http.Client

	mu      sync.Mutex
	token   string
	expires time.Time
}

// New returns a client for p. It does not talk to the server yet.
func New(p Profile) (*Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if p.CAFile != "" {
		pem, err := os.ReadFile(p.CAFile)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", p.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	p.APIURL = strings.TrimRight(p.APIURL, "/")
	return &Client{profile: p, http: &http.Client{Transport: transport}}, nil
}

// Profile returns where the server is and how the client signs in.
func (c *Client) Profile() Profile { return c.profile }

// FromProfile is LoadProfile and New.
func FromProfile(path string) (*Client, error) {
	p, err := LoadProfile(path)
	if err != nil {
		return nil, err
	}
	return New(*p)
}

// Error is an error that the API answered.
type Error struct {
	Status  int    // HTTP status
	Code    string // published code, such as ResourceNotFound
	Message string
	Target  string        // correlation id, for the server's operator
	Retry   time.Duration // from Retry-After; 0 when the server did not say
}

// Error returns the message with its code.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("%s (%s)", e.Message, e.Code)
}

// Token returns a valid access token, fetching one when needed.
func (c *Client) Token(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && time.Until(c.expires) > time.Minute {
		return c.token, nil
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.profile.ClientID},
		"client_secret": {c.profile.ClientSecret}, "scope": {c.profile.APIURL + "/.default"},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.profile.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string          `json:"access_token"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
		Error       string          `json:"error"`
		Description string          `json:"error_description"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil {
		return "", fmt.Errorf("token endpoint %s: %w", c.profile.TokenURL, err)
	}
	if answer.AccessToken == "" {
		return "", &Error{Status: resp.StatusCode, Code: answer.Error, Message: answer.Description}
	}
	// The v1 endpoint answers numbers as strings, v2 as numbers.
	seconds, err := strconv.Atoi(strings.Trim(string(answer.ExpiresIn), `"`))
	if err != nil {
		return "", fmt.Errorf("token endpoint %s: expires_in is %s", c.profile.TokenURL, answer.ExpiresIn)
	}
	c.token, c.expires = answer.AccessToken, time.Now().Add(time.Duration(seconds)*time.Second)
	return c.token, nil
}

// maxWait is how long Do waits in all because the server asked for it: nobody wants a
// command that hangs for as long as a disk is full.
const maxWait = 30 * time.Second

// Do sends one request to path, which is below the API's address and may carry a query,
// with in as JSON unless it is nil, and decodes the answer into out unless it is nil. While
// the server asks to come back later Do does so, for half a minute in all.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	for waited := time.Duration(0); ; {
		err := c.once(ctx, method, path, body, out)
		var api *Error
		if !errors.As(err, &api) || api.Retry == 0 || waited+api.Retry > maxWait {
			return err
		}
		waited += api.Retry
		select {
		case <-ctx.Done():
			return err
		case <-time.After(api.Retry):
		}
	}
}

func (c *Client) once(ctx context.Context, method, path string, body []byte, out any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// Raw sends one request as Do does, once, with body as it is unless it is nil, and returns
// the answer as it came with its media type.
func (c *Client) Raw(ctx context.Context, method, path string, body []byte) (answer []byte, media string, err error) {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return answer, resp.Header.Get("Content-Type"), err
}

// send returns an answer that is no error; the caller closes its body.
func (c *Client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	token, err := c.Token(ctx)
	if err != nil {
		return nil, err
	}
	target := path
	if !strings.HasPrefix(path, "https://") && !strings.HasPrefix(path, "http://") {
		target = c.profile.APIURL + path
	}
	var payload io.Reader
	if body != nil {
		payload = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, payload)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		return nil, apiError(resp)
	}
	return resp, nil
}

func apiError(resp *http.Response) error {
	e := &Error{Status: resp.StatusCode}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			e.Retry = time.Duration(s) * time.Second
		}
	}
	var envelope struct {
		Error struct{ Code, Message, Target string }
	}
	if json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&envelope) == nil {
		e.Code, e.Message, e.Target = envelope.Error.Code, envelope.Error.Message, envelope.Error.Target
	}
	return e
}
