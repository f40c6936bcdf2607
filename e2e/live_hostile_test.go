package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vedette-edr/vedette/client"
)

// hostileText is what a file says to terminals that obey: the window's title, the clipboard,
// a link, a question whose answer is typed, a line written over, a reading order turned.
const hostileText = "\x1b]0;pwned\x07\x1b]52;c;cHduZWQ=\x07\x1b]8;;https://evil.example/\x07a link\x1b]8;;\x07\x1b[6n\x1bP$q\"p\x1b\\\x1b[21t\roverwritten \u202egnp.exe\n"

// questions is every control sequence that asks a terminal something, and many that might:
// each prefix, intermediate and final with the parameters that mean something, device control
// strings, and operating system commands that end in a question mark. It ends with a reset.
func questions() string {
	var b strings.Builder
	for _, prefix := range []string{"", "?", ">", "=", "<"} {
		for _, params := range []string{"", "0", "1", "5", "6", "13", "14", "15", "16", "18", "19", "20", "21", "25", "26", "53", "55", "62", "75", "85", "996", "2048"} {
			for _, mid := range []string{"", " ", "!", `"`, "#", "$", "'", "*", "+"} {
				for _, final := range "cnpqtuvwxyzRS" {
					fmt.Fprintf(&b, "\x1b[%s%s%s%c", prefix, params, mid, final)
				}
			}
		}
	}
	for _, q := range []string{`$q"p`, "$qm", "$qr", "$q q", "$q s", "+q544e", "+q436f", "+p", "=1s", ">|", "!|"} {
		b.WriteString("\x1bP" + q + "\x1b\\")
	}
	for n := range 130 {
		fmt.Fprintf(&b, "\x1b]%d;?\x07\x1b]4;%d;?\x1b\\\x1b]%d;rgb;?\x1b\\", n, n, n)
	}
	for _, n := range []int{633, 697, 701, 777, 1337, 5522, 9001} {
		fmt.Fprintf(&b, "\x1b]%d;?\x07\x1b]%d;ReportCellSize\x07", n, n)
	}
	b.WriteString("\x05\x1bZ\x1b_Gi=1,a=q;AAAA\x1b\\\x1b^q\x1b\\\x1bXq\x1b\\\x1bc")
	return b.String()
}

// whatDraws is what may come to a terminal of the command line beside text: by the grammar
// of ECMA-48, not by the program that is tested.
var (
	whatColours = regexp.MustCompile(`\x1b\[[0-9;:]*m`)
	whatDraws   = regexp.MustCompile(`\x1b(\[[0-9;:]*[A-MPSTXZ@` + "`" + `abdefgmrsu]|\[4[hl]|\[\?(1|6|7|12|25|47|104[789]|2004|2026)[hl]|\[!p|\[[0-9]* q|[()*+][0AB]|[78DEHM=>])`)
	obeyed      = regexp.MustCompile(`[\x00-\x06\x0b\x0c\x10-\x1f\x7f\x{80}-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}]`)
)

// onTerminal runs the command line on a terminal, and returns what the terminal gets.
func (s *server) onTerminal(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	words := []string{bin("vedette"), "--profile", s.profilePath()}
	for _, a := range args {
		words = append(words, "'"+strings.ReplaceAll(a, "'", `'\''`)+"'")
	}
	cmd := exec.Command("script", "-qec", strings.Join(words, " "), filepath.Join(t.TempDir(), "typescript"))
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("vedette %q on a terminal: %v\n%q", args, err, out)
	}
	return string(out)
}

