package api_test

import (
	"mime"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vedette-edr/vedette/server/api"
)

func TestADownloadHasANameThatIsOnlyAName(t *testing.T) {
	for name, want := range map[string]string{
		"package.zip": "package.zip", "x.gz": "x.gz", ".bashrc": ".bashrc", "two words.txt": "two words.txt", "naïve.txt": "naïve.txt", "日本.txt": "日本.txt",
		"../../etc/passwd": "passwd", `..\..\boot.ini`: "boot.ini", "/": "file", "": "file", ".": "file", "..": "file", "...": "file", "a/..": "file",
		"invoice\u202egnp.exe": "invoice_gnp.exe", "a\x00b": "a_b", "a\r\nSet-Cookie: x=1": "a__Set-Cookie_ x=1", "a\x1b]0;pwned\x07": "a_]0;pwned_", "zero\u200bwidth": "zero_width",
		`a"; filename="b.html`: "a_; filename=_b.html", "a.txt:stream": "a.txt_stream", "a%2fb": "a_2fb", "con": "_con", "NUL.txt": "_NUL.txt", "com1": "_com1", "Lpt9.log": "_Lpt9.log",
		"console.log": "console.log", "trailing. . ": "trailing", "-rf": "_rf", "a-b": "a-b", "\xff\xfe": "_", "<img src=x onerror=alert(1)>": "_img src=x onerror=alert(1)_", "a|b": "a_b",
	} {
		if got := api.FileName(name); got != want {
			t.Errorf("%q is saved as %q, want %q", name, got, want)
		}
	}
	for _, long := range []string{strings.Repeat("x", 4000) + ".txt", strings.Repeat("日", 4000) + ".txt", strings.Repeat("é", 300) + "." + strings.Repeat("e", 300)} {
		got := api.FileName(long)
		if len(got) > 200 || !utf8.ValidString(got) || strings.HasSuffix(long, ".txt") && !strings.HasSuffix(got, ".txt") {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
}

// What a browser reads of the header is the name, whatever the name was.
func FuzzAttachment(f *testing.F) {
	for _, s := range []string{"a", `a";b`, "é", "\u202e", "a\nb", strings.Repeat("x", 300), "con", "a;b=c", "a'b", "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		h := http.Header{}
		api.Attachment(h, name, "application/octet-stream")
		kind, params, err := mime.ParseMediaType(h.Get("Content-Disposition"))
		if err != nil || kind != "attachment" || len(params) != 1 || params["filename"] != api.FileName(name) {
			t.Errorf("%q: %q is %s %q, %v", name, h.Get("Content-Disposition"), kind, params, err)
		}
		if again := api.FileName(api.FileName(name)); again != api.FileName(name) {
			t.Errorf("%q becomes %q becomes %q", name, api.FileName(name), again)
		}
		if strings.ContainsAny(params["filename"], "/\\\"\r\n\x00") {
			t.Errorf("%q is saved as %q", name, params["filename"])
		}
	})
}
