package ebpf

import (
	"fmt"
	"path"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/schema/event"
)

func (n *normaliser) file(b []byte) bool {
	e, rest := view[bpfFileEvent](b)
	if e == nil {
		return false
	}
	s, ok := sections(rest, e.NameLen, e.DirLen, e.Name2Len, e.Dir2Len)
	if !ok {
		return false
	}
	cut := e.Header.Flags&flagPathCut != 0
	now, before := joined(s[0], s[1], cut), ""
	table, action := event.FileEvents, "FileCreated"
	switch bpfEventType(e.Header.Type) {
	case bpfEventTypeEVENT_MODIFY:
		action = "FileModified"
	case bpfEventTypeEVENT_READ:
		table, action = event.DeviceEvents, "SensitiveFileRead"
	case bpfEventTypeEVENT_DELETE:
		action = "FileDeleted"
	case bpfEventTypeEVENT_RENAME:
		action, before, now = "FileRenamed", now, joined(s[2], s[3], cut)
	}
	ev := n.begin(&e.Header, table, action)
	if by := ev.Initiating.Image.Path; n.leftOut(now, by) && (before == "" || n.leftOut(before, by)) {
		n.excluded.Add(1)
		return true
	}
	ev.File = named(now)
	if before != "" {
		ev.Previous = named(before)
	}
	n.emit(ev)
	return true
}

func named(p string) *event.File {
	return &event.File{Name: process.Text(base(p)), Path: process.Text(p), Size: -1}
}

// joined puts a name, as a program gave it to the kernel, after the directory that it
// starts from: the current one, that of a descriptor, or the program's root. Symbolic links
// in the name stay as they are.
func joined(name, dir []byte, cut bool) string {
	at := walked(dir, cut)
	if len(name) == 0 {
		return at
	}
	return path.Clean(strings.TrimSuffix(at, "/") + "/" + cString(name))
}

// Exclusion names file events that are not reported: those at or below Path that Program
// causes. Both are absolute and free of symbolic links; a Program of "" is everybody, which
// blinds the sensor there, also to an attacker.
type Exclusion struct {
	Path    string
	Program string
}

func (n *normaliser) leftOut(p, by string) bool {
	for _, x := range n.cfg.Exclude {
		if x.Program != "" && x.Program != by {
			continue
		}
		if rest, ok := strings.CutPrefix(p, x.Path); ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(x.Path, "/")) {
			return true
		}
	}
	return false
}

// secretNames are files whose reading is reported, by their last element, wherever they lie:
// the password database and its backups, Kerberos and ssh keys, and what well-known clients
// keep their passwords and tokens in. At most 64, of at most 31 bytes each.
func secretNames() []string {
	return []string{
		"shadow", "shadow-", "gshadow", "gshadow-", "opasswd", "krb5.keytab",
		"id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk",
		"ssh_host_rsa_key", "ssh_host_ecdsa_key", "ssh_host_ed25519_key",
		".netrc", ".pgpass", ".my.cnf", ".git-credentials", ".vault-token", ".pypirc",
		"credentials", "credentials.db", "access_tokens.db", "msal_token_cache.json", "sitemanager.xml",
		"logins.json", "key4.db", "Login Data", "Cookies", "cookies.sqlite",
	}
}

// secretLengths has bit n set when one of the names has n bytes, which spares the kernel
// programs the look at nearly every other name.
func secretLengths() uint64 {
	var set uint64
	for _, name := range secretNames() {
		set |= 1 << len(name)
	}
	return set
}

// putSecrets tells the kernel programs the names.
func putSecrets(m *ebpf.Map) error {
	for _, name := range secretNames() {
		var k bpfSecretName
		if len(name) >= len(k.Text) {
			return fmt.Errorf("the secret's name %q has %d bytes: must be fewer than %d", name, len(name), len(k.Text))
		}
		for i := range len(name) {
			k.Text[i] = int8(name[i])
		}
		if err := m.Put(k, uint32(1)); err != nil {
			return fmt.Errorf("naming the secret %q: %w", name, err)
		}
	}
	return nil
}