// TestAHostileDeviceReachesNobody has a real agent bring names, contents and output that
// attack whoever looks at them: by the API, on the command line, and in a browser.
func TestAHostileDeviceReachesNobody(t *testing.T) {
	s := startServer(t)
	startAgent(t, s, "")
	d := s.onlyDevice(t)
	dir := t.TempDir()
	const page = "<!doctype html><script>window.__pwned=1;document.title='pwned'</script><img src=x onerror=window.__pwned=1>\n"
	names := []string{`"; filename=x.html`, "a\u202elmth.exe", "<img src=x onerror=window.__pwned=1>.html", "=cmd|' ~C calc'!A0.csv", "con", "..%2f..%2fpage.svg", "-rf", strings.Repeat("long", 50) + ".html", "ordinary.html"}
	for _, n := range names {
		must(t, os.WriteFile(filepath.Join(dir, n), []byte(page), 0o600))
	}
	hostile, asks := filepath.Join(dir, "hostile"), filepath.Join(dir, "asks")
	must(t, os.WriteFile(hostile, []byte(hostileText), 0o600))
	must(t, os.WriteFile(asks, []byte(questions()), 0o600))

	l := openLive(t, s, d.ID, "advanced")
	id := l.live.Session.ID
	for _, n := range names {
		if _, end := l.ok(`getfile "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(filepath.Join(dir, n)) + `"`); len(end.Files) != 1 {
			t.Fatalf("getfile %q brought %+v", n, end.Files)
		}
	}
	l.ok("cat " + hostile)
	shell := l.begin("shell")
	const typed = "cat hostile; cat asks; echo all' 'told\n"
	l.types(shell, "cd "+dir+"\n")
	l.types(shell, typed)
	l.says(shell, "all told")
	l.types(shell, "exit\n")
	l.until("the end of the shell", func(*client.LiveEvent) bool { return l.ends[shell] != nil })
	must(t, l.live.Send(t.Context(), client.LiveInput{Type: "close"}))
	l.until("the end", func(*client.LiveEvent) bool { return l.over != "" })

	t.Run("the API answers with files that are only saved", func(t *testing.T) {
		all, err := s.LiveSession(t.Context(), id)
		must(t, err)
		if len(all.Files) != len(names) {
			t.Fatalf("%d files of %d", len(all.Files), len(names))
		}
		paths := []string{"/transcript"}
		for _, f := range all.Files {
			paths = append(paths, fmt.Sprintf("/files/%d", f.Index))
		}
		for _, p := range paths {
			res := s.get(t, "/api/vedette/livesessions/"+id+p)
			kind, params, err := mime.ParseMediaType(res.Header.Get("Content-Disposition"))
			if err != nil || kind != "attachment" || obeyed.MatchString(params["filename"]) || strings.ContainsAny(params["filename"], `/\"<>:|*?%`+"\r\n") || params["filename"] == "con" || len(params["filename"]) > 200 {
				t.Errorf("%s: it is saved as %q (%q, %v)", p, params["filename"], res.Header.Get("Content-Disposition"), err)
			}
			h := res.Header
			if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") ||
				strings.Contains(h.Get("Content-Type"), "html") || strings.Contains(h.Get("Content-Type"), "svg") || h.Get("X-Frame-Options") != "DENY" {
				t.Errorf("%s: a browser may show it: %v", p, h)
			}
			if strings.HasPrefix(p, "/files") {
				if body, err := io.ReadAll(res.Body); err != nil || string(body) != page {
					t.Errorf("%s: %q, %v", p, body, err)
				}
			}
		}
	})

	t.Run("a terminal of the command line obeys nothing", func(t *testing.T) {
		for what, args := range map[string][]string{"the files": {"live", "get", id}, "the log": {"live", "log", id}, "JSON": {"live", "log", id, "-o", "json"}} {
			if out := s.onTerminal(t, "", args...); obeyed.MatchString(whatColours.ReplaceAllString(out, "")) {
				t.Errorf("%s: %q", what, out)
			}
		}
		// A script's output is what the device says, bytes and all.
		tells := filepath.Join(dir, "tells.sh")
		must(t, os.WriteFile(tells, []byte("#!/bin/sh\ncat "+hostile+"\n"), 0o600))
		s.cli(t, "library", "upload", tells)
		out := s.onTerminal(t, "", "live", "open", d.Name, "-c", "run tells.sh")
		if !strings.Contains(out, "^[]0;pwned") || obeyed.MatchString(whatColours.ReplaceAllString(out, "")) {
			t.Errorf("a command: %q", out)
		}
		out = s.onTerminal(t, "", "live", "replay", id, "--speed", "0")
		if !strings.Contains(out, "all told") || !strings.Contains(out, "^[]52;c;") {
			t.Errorf("the replay lacks what was told: %q", out)
		}
		if left := whatDraws.ReplaceAllString(out, ""); obeyed.MatchString(left) {
			t.Errorf("the replay has a terminal obey %q", obeyed.FindAllString(left, 5))
		}
		// What is no terminal gets the bytes as they are.
		if raw := s.cli(t, "live", "open", d.Name, "-c", "run tells.sh"); !strings.Contains(raw, "\x1b]0;pwned\x07") {
			t.Errorf("a file: %q", raw)
		}
	})

	t.Run("a browser only saves, and types no answers", func(t *testing.T) {
		journey(t, "", "https://"+s.addr, s.profile, "downloads", "SESSION="+id, "DEVICE="+d.Name, "ASKS="+asks)
		all, err := s.LiveSessions(t.Context(), client.List{})
		must(t, err)
		for _, n := range all {
			var cast bytes.Buffer
			must(t, s.LiveTranscript(t.Context(), n.ID, &cast))
			for _, line := range strings.Split(cast.String(), "\n") {
				var e []any
				if json.Unmarshal([]byte(line), &e) == nil && len(e) == 3 && e[1] == "i" && strings.ContainsAny(e[2].(string), "\x1b\u009b") {
					t.Errorf("session %s: a terminal answered %q", n.ID, e[2])
				}
			}
		}
	})
}

// get asks the API as the profile's application, and returns the answer as it is.
func (s *server) get(t testing.TB, path string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(s.cli(t, "token")))
	res, err := s.httpClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, res.Status)
	}
	return res
}

// ticketOf opens a session without its console, and returns its id and the ticket.
func (s *server) ticketOf(t *testing.T, device string) (id, ticket, socket string) {
	t.Helper()
	var opened struct {
		Session        struct{ ID string }
		Ticket, Socket string
	}
	await(t, "a session", func() error {
		return s.Do(t.Context(), http.MethodPost, "/api/vedette/machines/"+url.PathEscape(device)+"/livesessions", map[string]string{"Comment": "abuse"}, &opened)
	})
	return opened.Session.ID, opened.Ticket, "wss://" + s.addr + opened.Socket
}

// endOf waits until a session is over, and returns why.
func (s *server) endOf(t *testing.T, id string) string {
	t.Helper()
	why := ""
	await(t, "the end of the session "+id, func() error {
		n, err := s.LiveSession(t.Context(), id)
		if err != nil {
			return err
		}
		if why = n.Reason; n.State != "Ended" {
			return fmt.Errorf("it is %s", n.State)
		}
		return nil
	})
	return why
}
