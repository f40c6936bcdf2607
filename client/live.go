package client

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// LiveSession is a live response session with a device.
type LiveSession struct {
	ID         string     `json:"id"`
	Device     string     `json:"machineId"`
	DeviceName string     `json:"computerDnsName"`
	Level      string     `json:"level"` // basic, advanced
	By         string     `json:"startedBy"`
	Comment    string     `json:"comment"`
	State      string     `json:"state"` // Waiting, Active, Ended
	Created    *time.Time `json:"creationDateTimeUtc"`
	Started    *time.Time `json:"startDateTimeUtc"`
	Ended      *time.Time `json:"endDateTimeUtc"`
	Reason     string     `json:"reason"`
	Outcome    string     `json:"outcome"`
	Commands   int        `json:"commandCount"`
	Files      []LiveFile `json:"files"`
	Transcript bool       `json:"hasTranscript"`
}

// LiveFile is a file that a session brought from its device.
type LiveFile struct {
	Index  int    `json:"index"`
	Name   string `json:"fileName"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// LiveCommand is one command of a session.
type LiveCommand struct {
	Run     int        `json:"run"`
	Line    string     `json:"commandLine"`
	Begun   *time.Time `json:"startTime"`
	Ended   *time.Time `json:"endTime"`
	Seconds *float64   `json:"durationSeconds"`
	Status  string     `json:"status"`
	Exit    int        `json:"exitCode"`
	Error   string     `json:"error"`
	Output  int64      `json:"outputBytes"`
}

// LiveEvent is something that a session shows.
type LiveEvent struct {
	Type      string       `json:"type"` // waiting, ready, started, output, directory, end, closed
	Run       int          `json:"run"`
	Line      string       `json:"line"`
	Data      []byte       `json:"-"` // of output
	Directory string       `json:"directory"`
	Session   *LiveSession `json:"session"`
	Status    string       `json:"status"` // of end: completed, failed, cancelled, timeout, background, denied
	Exit      int          `json:"exit"`
	Error     string       `json:"error"`
	Files     []LiveFile   `json:"files"`
	Reason    string       `json:"reason"` // of closed
}

// LiveInput is something that is told to a session.
type LiveInput struct {
	Type    string `json:"type"` // run, resize, cancel, background, close
	Run     int    `json:"run,omitempty"`
	Line    string `json:"line,omitempty"`
	Columns int    `json:"columns,omitempty"`
	Rows    int    `json:"rows,omitempty"`
}

// Live is the console of an open session.
type Live struct {
	Session LiveSession
	c       *websocket.Conn
}

// OpenLive opens a live response session with a device, and its console, which the caller
// closes. level is basic, advanced, or "" for as much as the caller may.
func (c *Client) OpenLive(ctx context.Context, device, comment, level string) (*Live, error) {
	var opened struct {
		Session LiveSession `json:"session"`
		Ticket  string      `json:"ticket"`
		Socket  string      `json:"socket"`
	}
	err := c.Do(ctx, http.MethodPost, "/api/vedette/machines/"+url.PathEscape(device)+"/livesessions", map[string]string{"Comment": comment, "Level": level}, &opened)
	if err != nil {
		return nil, err
	}
	address := "ws" + strings.TrimPrefix(c.profile.APIURL, "http") + opened.Socket + "?ticket=" + url.QueryEscape(opened.Ticket)
	// A WebSocket wants a connection of its own, with the version of HTTP that it was made for.
	transport := c.http.Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = false
	if transport.TLSClientConfig != nil {
		transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	conn, resp, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}}) //nolint:bodyclose // Dial leaves nothing to close, as it documents
	if err != nil {
		if resp != nil && resp.StatusCode >= 400 {
			return nil, apiError(resp)
		}
		return nil, err
	}
	conn.SetReadLimit(1 << 20)
	return &Live{opened.Session, conn}, nil
}

// Receive returns what the session shows next; io.EOF after it ended.
func (l *Live) Receive(ctx context.Context) (*LiveEvent, error) {
	kind, raw, err := l.c.Read(ctx)
	if err != nil {
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			return nil, io.EOF
		}
		return nil, err
	}
	if kind == websocket.MessageBinary {
		if len(raw) < 4 {
			return nil, fmt.Errorf("a binary message of %d bytes", len(raw))
		}
		return &LiveEvent{Type: "output", Run: int(binary.BigEndian.Uint32(raw)), Data: raw[4:]}, nil
	}
	e := &LiveEvent{}
	return e, json.Unmarshal(raw, e)
}

// Send tells the session something.
func (l *Live) Send(ctx context.Context, in LiveInput) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return l.c.Write(ctx, websocket.MessageText, raw)
}

// Type types into the terminal of a run.
func (l *Live) Type(ctx context.Context, run int, data []byte) error {
	return l.c.Write(ctx, websocket.MessageBinary, append(binary.BigEndian.AppendUint32(nil, uint32(run)), data...))
}

// Close closes the console, and with it the session.
func (l *Live) Close() error { return l.c.Close(websocket.StatusNormalClosure, "") }

// LiveSessions lists sessions.
func (c *Client) LiveSessions(ctx context.Context, q List) ([]LiveSession, error) {
	return All[LiveSession](ctx, c, "/api/vedette/livesessions", q)
}

// LiveSession returns one session.
func (c *Client) LiveSession(ctx context.Context, id string) (*LiveSession, error) {
	var s LiveSession
	return &s, c.Do(ctx, http.MethodGet, "/api/vedette/livesessions/"+url.PathEscape(id), nil, &s)
}

// EndLiveSession ends a session from outside of it.
func (c *Client) EndLiveSession(ctx context.Context, id string) (*LiveSession, error) {
	var s LiveSession
	return &s, c.Do(ctx, http.MethodPost, "/api/vedette/livesessions/"+url.PathEscape(id)+"/end", nil, &s)
}

// LiveCommands lists the commands of a session.
func (c *Client) LiveCommands(ctx context.Context, id string) ([]LiveCommand, error) {
	var out struct {
		Value []LiveCommand `json:"value"`
	}
	err := c.Do(ctx, http.MethodGet, "/api/vedette/livesessions/"+url.PathEscape(id)+"/commands", nil, &out)
	return out.Value, err
}

// LiveTranscript writes the transcript of a session that ended, in the asciicast format.
func (c *Client) LiveTranscript(ctx context.Context, id string, w io.Writer) error {
	return c.raw(ctx, "/api/vedette/livesessions/"+url.PathEscape(id)+"/transcript", w)
}

// LiveFile writes a file that a session brought.
func (c *Client) LiveFile(ctx context.Context, id string, index int, w io.Writer) error {
	return c.raw(ctx, fmt.Sprintf("/api/vedette/livesessions/%s/files/%d", url.PathEscape(id), index), w)
}

// raw writes an answer as it comes.
func (c *Client) raw(ctx context.Context, path string, w io.Writer) error {
	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode >= 400 {
		return apiError(resp)
	}
	n, err := io.Copy(w, resp.Body)
	if err == nil && resp.ContentLength >= 0 && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	return err
}
