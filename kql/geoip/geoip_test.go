package geoip_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/eval"
	"github.com/vedette-edr/vedette/kql/geoip"
	"github.com/vedette-edr/vedette/kql/kqltest"
)

// write makes a database with MaxMind's own writer.
func write(t *testing.T) string {
	t.Helper()
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City"})
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string) mmdbtype.Map {
		return mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(name), "de": mmdbtype.String("?")}}
	}
	for network, record := range map[string]mmdbtype.Map{
		"20.53.203.0/24": {"country": named("Australia"), "subdivisions": mmdbtype.Slice{named("New South Wales"), named("x")}, "city": named("Sydney"),
			"location": mmdbtype.Map{"latitude": mmdbtype.Float64(-33.8715), "longitude": mmdbtype.Float64(151.2006)}},
		"2a03:2880::/32": {"country": named("United States")},
		"8.8.8.0/24":     {"country": mmdbtype.String("not a map")},
	} {
		_, n, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Insert(n, record); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "city.mmdb")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteTo(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPlaces(t *testing.T) {
	db, err := geoip.Open(write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for ip, want := range map[string]string{
		"20.53.203.50":                         `{"country":"Australia","state":"New South Wales","city":"Sydney","latitude":-33.8715,"longitude":151.2006}`,
		"::ffff:20.53.203.50":                  `{"country":"Australia","state":"New South Wales","city":"Sydney","latitude":-33.8715,"longitude":151.2006}`,
		"20.53.203.0/24":                       `{"country":"Australia","state":"New South Wales","city":"Sydney","latitude":-33.8715,"longitude":151.2006}`,
		"2a03:2880:f12c:83:face:b00c::25de":    `{"country":"United States"}`,
		"192.0.2.1":                            `{}`,
		"8.8.8.8":                              `{}`,
		"fe80::1%eth0":                         `{}`,
		"2a03:2880:f12c:83:face:b00c::25de/64": `{"country":"United States"}`,
		"nonsense":                             "",
		"":                                     "",
	} {
		q, err := kql.Compile("print p = geo_info_from_ip_address('"+ip+"')", &kqltest.Data{}, kql.Options{})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := eval.Run(context.Background(), q.Root, nil, eval.Limits{Places: db})
		if err != nil {
			t.Fatal(err)
		}
		if got := rows[0][0].Text(); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
}

func TestFilesThatAreNoDatabase(t *testing.T) {
	whole, err := os.ReadFile(write(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"empty": nil, "text": []byte("country"), "cut": whole[:len(whole)/2]} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if db, err := geoip.Open(path); err == nil {
			db.Close()
			t.Errorf("%s was opened", name)
		}
	}
	if _, err := geoip.Open("/none"); err == nil {
		t.Error("a file that is not there was opened")
	}
}
