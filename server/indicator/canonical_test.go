package indicator

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-edr/vedette/server/errs"
)

func TestValuesHaveOneSpelling(t *testing.T) {
	for _, c := range []struct {
		kind      Kind
		in, want  string
		forbidden errs.Code
	}{
		{kind: KindSHA1, in: " DEAD1111EEAABBCCDDEEAABBCCDDEE11FFFFFFFF ", want: "dead1111eeaabbccddeeaabbccddee11ffffffff"},
		{kind: KindSHA1, in: "dead", forbidden: errs.InvalidHashValue},
		{kind: KindSHA256, in: strings.Repeat("g", 64), forbidden: errs.InvalidHashValue},
		{kind: KindMD5, in: strings.Repeat("0", 32), want: strings.Repeat("0", 32)},
		{kind: KindIP, in: "052.184.197.12", forbidden: errs.InvalidIPAddress},
		{kind: KindIP, in: "52.184.197.12", want: "52.184.197.12"},
		{kind: KindIP, in: "::FFFF:52.184.197.12", want: "52.184.197.12"},
		{kind: KindIP, in: "2001:DB8:0:0::1", want: "2001:db8::1"},
		{kind: KindIP, in: "fe80::1%eth0", forbidden: errs.InvalidIPAddress},
		{kind: KindIP, in: "10.1.2.3/8", want: "10.0.0.0/8"},
		{kind: KindIP, in: "10.1.2.3/32", want: "10.1.2.3"},
		{kind: KindIP, in: "::ffff:10.1.2.3/104", want: "10.0.0.0/8"},
		{kind: KindIP, in: "0.0.0.0/0", forbidden: errs.InvalidIPAddress},
		{kind: KindDomain, in: "EVIL.Example.", want: "evil.example"},
		{kind: KindDomain, in: "bücher.example", want: "xn--bcher-kva.example"},
		{kind: KindDomain, in: "_dmarc.example", want: "_dmarc.example"},
		{kind: KindDomain, in: "*.example", forbidden: errs.InvalidDomainName},
		{kind: KindDomain, in: "a..example", forbidden: errs.InvalidDomainName},
		{kind: KindDomain, in: "10.0.0.1", forbidden: errs.InvalidDomainName},
		{kind: KindDomain, in: strings.Repeat("a", 64) + ".example", forbidden: errs.InvalidDomainName},
		{kind: KindDomain, in: strings.Repeat("a.", 127) + "example", forbidden: errs.InvalidDomainName},
		{kind: KindDomain, in: "evil.example/path", forbidden: errs.InvalidDomainName},
		{kind: KindURL, in: "HTTP://User@EVIL.example:80/Path?q=A#f", want: "http://evil.example/Path?q=A"},
		{kind: KindURL, in: "https://evil.example:443/", want: "https://evil.example"},
		{kind: KindURL, in: "evil.example:8080/a", want: "evil.example:8080/a"},
		{kind: KindURL, in: "http://[2001:DB8::1]:80/x", want: "http://[2001:db8::1]/x"},
		{kind: KindURL, in: "http:///nohost", forbidden: errs.InvalidURL},
		{kind: KindURL, in: "http://a b/", forbidden: errs.InvalidURL},
		{kind: KindURL, in: "http://evil.example/" + strings.Repeat("a", maxValue), forbidden: errs.InvalidInput},
		{kind: KindURL, in: "", forbidden: errs.MissingRequiredParameter},
	} {
		got, err := canonicalValue(c.kind, c.in)
		var e *errs.E
		if c.forbidden != "" {
			if !errors.As(err, &e) || e.Code != c.forbidden || e.Kind != errs.Invalid {
				t.Errorf("%q: %q, %v, want %s", clip(c.in), got, err, c.forbidden)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("%q: %q, %v, want %q", c.in, got, err, c.want)
		}
	}
}

// FuzzCanonicalValue checks that what is accepted is its own canonical form.
func FuzzCanonicalValue(f *testing.F) {
	for _, s := range []string{"52.184.197.12", "10.0.0.0/8", "EVIL.example.", "http://x.test:80/a?b#c", "bücher.test", "xn--a", "[::1]:80/"} {
		for k := KindSHA1; k < kindEnd; k++ {
			f.Add(uint8(k), s)
		}
	}
	f.Fuzz(func(t *testing.T, k uint8, s string) {
		kind := Kind(k % uint8(kindEnd))
		once, err := canonicalValue(kind, s)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		twice, err := canonicalValue(kind, once)
		if err != nil || twice != once {
			t.Fatalf("%q became %q, and that %q (%v)", s, once, twice, err)
		}
	})
}

func TestDefinitionBounds(t *testing.T) {
	valid := func() *Definition {
		return &Definition{Name: "n", Severity: "mEDIUM", Category: "trojan", Title: "t"}
	}
	d := valid()
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	if d.Severity != Medium || d.Category != "Trojan" {
		t.Errorf("enums are not canonical: %s, %s", d.Severity, d.Category)
	}
	for place, change := range map[string]func(*Definition){
		"Name is missing":             func(d *Definition) { d.Name = "" },
		"Name has 101":                func(d *Definition) { d.Name = strings.Repeat("ü", 101) },
		"InternalDescription has 351": func(d *Definition) { d.InternalDescription = strings.Repeat("x", 351) },
		"Title has 121":               func(d *Definition) { d.Title = strings.Repeat("x", 121) },
		"UxDescription has 501":       func(d *Definition) { d.Description = strings.Repeat("x", 501) },
		"RecommendedAction has 2001":  func(d *Definition) { d.RecommendedAction = strings.Repeat("x", 2001) },
		"Title is not valid UTF-8":    func(d *Definition) { d.Title = "\xff" },
		`Severity: "Grave"`:           func(d *Definition) { d.Severity = "Grave" },
		"Severity is missing":         func(d *Definition) { d.Severity = "" },
		`Category: "Grave"`:           func(d *Definition) { d.Category = "Grave" },
	} {
		d := valid()
		change(d)
		if err := d.Validate(); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), place) {
			t.Errorf("%v, want it to say %q", err, place)
		}
	}
	full := &Definition{
		Name: strings.Repeat("ü", 100), InternalDescription: strings.Repeat("x", 350), Title: strings.Repeat("x", 120),
		Description: strings.Repeat("x", 500), RecommendedAction: strings.Repeat("x", 2000), Severity: Low, Category: "None",
	}
	if err := full.Validate(); err != nil {
		t.Errorf("texts of the greatest length: %v", err)
	}
}

