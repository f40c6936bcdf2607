package e2e

import (
	"compress/gzip"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExternaldata has the server fetch lists for hunts, from a host and from its
// directory, and refuse everything that it was not told to fetch.
func TestExternaldata(t *testing.T) {
	asked := 0
	lists := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch r.URL.Path {
		case "/ips.csv.gz":
			z := gzip.NewWriter(w)
			defer z.Close()
			_, _ = io.WriteString(z, "ip,score\n192.0.2.7,9\n192.0.2.8,1\n")
		case "/inside":
			http.Redirect(w, r, "https://127.0.0.2/secret", http.StatusFound)
		case "/bomb.gz":
			z := gzip.NewWriter(w)
			defer z.Close()
			zeros := make([]byte, 1<<20)
			for range 1000 {
				if _, err := z.Write(zeros); err != nil {
					return
				}
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer lists.Close()
	dir := t.TempDir()
	authority := filepath.Join(t.TempDir(), "authority.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: lists.Certificate().Raw})
	if err := os.WriteFile(authority, block, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "names.txt"), []byte("curl\nnc\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", authority)
	host := lists.Listener.Addr().String()
	s := &server{dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), flags: []string{"--external-host", host, "--external-host", "127.0.0.2", "--external-network", "127.0.0.1/32", "--external-dir", dir}}
	s.start(t)

	rows := s.hunt(t, `let L = externaldata(ip:string, score:long)["https://`+host+`/ips.csv.gz"] with (format="csv", ignoreFirstRecord=true);
		L | where score > 5 | extend known = ip in ((L | project ip)) | join kind=leftouter (DeviceNetworkEvents | summarize n = count() by RemoteIP) on $left.ip == $right.RemoteIP`).Results
	if len(rows) != 1 || rows[0]["ip"] != "192.0.2.7" || rows[0]["known"] != true {
		t.Errorf("rows of the list: %v", rows)
	}
	if asked != 1 {
		t.Errorf("the list was fetched %d times", asked)
	}
	if rows := s.hunt(t, `externaldata(name:string)["names.txt"] | summarize names = make_list(name)`).Results; mustJSON(t, rows) != `[{"names":["curl","nc"]}]` {
		t.Errorf("rows of the directory: %v", rows)
	}
	for text, want := range map[string]string{
		"print x = 1\n| join (externaldata(x:long)['https://other.test/x']) on x": "2:30: KQL0110",
		"externaldata(x:string)['https://169.254.169.254/latest/meta-data/']":     "does not list the host",
		"externaldata(x:string)['https://" + host + "/inside']":                   "may not connect to",
		"externaldata(x:string)['https://" + host + "/none']":                     "404 Not Found",
		"externaldata(x:string)['https://" + host + "/bomb.gz']":                  "more than 100 MiB",
		"externaldata(x:string)['https://127.0.0.2/secret']":                      "may not connect to",
		"externaldata(x:string)['/etc/passwd']":                                   "no such file",
		"externaldata(x:string)['../../etc/passwd']":                              "no such file",
		"externaldata(x:string)['file:///etc/passwd']":                            "no such file",
		"externaldata(x:string)['names.txt'] with (format='avro')":                "not supported",
	} {
		_, err := s.Hunt(context.Background(), text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "KQL0110") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestExternaldataIsOff asks a server whose administrator said nothing about it.
func TestExternaldataIsOff(t *testing.T) {
	s := startServer(t)
	for _, uri := range []string{"https://example.com/list.csv", "/etc/passwd", "bootstrap.json"} {
		if _, err := s.Hunt(context.Background(), "externaldata(x:string)['"+uri+"']"); err == nil || !strings.Contains(err.Error(), "not available on this server") {
			t.Errorf("%s: %v", uri, err)
		}
	}
}
