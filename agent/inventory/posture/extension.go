package posture

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what users' profiles may add.
const (
	maxExtensions  = 2000
	maxPermissions = 100
	maxHomes       = 200
)

// Extension is a browser extension that some user of the device installed.
type Extension struct {
	Browser     string   `json:"browserName"`
	ID          string   `json:"extensionId"`
	Name        string   `json:"extensionName,omitempty"`
	Description string   `json:"extensionDescription,omitempty"`
	Version     string   `json:"extensionVersion,omitempty"`
	Vendor      string   `json:"extensionVendor,omitempty"`
	Active      *bool    `json:"isActivated,omitempty"` // nil where the profile does not say
	Installed   int64    `json:"installed,omitempty"`   // Unix seconds
	Permissions []string `json:"permissions,omitempty"`
	User        string   `json:"user,omitempty"`
}

// chromiums are the profile directories below a home, by browser.
var chromiums = map[string]string{
	"chrome": ".config/google-chrome", "chromium": ".config/chromium", "edge": ".config/microsoft-edge", "brave": ".config/BraveSoftware/Brave-Browser",
}

var extensionID = regexp.MustCompile(`^[a-p]{32}$`)

func (c *Collector) extensions() ([]Extension, string) {
	var out []Extension
	homes := c.homes()
	for _, user := range homes[:min(len(homes), maxHomes)] {
		for _, browser := range []string{"chrome", "chromium", "edge", "brave"} {
			out = append(out, c.chromium(user, browser)...)
		}
		out = append(out, c.firefox(user)...)
		if len(out) > maxExtensions {
			return out[:maxExtensions], fmt.Sprintf("browser extensions: more than %d", maxExtensions)
		}
	}
	return out, ""
}

type home struct{ user, dir string }

// homes are the home directories of people: of uid 0, and from 1000 on.
func (c *Collector) homes() []home {
	var out []home
	text, _ := c.text("etc/passwd")
	for line := range strings.SplitSeq(text, "\n") {
		f := strings.Split(line, ":")
		if len(f) < 7 || !filepath.IsAbs(f[5]) || f[5] == "/" {
			continue
		}
		if id, err := strconv.Atoi(f[2]); err != nil || id != 0 && id < 1000 {
			continue
		}
		out = append(out, home{clean(f[0]), f[5]})
	}
	return out
}

// manifest is what is read of an extension's manifest.json.
type manifest struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Version     string            `json:"version"`
	Author      json.RawMessage   `json:"author"`
	Permissions []json.RawMessage `json:"permissions"`
	Hosts       []json.RawMessage `json:"host_permissions"`
}

func (c *Collector) chromium(h home, browser string) []Extension {
	pattern := filepath.Join(h.dir, chromiums[browser], "*", "Extensions", "*", "*", "manifest.json")
	files, _ := filepath.Glob(c.path(pattern))
	slices.Sort(files)
	newest := map[string]Extension{}
	var order []string
	for _, file := range files[:min(len(files), maxExtensions)] {
		rel, err := filepath.Rel(c.cfg.Root, file)
		if err != nil {
			continue
		}
		id := filepath.Base(filepath.Dir(filepath.Dir(file)))
		text, err := c.text(rel)
		var m manifest
		if err != nil || !extensionID.MatchString(id) || json.Unmarshal([]byte(text), &m) != nil {
			continue
		}
		e := Extension{Browser: browser, ID: id, Name: clean(m.Name), Description: clean(m.Description), Version: clean(m.Version), User: h.user}
		if strings.HasPrefix(e.Name, "__MSG_") {
			e.Name = "" // a text of the extension's translations
		}
		if strings.HasPrefix(e.Description, "__MSG_") {
			e.Description = ""
		}
		for _, raw := range append(m.Permissions, m.Hosts...) {
			var s string
			if json.Unmarshal(raw, &s) == nil && len(e.Permissions) < maxPermissions {
				e.Permissions = append(e.Permissions, clip64(s))
			}
		}
		if st, err := os.Lstat(file); err == nil {
			e.Installed = max(0, st.ModTime().Unix())
		}
		if _, known := newest[id]; !known {
			order = append(order, id)
		}
		newest[id] = e // of several versions the last directory is the one in use
	}
	out := make([]Extension, 0, len(order))
	for _, id := range order {
		out = append(out, newest[id])
	}
	return out
}

// firefox reads extensions.json of each profile.
func (c *Collector) firefox(h home) []Extension {
	var out []Extension
	for _, dir := range []string{".mozilla/firefox", "snap/firefox/common/.mozilla/firefox"} {
		files, _ := filepath.Glob(c.path(filepath.Join(h.dir, dir, "*", "extensions.json")))
		for _, file := range files[:min(len(files), 50)] {
			rel, err := filepath.Rel(c.cfg.Root, file)
			if err != nil {
				continue
			}
			text, err := c.text(rel)
			if err != nil {
				continue
			}
			var list struct {
				Addons []struct {
					ID          string `json:"id"`
					Version     string `json:"version"`
					Type        string `json:"type"`
					Location    string `json:"location"`
					Active      bool   `json:"active"`
					InstallDate int64  `json:"installDate"` // milliseconds
					Locale      struct {
						Name        string `json:"name"`
						Description string `json:"description"`
						Creator     string `json:"creator"`
					} `json:"defaultLocale"`
					User struct {
						Permissions []string `json:"permissions"`
						Origins     []string `json:"origins"`
					} `json:"userPermissions"`
				} `json:"addons"`
			}
			if json.Unmarshal([]byte(text), &list) != nil {
				continue
			}
			for _, a := range list.Addons[:min(len(list.Addons), maxExtensions)] {
				if a.Type != "extension" || a.Location != "app-profile" {
					continue // what came with the browser
				}
				active := a.Active
				e := Extension{Browser: "firefox", ID: clean(a.ID), Name: clean(a.Locale.Name), Description: clean(a.Locale.Description),
					Version: clean(a.Version), Vendor: clean(a.Locale.Creator), Active: &active, Installed: max(0, a.InstallDate/1000), User: h.user}
				for _, s := range append(a.User.Permissions, a.User.Origins...) {
					if len(e.Permissions) < maxPermissions {
						e.Permissions = append(e.Permissions, clip64(s))
					}
				}
				out = append(out, e)
			}
		}
	}
	return out
}

// clip64 keeps an item of a hundred permissions below the bound of an item.
func clip64(s string) string {
	s = clean(s)
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "")
	}
	return s
}
