package backtest

import (
	"fmt"
	"strings"

	"github.com/vedette-edr/vedette/kql/types"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/indicator"
)

// Query is the events that an indicator is seen in, as KQL: what the matcher compares on
// the stream, asked of the tables.
func (i Indicator) Query() (string, error) {
	check := &indicator.Indicator{Type: indicator.Type(i.Type), Value: i.Value, Action: indicator.Audit, GenerateAlert: true,
		Title: "backtest", Description: "backtest", Severity: indicator.Informational}
	if err := check.Validate(); err != nil {
		return "", err
	}
	v := types.Quote(check.Value)
	const tail = " | project Timestamp, DeviceId, DeviceName, ReportId, ActionType, RemoteIP = column_ifexists('RemoteIP', ''), RemoteUrl = column_ifexists('RemoteUrl', '')," +
		" FolderPath = column_ifexists('FolderPath', ''), FileName = column_ifexists('FileName', ''), SHA1 = column_ifexists('SHA1', '')," +
		" InitiatingProcessId, InitiatingProcessFileName, InitiatingProcessCommandLine, InitiatingProcessAccountName"
	legs := func(where string, tables ...string) string {
		out := make([]string, len(tables))
		for n, t := range tables {
			out[n] = "(" + t + " | where " + where + tail + ")"
		}
		return "union " + strings.Join(out, ", ") + " | sort by Timestamp asc"
	}
	files := []string{"DeviceProcessEvents", "DeviceFileEvents", "DeviceImageLoadEvents", "DeviceEvents"}
	hash := func(column string) string {
		return fmt.Sprintf("%s =~ %s or InitiatingProcess%s =~ %s", column, v, column, v)
	}
	switch check.Type {
	case indicator.FileSHA1:
		return legs(hash("SHA1"), files...), nil
	case indicator.FileSHA256:
		return legs(hash("SHA256"), files...), nil
	case indicator.FileMD5:
		return legs(hash("MD5"), "DeviceProcessEvents", "DeviceFileEvents", "DeviceImageLoadEvents"), nil
	case indicator.IPAddress:
		where := "RemoteIP == " + v
		if strings.Contains(check.Value, "/") {
			where = inRange(check.Value)
		}
		return legs(where, "DeviceNetworkEvents", "DeviceLogonEvents", "DeviceEvents"), nil
	case indicator.Domain:
		return legs(fmt.Sprintf("RemoteUrl =~ %s or RemoteUrl endswith %s", v, types.Quote("."+check.Value)), "DeviceNetworkEvents", "DeviceEvents"), nil
	case indicator.URL:
		return legs("RemoteUrl =~ "+v, "DeviceNetworkEvents", "DeviceEvents"), nil
	}
	return "", errs.New("backtest.query", errs.Unsupported, errs.InvalidInput, "indicators of type %s have no events to be looked for in", check.Type)
}

// inRange is the condition that RemoteIP is within a range.
func inRange(cidr string) string {
	if strings.Contains(cidr, ":") {
		return "RemoteIP contains ':' and ipv6_is_in_range(RemoteIP, " + types.Quote(cidr) + ")"
	}
	return "ipv4_is_in_range(RemoteIP, " + types.Quote(cidr) + ")"
}
