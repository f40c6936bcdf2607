package hunt

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vedette-edr/vedette/kql"
	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/schema/event"
	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/ident"
)

// part is the name under which lookups are recorded.
const part = "lookup"

// lookup runs a text of this package as the server itself.
func (s *Service) lookup(ctx context.Context, tenant ident.TenantID, text string) (*table, error) {
	q, rows, err := s.run(ctx, access.System(tenant, part), nil, Request{Query: text}, s.now())
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	t, err := newTable(q, rows)
	return t, errs.Wrap("hunt.lookup", err)
}

// literal renders a device's id for a query. What is no id would be text of the query's
// author, so it is refused and not quoted.
func literal(op string, device ident.DeviceID) (string, error) {
	if d, ok := ident.ParseDeviceID(string(device)); !ok || d != device {
		return "", errs.New(op, errs.NotFound, errs.ResourceNotFound, "Machine was not found")
	}
	return types.NewString(string(device)).Literal(), nil
}

// Find returns the event of a device that has this Timestamp and ReportId, whichever
// table of events it is in, or errs.NotFound. at is exact to 100 ns; what is finer is cut
// off. Permission is decided by the caller, before.
func (s *Service) Find(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, at time.Time, report int64) (*Event, error) {
	const op = "hunt.Find"
	id, err := literal(op, device)
	if err != nil {
		return nil, err
	}
	where := fmt.Sprintf("where Timestamp == %s and DeviceId == %s and ReportId == %s",
		types.NewDatetime(types.FromTime(at)).Literal(), id, types.NewLong(report).Literal())
	var legs []string
	for t := event.TableUnknown + 1; t.Valid(); t++ {
		legs = append(legs, fmt.Sprintf("(%s | %s | extend %s = %s)", t, where, tableColumn, types.Quote(t.String())))
	}
	rows, err := s.lookup(ctx, tenant, "union "+strings.Join(legs, ", ")+" | take 1")
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	if len(rows.rows) == 0 {
		return nil, errs.New(op, errs.NotFound, errs.ResourceNotFound, "Event %d of machine %s at %s was not found",
			report, device, types.FormatDatetime(types.FromTime(at)))
	}
	return rows.event(rows.rows[0]), nil
}

// LogonUser is an account that logged on to a device.
type LogonUser struct {
	Account     event.Account
	First, Last time.Time // logons within the time asked for
	Types       []string  // of those logons: Interactive, Network, …; sorted, "" left out
}

// maxUsers bounds the accounts of one answer; those that logged on last are kept.
const maxUsers = 10_000

// LogonUsers returns who logged on to a device since a time, last logon first. Permission
// is decided by the caller, before.
func (s *Service) LogonUsers(ctx context.Context, tenant ident.TenantID, device ident.DeviceID, since time.Time) ([]LogonUser, error) {
	const op = "hunt.LogonUsers"
	id, err := literal(op, device)
	if err != nil {
		return nil, err
	}
	rows, err := s.lookup(ctx, tenant, fmt.Sprintf(`DeviceLogonEvents
		| where Timestamp >= %s and DeviceId == %s and ActionType == "LogonSuccess" and isnotempty(AccountName)
		| summarize First = min(Timestamp), (Last, Sid) = arg_max(Timestamp, AccountSid), Types = array_sort_asc(make_set(LogonType))
			by AccountDomain, AccountName
		| top %d by Last desc, AccountDomain asc, AccountName asc`,
		types.NewDatetime(types.FromTime(since)).Literal(), id, maxUsers))
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	out := make([]LogonUser, 0, len(rows.rows))
	for _, r := range rows.rows {
		u := LogonUser{
			Account: event.Account{Name: rows.text(r, "AccountName"), Domain: rows.text(r, "AccountDomain"), SID: rows.text(r, "Sid")},
			First:   rows.time(r, "First"), Last: rows.time(r, "Last"),
		}
		kinds, _ := rows.cell(r, "Types").D.([]any)
		for _, k := range kinds {
			if k, ok := k.(string); ok && k != "" {
				u.Types = append(u.Types, k)
			}
		}
		out = append(out, u)
	}
	return out, nil
}

// table is a result whose cells are read by column name.
type table struct {
	index map[string]int
	rows  [][]types.Value
}

func newTable(q *kql.Query, r *Result) (*table, error) {
	t := &table{index: make(map[string]int, len(q.Columns))}
	for i, c := range q.Columns {
		t.index[c.Name] = i
	}
	for row, err := range r.Rows.All() {
		if err != nil {
			return nil, err
		}
		t.rows = append(t.rows, slices.Clone(row))
	}
	return t, nil
}

// cell returns a cell, null for a column that the result does not have.
func (t *table) cell(row []types.Value, column string) types.Value {
	if i, ok := t.index[column]; ok {
		return row[i]
	}
	return types.Value{Null: true}
}

func (t *table) text(row []types.Value, column string) string {
	if v := t.cell(row, column); !v.Null {
		return v.S
	}
	return ""
}

func (t *table) number(row []types.Value, column string) int64 {
	if v := t.cell(row, column); !v.Null {
		return v.I
	}
	return 0
}

func (t *table) time(row []types.Value, column string) time.Time {
	if v := t.cell(row, column); !v.Null {
		return types.ToTime(v.I)
	}
	return time.Time{}
}
