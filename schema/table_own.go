package schema

import "github.com/vedette-edr/vedette/kql/types"

// ownTables are tables that the published schema does not have.
var ownTables = []declared{
	{name: "VedetteTelemetryGaps",
		doc: "The loss ledger: one row for each stretch of telemetry known to be missing, wherever it was lost.",
		columns: `
		Timestamp:datetime DeviceId:string DeviceName:string Source:string Reason:string
		EventsLost:long GapStart:datetime GapEnd:datetime`},
}

// extraColumns are stored beside the published columns of a table and shown only to a
// query that names them.
var extraColumns = map[string][]Column{
	"AlertEvidence": {
		{Name: "Category", Type: types.String}, // the first of Categories, as the views of 2019 show it
		{Name: "ReportId", Type: types.Long},   // of the event that raised the alert
		{Name: "Table", Type: types.String},    // the table that holds that event
	},
	"DeviceProcessEvents":   rawTime,
	"DeviceNetworkEvents":   rawTime,
	"DeviceFileEvents":      rawTime,
	"DeviceLogonEvents":     rawTime,
	"DeviceImageLoadEvents": rawTime,
	"DeviceRegistryEvents":  rawTime,
	"DeviceEvents":          rawTime,
}

// rawTime is the device's own clock reading, where the server corrected Timestamp.
var rawTime = []Column{{Name: "RawTimestamp", Type: types.Datetime}}
