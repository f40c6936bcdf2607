package store

import (
	"context"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/ident"
)

// This file keeps callers within their device groups. Every read of a noun that belongs to
// a device goes through table.visible, which takes the scope from the context: a method
// that is written tomorrow cannot forget it, and a row out of scope is as absent as one of
// another tenant, for reading, counting and changing. The group of a device is a column of
// the device's row alone, so that sorting devices anew rewrites no alert and no action.

// groups marks, in table.scope, where the list of groups goes.
const groups = "@groups"

// groupTexts marks where the list of groups goes as texts, for columns of JSON arrays.
const groupTexts = "@group-texts"

// ofDevice is the scope of a table whose rows name their device in a column.
func ofDevice(table, column string) string {
	return "EXISTS (SELECT 1 FROM device WHERE device.id = " + table + "." + column + " AND device.tenant = " + table + ".tenant AND device.grp IN " + groups + ")"
}

// visible returns the predicate of the rows that the caller of ctx may see, "" when that
// is all of them. Groups are numbers, so that they stand in the text.
func (t *table) visible(ctx context.Context) string {
	if t.scope == "" {
		return ""
	}
	s := access.ScopeOf(ctx)
	switch {
	case s.All:
		return ""
	case len(s.Groups) == 0:
		return " AND " + truth(false)
	}
	return " AND " + strings.NewReplacer(groupTexts, groupList(s, "'"), groups, groupList(s, "")).Replace(t.scope)
}

// unscoped returns a context whose caller sees every device, for what the store itself
// must know to do what it was asked.
func unscoped(ctx context.Context) context.Context {
	p, err := access.FromContext(ctx)
	if err != nil || p.Scope.All {
		return ctx
	}
	all := *p
	all.Scope = access.Everything
	return access.WithPrincipal(ctx, &all)
}

// fewDevices is up to how many devices a list goes through their rows, and not through the
// rows of the whole tenant in the list's order, most of which would be out of scope.
const fewDevices = 200

// listed is visible for lists, with the parameters of the predicate.
func (t *table) listed(ctx context.Context, q querier, tenant ident.TenantID) (string, []any, error) {
	s := access.ScopeOf(ctx)
	if t.device == "" || s.All || len(s.Groups) == 0 {
		return t.visible(ctx), nil, nil
	}
	rows, err := q.QueryContext(ctx, "SELECT id FROM device WHERE tenant = ? AND grp IN "+groupList(s, "")+" LIMIT ?", string(tenant), fewDevices+1)
	if err != nil {
		return "", nil, err
	}
	defer rows.Close()
	var ids []any
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return "", nil, err
		}
		ids = append(ids, id)
	}
	switch {
	case rows.Err() != nil:
		return "", nil, rows.Err()
	case len(ids) == 0:
		return " AND " + truth(false), nil, nil
	case len(ids) > fewDevices:
		return t.visible(ctx), nil, nil
	}
	// A list of values, because planners do not know how few a sub-query returns.
	return " AND " + t.name + "." + t.device + " IN (" + strings.TrimSuffix(strings.Repeat("?, ", len(ids)), ", ") + ")", ids, nil
}

// groupList renders the groups of a scope, each between quotes.
func groupList(s access.Scope, quote string) string {
	var b strings.Builder
	for i, g := range s.Groups {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote + strconv.FormatInt(g, 10) + quote)
	}
	return "(" + b.String() + ")"
}
