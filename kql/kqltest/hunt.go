package kqltest

import (
	"fmt"

	"github.com/vedette-edr/vedette/kql/bind"
	"github.com/vedette-edr/vedette/kql/types"
)

// HuntData is a small device catalogue in the shapes that schemas have: a table with an
// alias column and a JSON text, and a legacy view that renames and casts. Times lie
// shortly before now.
func HuntData(now int64) *Data {
	d := &Data{}
	d.Add("DeviceProcessEvents", []bind.Column{
		{Name: "Timestamp", Type: types.Datetime},
		{Name: "TimeGenerated", Type: types.Datetime, Source: "Timestamp", Hidden: true},
		{Name: "DeviceId", Type: types.String},
		{Name: "FileName", Type: types.String},
		{Name: "ProcessId", Type: types.Long},
		{Name: "AdditionalFields", Type: types.Dynamic, JSONString: true},
	}, nil)
	d.Physical["DeviceProcessEvents"] = append(d.Physical["DeviceProcessEvents"][:1:1], d.Physical["DeviceProcessEvents"][2:]...)
	for i := 0; i < 60; i++ {
		d.Rows["DeviceProcessEvents"] = append(d.Rows["DeviceProcessEvents"], []types.Value{
			types.NewDatetime(now - int64(i)*10*types.TicksPerSecond), types.NewString(fmt.Sprintf("dev%d", i%3)),
			types.NewString([]string{"bash", "curl", "bash", "ls"}[i%4]), types.NewLong(int64(1000 + i)),
			types.NewString(fmt.Sprintf(`{"Cmd": "run %d", "Tags": ["a", "b"]}`, i)),
		})
	}
	logon := func(min int64, kind, dev, account string) []types.Value {
		return []types.Value{types.NewDatetime(now - min*types.TicksPerMinute), types.NewString(kind), types.NewString(dev), types.NewString(dev + ".lan"), types.NewString(account), types.NewInt(7)}
	}
	d.Add("DeviceLogonEvents", []bind.Column{
		{Name: "Timestamp", Type: types.Datetime}, {Name: "LogonType", Type: types.String}, {Name: "DeviceId", Type: types.String},
		{Name: "DeviceName", Type: types.String}, {Name: "AccountName", Type: types.String}, {Name: "Code", Type: types.Int},
	}, [][]types.Value{
		logon(1, "Interactive", "m1", "alice"), logon(2, "Interactive", "m1", "alice"), logon(3, "RemoteInteractive", "m1", "root"),
		logon(4, "Interactive", "m2", "mallory"), logon(5, "CachedInteractive", "m2", "mallory"), logon(6, "Interactive", "m2", "bob"),
		logon(7, "Network", "m3", "bob"), logon(8, "Network", "m3", "bob"), logon(60*24*8, "Interactive", "m4", "bob"),
		logon(9, "RemoteInteractive", "m5", "bob"),
	})
	d.Tables["LogonEvents"] = &bind.Table{Name: "LogonEvents", Base: "DeviceLogonEvents", Columns: []bind.Column{
		{Name: "EventTime", Type: types.Datetime, Source: "Timestamp"}, {Name: "LogonType", Type: types.String},
		{Name: "MachineId", Type: types.String, Source: "DeviceId"}, {Name: "ComputerName", Type: types.String, Source: "DeviceName"},
		{Name: "AccountName", Type: types.String}, {Name: "CodeText", Type: types.String, Source: "Code", SourceType: types.Int},
		{Name: "Absent", Type: types.Long},
	}}
	return d
}

// HuntScript is what every engine must answer on HuntData.
const HuntScript = `
query
DeviceProcessEvents | where Timestamp > ago(5m) | summarize count() by FileName | top 10 by count_
----
expect ordered
FileName:string, count_:long
["bash", 15]
["curl", 8]
["ls", 7]

query
LogonEvents | where EventTime > ago(7d) | where LogonType in ("Interactive","RemoteInteractive","CachedInteractive","CachedRemoteInteractive") | summarize InteractiveLoginCount = count(LogonType) by MachineId, ComputerName, AccountName | where InteractiveLoginCount > 0 | summarize (InteractiveLoginCount, AccountName) = argmax(InteractiveLoginCount, AccountName) by MachineId, ComputerName | where AccountName in ("alice","bob") | distinct MachineId
----
MachineId:string
["m1"]
["m5"]

query
DeviceProcessEvents | where TimeGenerated > ago(15s) | project FileName, AdditionalFields.Cmd, AdditionalFields.Tags[1], AdditionalFields
----
FileName:string, AdditionalFields_Cmd:dynamic, AdditionalFields_Tags_1:dynamic, AdditionalFields:string
["bash", "run 0", "b", "{\"Cmd\": \"run 0\", \"Tags\": [\"a\", \"b\"]}"]
["curl", "run 1", "b", "{\"Cmd\": \"run 1\", \"Tags\": [\"a\", \"b\"]}"]

query
DeviceProcessEvents | where AdditionalFields has "run" and AdditionalFields contains "RUN 7" and tostring(parse_json(AdditionalFields).Cmd) == "run 7" | project ProcessId
----
ProcessId:long
[1007]

query
DeviceProcessEvents | where ProcessId == 1000 | mv-expand tag = AdditionalFields.Tags to typeof(string) | project tag
----
tag:string
["a"]
["b"]

query
LogonEvents | where CodeText == "7" and isnull(Absent) and MachineId == "m3" | summarize count() by CodeText
----
CodeText:string, count_:long
["7", 2]

query
union DeviceProcessEvents, DeviceLogonEvents | where Timestamp > ago(1m) | summarize count() by LogonType | order by LogonType asc
----
expect ordered
LogonType:string, count_:long
["", 6]
`
