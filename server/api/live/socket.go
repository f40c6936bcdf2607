package live

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/vedette-edr/vedette/server/api"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/live"
	"github.com/vedette-edr/vedette/wire"
)

// maxMessage bounds what a console says at once, in bytes: a line, or what is typed, as JSON.
const maxMessage = wire.MaxLiveInput*2 + 1024

const (
	pingEvery = 25 * time.Second
	pingTime  = 20 * time.Second
)

// socket is the console of a session. Texts are JSON; a binary message is the number of a
// run in four bytes, the highest first, and what it wrote or what is typed into it.
func (a *API) socket(w http.ResponseWriter, r *api.Request) error {
	id, err := sessionID(r)
	if err != nil {
		return err
	}
	ticket := r.URL.Query().Get("ticket")
	if ticket == "" {
		return errs.New("live.socket", errs.Unauthenticated, errs.Unauthorized, "the ticket is missing: open a session first")
	}
	if r.Header.Get("Upgrade") == "" {
		return errs.New("live.socket", errs.Invalid, errs.BadRequest, "this is a WebSocket: the request asks for no upgrade")
	}
	seat, err := a.sessions.Redeem(id, ticket)
	if err != nil {
		return err
	}
	// A page of another origin has no ticket; the library refuses it all the same.
	c, err := websocket.Accept(w, r.Request, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil // it has answered
	}
	defer func() { _ = c.CloseNow() }() // both sides have said that it is over, or one is gone
	c.SetReadLimit(maxMessage)
	// The request's context ends with a read of the connection, which is the socket's now.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	s := &console{c}
	go s.live(ctx, cancel)
	if err := seat.Take(ctx, s); err != nil {
		var e *errs.E
		if errors.As(err, &e) {
			_ = s.Send(ctx, live.Event{Type: "closed", Reason: e.Detail}) // it may be gone
		}
	}
	_ = c.Close(websocket.StatusNormalClosure, "the session is over") // it may be gone
	return nil
}

// console is a live.Console over a WebSocket.
type console struct{ c *websocket.Conn }

// live ends the console when the other side is gone without a word.
func (s *console) live(ctx context.Context, cancel context.CancelFunc) {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		pctx, done := context.WithTimeout(ctx, pingTime)
		err := s.c.Ping(pctx)
		done()
		if err != nil {
			cancel()
			return
		}
	}
}

// refuse closes the console for what it said.
func (s *console) refuse(code websocket.StatusCode, format string, args ...any) error {
	err := errs.New("live.console", errs.Invalid, errs.InvalidInput, format, args...)
	_ = s.c.Close(code, fmt.Sprintf(format, args...)) // it may be gone
	return err
}

type eventMessage struct {
	Type      string         `json:"type"`
	Run       int            `json:"run,omitempty"`
	Line      string         `json:"line,omitempty"`
	Directory string         `json:"directory,omitempty"`
	Session   *sessionEntity `json:"session,omitempty"`
	Status    string         `json:"status,omitempty"`
	Exit      int            `json:"exit,omitempty"`
	Error     string         `json:"error,omitempty"`
	Files     []fileEntity   `json:"files,omitempty"`
	Reason    string         `json:"reason,omitempty"`
}

// Send implements live.Console.
func (s *console) Send(ctx context.Context, e live.Event) error {
	if e.Type == "output" {
		b := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(e.Data)), uint32(e.Run))
		return s.c.Write(ctx, websocket.MessageBinary, append(b, e.Data...))
	}
	m := eventMessage{Type: e.Type, Run: e.Run, Line: e.Line, Directory: e.Directory, Status: e.Status, Exit: e.Exit, Error: e.Error, Reason: e.Reason}
	if e.Session != nil {
		n := sessionOf(e.Session)
		m.Session = &n
	}
	for _, f := range e.Files {
		m.Files = append(m.Files, fileOf(f))
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return s.c.Write(ctx, websocket.MessageText, raw)
}

type inputMessage struct {
	Type    string `json:"type"`
	Run     int    `json:"run"`
	Line    string `json:"line"`
	Data    string `json:"data"`
	Columns int    `json:"columns"`
	Rows    int    `json:"rows"`
}

// Receive implements live.Console. A message that is no message ends the console.
func (s *console) Receive(ctx context.Context) (live.Input, error) {
	kind, raw, err := s.c.Read(ctx)
	switch {
	case errors.Is(err, websocket.ErrMessageTooBig):
		return live.Input{}, s.refuse(websocket.StatusMessageTooBig, "a message is longer than %d bytes", maxMessage)
	case err != nil:
		return live.Input{}, err
	}
	if kind == websocket.MessageBinary {
		if len(raw) < 4 {
			return live.Input{}, s.refuse(websocket.StatusUnsupportedData, "a binary message does not begin with the four bytes of a run")
		}
		return live.Input{Type: "input", Run: int(binary.BigEndian.Uint32(raw)), Data: raw[4:]}, nil
	}
	var m inputMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return live.Input{}, s.refuse(websocket.StatusUnsupportedData, "a message is not JSON as documented")
	}
	switch m.Type {
	case "run", "input", "resize", "cancel", "background", "close":
	default:
		return live.Input{}, s.refuse(websocket.StatusUnsupportedData, "there is no message of the type %.40q", m.Type)
	}
	if m.Run < 0 || int64(m.Run) > math.MaxUint32 {
		return live.Input{}, s.refuse(websocket.StatusUnsupportedData, "run is %d, which no run has", m.Run)
	}
	return live.Input{Type: m.Type, Run: m.Run, Line: m.Line, Data: []byte(m.Data), Columns: m.Columns, Rows: m.Rows}, nil
}
