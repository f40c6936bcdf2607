package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// rawConsole dials a console's socket as no client of ours does.
func (s *server) rawConsole(t *testing.T, address string, header http.Header) (*websocket.Conn, int) {
	t.Helper()
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.TLSClientConfig = trust(t, s.profile.CAFile)
	tr.TLSClientConfig.NextProtos, tr.ForceAttemptHTTP2 = []string{"http/1.1"}, false
	t.Cleanup(tr.CloseIdleConnections)
	c, res, err := websocket.Dial(t.Context(), address, &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}, HTTPHeader: header}) //nolint:bodyclose // Dial leaves nothing to close, as it documents
	if err != nil {
		if res == nil {
			t.Fatal(err)
		}
		return nil, res.StatusCode
	}
	c.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = c.CloseNow() })
	return c, res.StatusCode
}

// untilType reads a socket until a message of a type comes, or the socket closes.
func untilType(t *testing.T, c *websocket.Conn, kind string) (map[string]any, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		form, raw, err := c.Read(ctx)
		if err != nil {
			return nil, err
		}
		var m map[string]any
		if form == websocket.MessageText && json.Unmarshal(raw, &m) == nil && m["type"] == kind {
			return m, nil
		}
	}
}

// TestTheConsoleOfASessionIsAbused talks to the socket of live response as an attacker does
// who has a ticket, or none: whatever comes ends one session at most, says why, and leaves
// the server and the device to the next one.
func TestTheConsoleOfASessionIsAbused(t *testing.T) {
	s := startServer(t)
	startAgent(t, s, "")
	d := s.onlyDevice(t)

	for name, address := range map[string]string{"no ticket": "", "an empty one": "?ticket=", "a made up one": "?ticket=" + strings.Repeat("0", 64), "a long one": "?ticket=" + strings.Repeat("f", 30_000)} {
		if _, status := s.rawConsole(t, "wss://"+s.addr+"/api/vedette/livesessions/00000000-0000-4000-8000-000000000001/socket"+address, nil); status != http.StatusUnauthorized {
			t.Errorf("%s is answered %d", name, status)
		}
	}

	t.Run("a ticket is for one session, once, from one's own origin", func(t *testing.T) {
		id, ticket, socket := s.ticketOf(t, d.ID)
		if _, status := s.rawConsole(t, strings.Replace(socket, id, "00000000-0000-4000-8000-000000000001", 1)+"?ticket="+ticket, nil); status != http.StatusUnauthorized {
			t.Errorf("on another session it is answered %d", status)
		}
		if _, status := s.rawConsole(t, socket+"?ticket="+ticket, nil); status != http.StatusUnauthorized {
			t.Errorf("after another session it is answered %d", status)
		}
		must(t, s.Do(t.Context(), http.MethodPost, "/api/vedette/livesessions/"+id+"/end", nil, nil))
		s.endOf(t, id)

		id, ticket, socket = s.ticketOf(t, d.ID)
		if _, status := s.rawConsole(t, socket+"?ticket="+ticket, http.Header{"Origin": {"https://evil.example"}}); status != http.StatusForbidden {
			t.Errorf("of another origin it is answered %d", status)
		}
		must(t, s.Do(t.Context(), http.MethodPost, "/api/vedette/livesessions/"+id+"/end", nil, nil))
		s.endOf(t, id)

		id, ticket, socket = s.ticketOf(t, d.ID)
		c, _ := s.rawConsole(t, socket+"?ticket="+ticket, nil)
		if _, err := untilType(t, c, "ready"); err != nil {
			t.Fatal(err)
		}
		if _, status := s.rawConsole(t, socket+"?ticket="+ticket, nil); status != http.StatusUnauthorized {
			t.Errorf("twice it is answered %d", status)
		}
		must(t, c.Close(websocket.StatusNormalClosure, ""))
		s.endOf(t, id)
		if _, status := s.rawConsole(t, socket+"?ticket="+ticket, nil); status != http.StatusUnauthorized {
			t.Errorf("after the end it is answered %d", status)
		}
	})

	text, binary := websocket.MessageText, websocket.MessageBinary
	for name, abuse := range map[string]struct {
		kind websocket.MessageType
		data string
		code websocket.StatusCode
		why  string
	}{
		"a message that is too long": {text, `{"type":"run","line":"` + strings.Repeat("x", 300<<10) + `"}`, websocket.StatusMessageTooBig, "longer than"},
		"input that is too long":     {binary, "\x00\x00\x00\x01" + strings.Repeat("x", 300<<10), websocket.StatusMessageTooBig, "longer than"},
		"half a run":                 {binary, "\x00\x00", websocket.StatusUnsupportedData, "four bytes"},
		"a text that is none":        {text, "\xff\xfe{}", 0, "closed"},
		"no JSON":                    {text, "<html>", websocket.StatusUnsupportedData, "not JSON"},
		"JSON of another kind":       {text, `[{"type":"run"}]`, websocket.StatusUnsupportedData, "not JSON"},
		"a number for a line":        {text, `{"type":"run","line":7}`, websocket.StatusUnsupportedData, "not JSON"},
		"a type of its own":          {text, `{"type":"eval","line":"id"}`, websocket.StatusUnsupportedData, "no message of the type"},
		"what only devices say":      {text, `{"type":"output","run":1,"data":"x"}`, websocket.StatusUnsupportedData, "no message of the type"},
		"a run below all":            {text, `{"type":"cancel","run":-1}`, websocket.StatusUnsupportedData, "no run has"},
		"a run beyond all":           {text, `{"type":"cancel","run":4294967297}`, websocket.StatusUnsupportedData, "no run has"},
		"deep JSON":                  {text, `{"type":"run","line":"` + `"},` + strings.Repeat("[", 50_000), websocket.StatusUnsupportedData, "not JSON"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			id, ticket, socket := s.ticketOf(t, d.ID)
			c, _ := s.rawConsole(t, socket+"?ticket="+ticket, nil)
			if _, err := untilType(t, c, "ready"); err != nil {
				t.Fatal(err)
			}
			_ = c.Write(t.Context(), abuse.kind, []byte(abuse.data)) // the other side may close in the middle of it
			_, err := untilType(t, c, "never")
			if code := websocket.CloseStatus(err); abuse.code != 0 && code != abuse.code && code != -1 {
				t.Errorf("the socket is closed with %v (%v)", code, err)
			}
			if why := s.endOf(t, id); !strings.Contains(why, abuse.why) {
				t.Errorf("the session ended because %q", why)
			}
		})
	}

	t.Run("a flood_of_what_means_nothing", func(t *testing.T) {
		id, ticket, socket := s.ticketOf(t, d.ID)
		c, _ := s.rawConsole(t, socket+"?ticket="+ticket, nil)
		if _, err := untilType(t, c, "ready"); err != nil {
			t.Fatal(err)
		}
		for i := range 20_000 {
			var err error
			switch i % 3 {
			case 0:
				err = c.Write(t.Context(), binary, []byte("\x00\x00\x00\x09typed to nobody"))
			case 1:
				err = c.Write(t.Context(), text, []byte(`{"type":"resize","run":9,"columns":99,"rows":99}`))
			default:
				err = c.Write(t.Context(), text, []byte(`{"type":"run","line":"   "}`))
			}
			must(t, err)
		}
		must(t, c.Write(t.Context(), text, []byte(`{"type":"run","line":"pwd"}`)))
		if m, err := untilType(t, c, "started"); err != nil || m["run"] != 1.0 {
			t.Fatalf("%v, %v: what means nothing was carried out", m, err)
		}
		if m, err := untilType(t, c, "end"); err != nil || m["status"] != "completed" {
			t.Fatalf("%v, %v", m, err)
		}
		must(t, c.Close(websocket.StatusNormalClosure, ""))
		s.endOf(t, id)
		var b strings.Builder
		must(t, s.LiveTranscript(t.Context(), id, &b))
		if b.Len() > 4096 {
			t.Errorf("what means nothing made a transcript of %d bytes", b.Len())
		}
	})

	t.Run("a line that breaks, and one that says nothing any more", func(t *testing.T) {
		for _, how := range []string{"broken", "silent"} {
			id, ticket, _ := s.ticketOf(t, d.ID)
			conn, err := tls.Dial("tcp", s.addr, trust(t, s.profile.CAFile))
			must(t, err)
			defer conn.Close()
			fmt.Fprintf(conn, "GET /api/vedette/livesessions/%s/socket?ticket=%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
				id, ticket, s.addr, base64.StdEncoding.EncodeToString(make([]byte, 16)))
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%v, %v", res, err)
			}
			begin := time.Now()
			if how == "broken" {
				must(t, conn.NetConn().(*net.TCPConn).SetLinger(0)) // a reset, without a word
				must(t, conn.NetConn().Close())
			}
			why := s.endOf(t, id) // one that is silent answers no ping, and is gone within 45 s
			if !strings.Contains(why, "console closed") || (how == "broken" && time.Since(begin) > 15*time.Second) {
				t.Errorf("%s: after %v because %q", how, time.Since(begin), why)
			}
		}
	})

	// After all of it the next session is as good as the first.
	l := openLive(t, s, d.ID, "basic")
	if out, _ := l.ok("pwd"); out != "/\n" {
		t.Errorf("the next session says %q", out)
	}
}
