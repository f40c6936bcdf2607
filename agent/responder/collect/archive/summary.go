package archive

import (
	"io"
	"strconv"
	"time"
)

// SummaryName is the summary's file without its extension, as published for Windows.
const SummaryName = "CollectionSummaryReport"

// Status is how a data point fared.
type Status string

// The statuses of data points.
const (
	Succeeded    Status = "Succeeded"
	Partial      Status = "PartiallySucceeded" // something was cut or could not be read; Detail says what
	NotAvailable Status = "NotAvailable"       // this device has no such thing
	Failed       Status = "Failed"
	TimedOut     Status = "TimedOut" // what there was until then is in the package
)

// Outcome is one data point in the summary.
type Outcome struct {
	Folder   string
	Point    string
	Source   string // command, path or kernel interface
	Status   Status
	Code     string // 0, the system's name of the error, or exit:N of a command
	Detail   string
	Files    int
	Bytes    int64
	Started  time.Time
	Duration time.Duration
}

var summaryColumns = []string{"Folder", "Data point", "Command", "Status", "Error code", "Detail", "Files", "Bytes", "Start time (UTC)", "Duration (ms)"}

func (o Outcome) cells() []string {
	return []string{o.Folder, o.Point, o.Source, string(o.Status), o.Code, o.Detail, strconv.Itoa(o.Files), strconv.FormatInt(o.Bytes, 10),
		o.Started.UTC().Format("2006-01-02T15:04:05.000Z"), strconv.FormatInt(o.Duration.Milliseconds(), 10)}
}

// SummaryCSV writes the summary as CSV.
func SummaryCSV(w io.Writer, outcomes []Outcome) error {
	t, err := NewTable(w, summaryColumns...)
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		if err := t.Row(o.cells()...); err != nil {
			return err
		}
	}
	return t.Flush()
}

// SummaryXLSX writes the summary as a workbook of one sheet.
func SummaryXLSX(w io.Writer, outcomes []Outcome) error {
	rows := [][]string{summaryColumns}
	for _, o := range outcomes {
		cells := o.cells()
		for i := range cells {
			cells[i] = Cell(cells[i])
		}
		rows = append(rows, cells)
	}
	return writeXLSX(w, "Summary", rows)
}