func TestIOCAndIndicatorRules(t *testing.T) {
	i := &IOC{Type: "SHA1", Function: "equals", Value: strings.Repeat("A", 40), Definition: 1, Expires: time.Date(2030, 1, 1, 0, 0, 0, 999, time.FixedZone("", 3600))}
	if err := i.Validate(); err != nil {
		t.Fatal(err)
	}
	want := &IOC{Type: SHA1, Function: Equals, Value: strings.Repeat("a", 40), Definition: 1, Expires: time.Date(2029, 12, 31, 23, 0, 0, 0, time.UTC)}
	if d := cmp.Diff(want, i); d != "" {
		t.Error(d)
	}
	for _, c := range []struct {
		says string
		ioc  IOC
	}{
		{"odata.bind is missing", IOC{Type: IPAddress, Value: "10.0.0.1"}},
		{`Type: "Url"`, IOC{Type: URL, Value: "http://x.test/", Definition: 1}},
		{`DetectionFunction: "StartsWith"`, IOC{Type: Domain, Function: "StartsWith", Value: "x", Definition: 1}},
		{"cannot be part of", IOC{Type: MD5, Function: Contains, Value: "xyz", Definition: 1}},
		{"cannot be part of", IOC{Type: IPAddress, Function: StartWith, Value: "10.0.0.*", Definition: 1}},
		{"missing", IOC{Type: Domain, Function: Contains, Value: " ", Definition: 1}},
	} {
		if err := c.ioc.Validate(); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want it to say %q", err, c.says)
		}
	}
	base := Indicator{Type: IPAddress, Value: "10.0.0.1", Action: "block", Title: "t", Description: "d"}
	for _, c := range []struct {
		says   string
		change func(*Indicator)
	}{
		{"", func(*Indicator) {}},
		{"is invalid", func(i *Indicator) { i.Value = "10.0.0.0/0" }},
		{"title is missing", func(i *Indicator) { i.Title = "" }},
		{"description is missing", func(i *Indicator) { i.Description = "" }},
		{"generateAlert must be true", func(i *Indicator) { i.Action = Audit }},
		{"", func(i *Indicator) { i.Action, i.GenerateAlert = Audit, true }},
		{"files only", func(i *Indicator) { i.Action = BlockAndRemediate }},
		{"", func(i *Indicator) {
			i.Type, i.Value, i.Action = FileMD5, strings.Repeat("0", 32), BlockAndRemediate
		}},
		{"indicatorType is missing", func(i *Indicator) { i.Type = "" }},
	} {
		i := base
		c.change(&i)
		err := i.Validate()
		if c.says == "" && err != nil || c.says != "" && (!errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%+v: %v, want %q", i, err, c.says)
		}
	}
}
