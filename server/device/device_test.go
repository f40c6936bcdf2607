package device_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vedette-edr/vedette/server/device"
	"github.com/vedette-edr/vedette/server/errs"
)

const report = `{"hostname":"web-1","fqdn":"Web-1.Example.net","os":{"platform":"Linux","distribution":"Debian","version":"12","build":0,
 "kernel":"6.1.0","architecture":"64-bit","processor":"x64"},"loggedOn":[{"userName":"alice","domainName":"web-1","sid":"1000"}],
 "interfaces":[{"name":"lo","type":"Loopback","status":"Up","addresses":[{"ip":"127.0.0.1","prefix":8}]},
  {"name":"eth0","mac":"02:00:00:00:00:01","type":"Ethernet","status":"Up","gateways":["192.0.2.1"],
   "addresses":[{"ip":"fe80::1","prefix":64},{"ip":"2001:db8::7","prefix":64},{"ip":"192.0.2.7","prefix":24}]}],
 "dns":["192.0.2.53"],"fingerprint":{"machineId":"abc"},"somethingNew":{"x":1}}`

func TestInventoryIsReadFromTheAgentsReport(t *testing.T) {
	v, err := device.ParseInventory([]byte(report))
	if err != nil {
		t.Fatal(err)
	}
	if v.Name() != "web-1.example.net" || v.MachineID != "abc" || v.Users[0].Name != "alice" || v.Gateways[0] != "192.0.2.1" {
		t.Errorf("got %+v", v)
	}
	d := device.Device{Inventory: v}
	for ip, want := range map[string]bool{"192.0.2.7": true, "::ffff:192.0.2.7": true, "2001:db8::7": true, "192.0.2.8": false} {
		if d.HasIP(netip.MustParseAddr(ip)) != want {
			t.Errorf("HasIP(%s) is not %v", ip, want)
		}
	}
}

func TestHostileInventoriesAreRefusedByPlace(t *testing.T) {
	for place, text := range map[string]string{
		"not the JSON":               `[`,
		"os.build":                   `{"os":{"build":"x"}}`,
		"hostname":                   `{"hostname":"` + strings.Repeat("x", 2000) + `"}`,
		"interfaces[1].addresses[0]": `{"interfaces":[{},{"addresses":[{"ip":"1.2.3","prefix":8}]}]}`,
		"dns[0]":                     `{"dns":["resolver"]}`,
		"UTF-8":                      "{\"hostname\":\"\xff\"}",
		"more than":                  `{"hostname":"` + strings.Repeat("x", device.MaxInventory) + `"}`,
	} {
		_, err := device.ParseInventory([]byte(text))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), place) {
			t.Errorf("%s: got %v", place, err)
		}
	}
}

func TestHealthFollowsWhatArrives(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	day := 24 * time.Hour
	for _, c := range []struct {
		name string
		d    device.Device
		want device.Health
	}{
		{"never seen", device.Device{}, device.Unknown},
		{"all well", device.Device{FirstSeen: ago(day), LastSeen: now, LastReport: now, LastData: ago(time.Minute)}, device.Active},
		{"switched off for a day", device.Device{FirstSeen: ago(9 * day), LastSeen: ago(day), LastReport: ago(day), LastData: ago(day)}, device.Active},
		{"silent for eight days", device.Device{FirstSeen: ago(9 * day), LastSeen: ago(8 * day), LastReport: ago(8 * day), LastData: ago(8 * day)}, device.Inactive},
		{"telemetry without reports", device.Device{FirstSeen: ago(day), LastSeen: now, LastReport: ago(time.Hour), LastData: now}, device.Impaired},
		{"reports and an old spool", device.Device{FirstSeen: ago(day), LastSeen: now, LastReport: now, LastData: ago(2 * time.Hour),
			Spool: device.Spool{Oldest: ago(time.Hour)}}, device.Impaired},
		{"reports and no telemetry", device.Device{FirstSeen: ago(5 * day), LastSeen: now, LastReport: now, LastData: ago(3 * day)}, device.NoSensorData},
		{"no facility works", device.Device{FirstSeen: ago(day), LastSeen: now, LastReport: now, LastData: now,
			Facilities: []device.Facility{{Name: "bpf", State: "missing"}}}, device.NoSensorData},
		{"only what acts works", device.Device{FirstSeen: ago(day), LastSeen: now, LastReport: now, LastData: now,
			Facilities: []device.Facility{{Name: "bpf", State: "missing"}, {Name: "nftables", State: "working"},
				{Name: "enforce", State: "working"}, {Name: "enforce:address", State: "working"}}}, device.NoSensorData},
		{"one sensor works in part", device.Device{FirstSeen: ago(day), LastSeen: now, LastReport: now, LastData: now,
			Facilities: []device.Facility{{Name: "bpf", State: "missing"}, {Name: "audit:readlog", State: "degraded"}}}, device.Active},
		{"neither", device.Device{FirstSeen: ago(5 * day), LastSeen: now, LastReport: now, LastData: ago(3 * day),
			Spool: device.Spool{Oldest: ago(2 * day)}}, device.NoSensorDataImpaired},
	} {
		if got := c.d.Health(now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
