package hunt

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// Thing is what can be seen on devices.
type Thing uint8

// The things. Values are a hash in lower-case hexadecimal, a canonical address, a domain
// name in lower case, and a bare account name.
const (
	FileSHA1 Thing = iota
	FileSHA256
	Address
	Domain
	User
)

// Sighting is one device that saw a thing, within the time asked for.
type Sighting struct {
	Device      ident.DeviceID
	First, Last time.Time
	// What follows is of files alone.
	Names             []string // by which it went, at most maxNames
	Paths             []string // where it was, at most maxPaths
	SHA1, SHA256, MD5 string   // "" where no event told it
	Size              int64    // bytes; -1 where no event told it
	// Accounts are of users alone.
	Accounts []LogonUser
}

// maxNames bounds the names of a file on one device.
const maxNames = 10

// maxPaths bounds its places there.
const maxPaths = 32

// maxSightings bounds the devices of one answer; those that saw it last are kept.
const maxSightings = 100_000

// legs are the tables that tell of a thing, each with the predicate that finds it.
type leg struct{ table, where, project string }

// Images of processes are in every table of events, because each row says whose doing it
// was: a program that runs and does nothing of note is seen by what it started or opened.
var (
	fileTables  = []string{"DeviceProcessEvents", "DeviceFileEvents", "DeviceImageLoadEvents", "DeviceEvents"}
	imageTables = []string{"DeviceProcessEvents", "DeviceNetworkEvents", "DeviceFileEvents", "DeviceImageLoadEvents", "DeviceEvents", "DeviceLogonEvents"}
	ipTables    = []string{"DeviceNetworkEvents", "DeviceLogonEvents", "DeviceEvents"}
	urlTables   = []string{"DeviceNetworkEvents", "DeviceEvents"}
)

func legsOf(thing Thing, value string) []leg {
	v := types.NewString(value).Literal()
	var out []leg
	switch thing {
	case FileSHA1, FileSHA256:
		column := "SHA1"
		if thing == FileSHA256 {
			column = "SHA256"
		}
		for _, t := range fileTables {
			out = append(out, leg{t, column + " == " + v, "DeviceId, Timestamp, Name = FileName, Path = FolderPath, S1 = SHA1, S256 = SHA256, M = MD5, Size = FileSize"})
		}
		const i = "InitiatingProcess"
		for _, t := range imageTables {
			out = append(out, leg{t, i + column + " == " + v, "DeviceId, Timestamp, Name = " + i + "FileName, Path = " + i + "FolderPath, S1 = " + i + "SHA1, S256 = " + i +
				"SHA256, M = " + i + "MD5, Size = " + i + "FileSize"})
		}
	case Address:
		for _, t := range ipTables {
			out = append(out, leg{t, "RemoteIP == " + v, "DeviceId, Timestamp"})
		}
	case Domain:
		for _, t := range urlTables {
			out = append(out, leg{t, "RemoteUrl =~ " + v, "DeviceId, Timestamp"})
		}
	case User:
		out = append(out, leg{"DeviceLogonEvents", `ActionType == "LogonSuccess" and AccountName =~ ` + v, "DeviceId, Timestamp, AccountDomain, AccountName, AccountSid, LogonType"})
	}
	return out
}

// Sightings returns the devices that saw a thing since a time, last sighting first. Which
// devices are told is the scope of the caller of ctx; the permission to ask is decided by
// the caller, before. The value is one that the thing's parser has accepted.
func (s *Service) Sightings(ctx context.Context, tenant ident.TenantID, thing Thing, value string, since time.Time) ([]Sighting, error) {
	const op = "hunt.Sightings"
	var legs []string
	for _, l := range legsOf(thing, value) {
		legs = append(legs, fmt.Sprintf("(%s | where Timestamp >= %s and %s | project %s)", l.table,
			types.NewDatetime(types.FromTime(since)).Literal(), l.where, l.project))
	}
	by, more := "DeviceId", ""
	switch thing {
	case FileSHA1, FileSHA256:
		more = fmt.Sprintf(", Names = make_set(Name, %d), Paths = make_set(Path, %d), S1 = max(S1), S256 = max(S256), M = max(M), Size = max(Size)", maxNames, maxPaths)
	case User:
		by, more = "DeviceId, AccountDomain, AccountName", ", Sid = max(AccountSid), Types = array_sort_asc(make_set(LogonType))"
	}
	rows, err := s.lookupWithin(ctx, tenant, fmt.Sprintf("union %s | summarize First = min(Timestamp), Last = max(Timestamp)%s by %s | top %d by Last desc, DeviceId asc",
		strings.Join(legs, ", "), more, by, maxSightings))
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	var out []Sighting
	at := map[ident.DeviceID]int{}
	for _, r := range rows.rows {
		g := Sighting{Device: ident.DeviceID(rows.text(r, "DeviceId")), First: rows.time(r, "First"), Last: rows.time(r, "Last"),
			SHA1: rows.text(r, "S1"), SHA256: rows.text(r, "S256"), MD5: rows.text(r, "M"), Size: -1, Names: rows.texts(r, "Names"), Paths: rows.texts(r, "Paths")}
		if size := rows.cell(r, "Size"); !size.Null {
			g.Size = size.I
		}
		i, known := at[g.Device]
		if !known {
			i = len(out)
			at[g.Device] = i
			out = append(out, g)
		}
		if thing == User {
			out[i].First, out[i].Last = earlier(out[i].First, g.First), later(out[i].Last, g.Last)
			u := LogonUser{First: g.First, Last: g.Last, Types: rows.texts(r, "Types")}
			u.Account.Domain, u.Account.Name, u.Account.SID = rows.text(r, "AccountDomain"), rows.text(r, "AccountName"), rows.text(r, "Sid")
			out[i].Accounts = append(out[i].Accounts, u)
		}
	}
	return out, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// lookupWithin runs a text of this package as the server itself, over the devices that the
// caller of ctx sees.
func (s *Service) lookupWithin(ctx context.Context, tenant ident.TenantID, text string) (*table, error) {
	p := access.System(tenant, part)
	p.Scope = access.ScopeOf(ctx)
	within, err := s.within(ctx, p)
	if err != nil {
		return nil, err
	}
	q, rows, err := s.run(ctx, p, within, Request{Query: text}, s.now())
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	return newTable(q, rows)
}

// texts reads a dynamic cell that is a list of strings; "" is left out.
func (t *table) texts(row []types.Value, column string) []string {
	list, _ := t.cell(row, column).D.([]any)
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok && s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
