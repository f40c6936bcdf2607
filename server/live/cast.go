package live

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unicode/utf8"
)

// maxCast bounds the transcript of one session, in bytes; what is shown beyond it is
// counted there.
const maxCast = 256 << 20

// cast writes a transcript in the asciicast format, version 2: a header, then a line for
// each event, of seconds since the beginning, kind, and text
// (https://docs.asciinema.org/manual/asciicast/v2/). It is safe for concurrent use.
type cast struct {
	mu    sync.Mutex
	f     *os.File
	w     *bufio.Writer
	begun time.Time
	now   func() time.Time
	size  int64
	lost  int64             // bytes that were not kept
	held  map[string][]byte // of each kind, the beginning of a character that is not whole
	err   error
}

func newCast(path string, title string, now func() time.Time) (*cast, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	c := &cast{f: f, w: bufio.NewWriter(f), begun: now(), now: now, held: map[string][]byte{}}
	c.line(map[string]any{"version": 2, "width": 120, "height": 40, "timestamp": c.begun.Unix(), "title": title,
		"env": map[string]string{"TERM": "xterm-256color"}})
	return c, c.err
}

func (c *cast) line(v any) {
	raw, err := json.Marshal(v)
	if err == nil {
		var n int
		n, err = c.w.Write(append(raw, '\n'))
		c.size += int64(n)
	}
	if c.err == nil {
		c.err = err
	}
}

// event notes what was shown ("o"), typed ("i"), or how large the terminal is ("r").
func (c *cast) event(kind string, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size > maxCast {
		c.lost += int64(len(data))
		return
	}
	data = append(c.held[kind], data...)
	c.held[kind] = nil
	// A character may come in two pieces; a text of JSON cannot have half of one.
	for n := 1; n < utf8.UTFMax && n <= len(data); n++ {
		if tail := data[len(data)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				c.held[kind] = append([]byte(nil), tail...)
				data = data[:len(data)-n]
			}
			break
		}
	}
	if len(data) == 0 {
		return
	}
	at := json.Number(fmt.Sprintf("%.6f", c.now().Sub(c.begun).Seconds()))
	c.line([]any{at, kind, string(data)})
	// What the server loses when it is killed is not in the transcript.
	if err := c.w.Flush(); c.err == nil {
		c.err = err
	}
}

// close brings the transcript to the disk.
func (c *cast) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost > 0 {
		at := json.Number(fmt.Sprintf("%.6f", c.now().Sub(c.begun).Seconds()))
		c.line([]any{at, "o", fmt.Sprintf("\r\n[the transcript is full: %d bytes are not in it]\r\n", c.lost)})
	}
	return errors.Join(c.err, c.w.Flush(), c.f.Sync(), c.f.Close())
}
