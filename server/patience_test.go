package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func patientServer(t *testing.T, p patience, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(p.with(h))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// drip is a body that never ends and never says anything.
type drip struct{ ctx context.Context }

func (d drip) Read([]byte) (int, error) {
	<-d.ctx.Done()
	return 0, io.EOF
}

func TestABodyThatNeverComesIsNotWaitedFor(t *testing.T) {
	ended := make(chan error, 2)
	s := patientServer(t, patience{body: 200 * time.Millisecond, write: time.Minute}, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			c := s.Client()
			if proto == "HTTP/1.1" {
				tr := c.Transport.(*http.Transport).Clone()
				tr.ForceAttemptHTTP2, tr.TLSClientConfig.NextProtos = false, nil
				c = &http.Client{Transport: tr}
			}
			r, err := http.NewRequestWithContext(ctx, "POST", s.URL, drip{ctx})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if resp, err := c.Do(r); err == nil {
					resp.Body.Close()
				}
			}()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the body was taken for a whole one")
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the handler still waits")
			}
		})
	}
	cancel()
}

// The time for the body is not the time for the answer.
func TestALongQueryOutlivesItsBodysTime(t *testing.T) {
	s := patientServer(t, patience{body: 200 * time.Millisecond, write: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
			t.Error("the request was cancelled")
		case <-time.After(time.Second):
		}
		fmt.Fprint(w, "done")
	})
	plain := httptest.NewServer(s.Config.Handler)
	defer plain.Close()
	for _, url := range []string{s.URL, plain.URL} {
		resp, err := s.Client().Post(url, "text/plain", strings.NewReader("query"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(b) != "done" {
			t.Errorf("%s: %q, %v", url, b, err)
		}
	}
}

// spoon is a body of pieces with a pause before each.
type spoon struct {
	pieces int
	pause  time.Duration
}

func (s *spoon) Read(p []byte) (int, error) {
	if s.pieces == 0 {
		return 0, io.EOF
	}
	time.Sleep(s.pause)
	s.pieces--
	return copy(p, make([]byte, 1000)), nil
}

func TestALargeBodyMayTakeItsTimeAsLongAsItComes(t *testing.T) {
	const most = 2 * time.Second
	s := patientServer(t, patience{body: most, piece: 2000, write: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	begin := time.Now()
	resp, err := s.Client().Post(s.URL, "text/plain", &spoon{pieces: 30, pause: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "30000 <nil>" || time.Since(begin) < most {
		t.Errorf("%q, %v, after %v", b, err, time.Since(begin))
	}
}

func TestAnAnswerThatNobodyTakesEnds(t *testing.T) {
	ended := make(chan error, 1)
	h := patience{body: time.Minute, write: 300 * time.Millisecond}.with(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 1<<20); ; {
			if _, err := w.Write(piece); err != nil {
				ended <- err
				return
			}
		}
	}))
	s := httptest.NewServer(h)
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := bufio.NewReaderSize(c, 16).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the handler still writes")
	}
}
