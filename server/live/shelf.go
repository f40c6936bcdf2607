package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/vedette-edr/vedette/server/access"
	"github.com/vedette-edr/vedette/server/errs"
	"github.com/vedette-edr/vedette/server/filter"
	"github.com/vedette-edr/vedette/wire"
)

// shelf carries out the command library, which is about the server's files.
func (r *relay) shelf(ctx context.Context, by *access.Principal, c *Command, words []wire.LiveWord) {
	text, err := r.library(ctx, by, words)
	e := &End{Status: "completed"}
	if err != nil {
		e.Status, e.Error = "failed", err.Error()
		var own *errs.E
		if errors.As(err, &own) {
			if e.Error = own.Detail; own.Kind == errs.Internal || e.Error == "" {
				e.Error = "the server could not do it; its log says why"
				r.s.cfg.Log.Error("library of a live response session", "session", r.session.ID, "err", err)
			}
		}
	}
	if text != "" {
		r.output(c.Run, []byte(text))
	}
	r.finish(c.Run, e)
}

var errLibraryUsage = errors.New("usage: library [delete NAME] [-output json]")

func (r *relay) library(ctx context.Context, by *access.Principal, words []wire.LiveWord) (string, error) {
	if r.s.cfg.Shelf == nil {
		return "", errors.New("this server has no library")
	}
	var args []string
	asJSON := false
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case !w.Quoted && (w.Text == ">" || w.Text == "&"):
			return "", errors.New("library takes neither > nor &")
		case !w.Quoted && strings.EqualFold(w.Text, "-output") && i+1 < len(words):
			i++
			if f := words[i].Text; f != "json" && f != "table" {
				return "", errors.New("-output is json or table")
			}
			asJSON = words[i].Text == "json"
		default:
			args = append(args, w.Text)
		}
	}
	switch {
	case len(args) == 2 && args[0] == "delete":
		if err := by.Require("live.library", access.LibraryManage); err != nil {
			return "", err
		}
		if err := r.s.cfg.Shelf.Delete(ctx, by, args[1]); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s was deleted\n", args[1]), nil
	case len(args) > 0:
		return "", errLibraryUsage
	}
	page, err := r.s.cfg.Shelf.List(ctx, r.session.Tenant, filter.Query{Top: 1000})
	if err != nil {
		return "", err
	}
	if asJSON {
		raw, err := json.MarshalIndent(page.Items, "", "  ")
		return string(raw) + "\n", err
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "name\tsize\tupdated\tby\tsha256\tdescription")
	for _, f := range page.Items {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", f.Name, f.Size, f.Updated.UTC().Format(time.RFC3339), f.By, f.SHA256, strings.Map(func(r rune) rune {
			if r < ' ' {
				return ' '
			}
			return r
		}, f.Description))
	}
	err = w.Flush()
	return b.String(), err
}
