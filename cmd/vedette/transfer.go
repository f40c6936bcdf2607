package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vedette-edr/vedette/client"
)

type libraryUpload struct {
	File        string `arg:"" type:"existingfile" help:"The file, of at most 20 MB."`
	Name        string `help:"Its name in the library; that of the file otherwise."`
	Description string `help:"What it is."`
	Parameters  string `help:"What its parameters mean."`
	Override    bool   `help:"Replace the file of the name."`
}

func (l *libraryUpload) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	f, err := os.Open(l.File)
	if err != nil {
		return err
	}
	defer f.Close()
	name := l.Name
	if name == "" {
		name = filepath.Base(l.File)
	}
	out, err := c.UploadLibraryFile(s.ctx, client.LibraryUpload{Name: name, Content: f, Description: l.Description, Parameters: l.Parameters, Override: l.Override})
	if err != nil {
		return err
	}
	return s.out.one(out, [][2]string{{"Name", out.Name}, {"SHA-256", out.SHA256}, {"Description", text(out.About)}, {"Updated", when(out.Updated)}})
}

type actionDownload struct {
	ID    string `arg:"" help:"Action id."`
	Index int    `help:"Of a live response: the number of the command, counted from 0."`
	File  string `arg:"" type:"path" help:"File to write; it must not be there yet."`
}

func (a *actionDownload) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	act, err := c.Action(s.ctx, a.ID)
	if err != nil {
		return err
	}
	size, err := save(s, c, act, a.Index, a.File)
	if err != nil {
		return err
	}
	return s.out.one(map[string]any{"file": a.File, "bytes": size}, [][2]string{{"File", a.File}, {"Size", strconv.FormatInt(size, 10) + " bytes"}})
}

// save writes what an action yielded at an index into a file that is not there yet.
func save(s *session, c *client.Client, act *client.Action, index int, file string) (int64, error) {
	link, err := c.ResultLink(s.ctx, act, index)
	if err != nil {
		return 0, err
	}
	// What comes from a device may be malware: nobody else reads it, nothing runs it.
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	size, err := c.Download(s.ctx, link, f)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(file) // half of it is of no use
	}
	return size, err
}

type deviceRun struct {
	actionFlags
	Put    []string `help:"Files of the library to put on the device."`
	Script string   `name:"run" help:"Script of the library to run then."`
	Args   string   `help:"Arguments of the script."`
	Get    []string `help:"Paths of files to fetch at last."`
}

func (d *deviceRun) Run(s *session) error {
	type param struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	var commands []map[string]any
	add := func(kind string, params ...param) {
		commands = append(commands, map[string]any{"type": kind, "params": params})
	}
	for _, name := range d.Put {
		add("PutFile", param{"FileName", name})
	}
	switch {
	case d.Script != "" && d.Args != "":
		add("RunScript", param{"ScriptName", d.Script}, param{"Args", d.Args})
	case d.Script != "":
		add("RunScript", param{"ScriptName", d.Script})
	case d.Args != "":
		return errors.New("--args needs --run")
	}
	for _, path := range d.Get {
		add("GetFile", param{"Path", path})
	}
	if len(commands) == 0 {
		return errors.New("give --put, --run or --get")
	}
	return d.start(s, "runliveresponse", map[string]any{"Comment": d.Comment, "Commands": commands})
}

type indicatorImport struct {
	File string `arg:"" help:"JSON, an array of indicators as the API has them, or CSV whose first line names the properties; - for standard input."`
}

// importPart is how many indicators the API takes at once.
const importPart = 500

func (i *indicatorImport) Run(s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var in io.Reader = os.Stdin
	if i.File != "-" {
		f, err := os.Open(i.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	items, err := readIndicators(in, strings.EqualFold(filepath.Ext(i.File), ".csv"))
	if err != nil {
		return fmt.Errorf("%s: %w", i.File, err)
	}
	var results []client.Imported
	for from := 0; from < len(items); from += importPart {
		var out struct {
			Value []client.Imported `json:"value"`
		}
		body := map[string]any{"Indicators": items[from:min(from+importPart, len(items))]}
		if err := c.Do(s.ctx, http.MethodPost, "/api/indicators/import", body, &out); err != nil {
			return fmt.Errorf("from indicator %d on (%d before it were imported): %w", from+1, from, err)
		}
		results = append(results, out.Value...)
	}
	failed := 0
	cells := make([][]string, len(results))
	for n, r := range results {
		cells[n] = []string{r.Indicator, text(r.ID), text(r.Reason)}
		if r.Failed {
			failed++
		}
	}
	if err := s.out.rows(results, []string{"VALUE", "ID", "WHY NOT"}, cells); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d indicators were not imported", failed, len(results))
	}
	return nil
}

// readIndicators reads indicators as the API has them, whatever their properties.
func readIndicators(r io.Reader, table bool) ([]map[string]any, error) {
	if table {
		return tabledIndicators(r)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var items []map[string]any
	if err := json.Unmarshal(data, &items); err == nil {
		return some(items)
	}
	var body struct{ Indicators, Value []map[string]any }
	if err := json.Unmarshal(data, &body); err != nil {
		return nil, fmt.Errorf("it is no JSON array of indicators: %w", err)
	}
	return some(append(body.Indicators, body.Value...))
}

func some(items []map[string]any) ([]map[string]any, error) {
	if len(items) == 0 {
		return nil, errors.New("it has no indicators")
	}
	return items, nil
}

// properties of an indicator as the API spells them; in a table any case will do.
var properties = []string{"indicatorValue", "indicatorType", "action", "title", "description", "severity", "expirationTime",
	"recommendedActions", "application", "educateUrl", "generateAlert", "rbacGroupNames", "mitreTechniques"}

// tabledIndicators reads CSV. Lists are separated by semicolons; an empty cell is no value.
func tabledIndicators(r io.Reader) ([]map[string]any, error) {
	rows := csv.NewReader(r)
	header, err := rows.Read()
	if err != nil {
		return nil, err
	}
	for n, name := range header {
		header[n] = ""
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
		if strings.EqualFold(name, "rbacGroups") { // as the portal of Defender exports it
			name = "rbacGroupNames"
		}
		for _, p := range properties {
			if strings.EqualFold(p, name) {
				header[n] = p
			}
		}
		if header[n] == "" {
			return nil, fmt.Errorf("line 1: an indicator has no property %q, only %s", name, strings.Join(properties, ", "))
		}
	}
	var items []map[string]any
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return some(items)
		}
		if err != nil {
			return nil, err
		}
		item := map[string]any{}
		for n, cell := range row {
			switch cell = strings.TrimSpace(cell); {
			case cell == "":
			case header[n] == "generateAlert":
				b, err := strconv.ParseBool(strings.ToLower(cell))
				if err != nil {
					line, _ := rows.FieldPos(n)
					return nil, fmt.Errorf("line %d: generateAlert is %q, not true or false", line, cell)
				}
				item[header[n]] = b
			case header[n] == "rbacGroupNames" || header[n] == "mitreTechniques":
				item[header[n]] = strings.Split(cell, ";")
			default:
				item[header[n]] = cell
			}
		}
		items = append(items, item)
	}
}
