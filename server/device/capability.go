package device

import "strings"

// respond begins the names of the facilities by which an agent says which commands it
// carries out: "respond:isolate".
const respond = "respond:"

// Responds reports whether the device's agent carries out a command, and whether that is
// known: agents that never reported do not say.
func (d *Device) Responds(command string) (works, known bool) {
	for i := range d.Facilities {
		f := &d.Facilities[i]
		word, ok := strings.CutPrefix(f.Name, respond)
		if !ok {
			continue
		}
		known = true
		if word == command {
			return f.State != "missing", true
		}
	}
	return false, known
}

// Lacks says why the device does not carry out a command, in words for people.
func (d *Device) Lacks(command string) string {
	for i := range d.Facilities {
		if f := &d.Facilities[i]; f.Name == respond+command && f.Detail != "" {
			return f.Detail
		}
	}
	return "it does not offer the command"
}
