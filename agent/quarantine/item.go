package quarantine

import (
	"errors"
	"time"
)

// State is how far an item has come.
type State string

// The states of an item.
const (
	// Sealed: the content is safe in the vault, the file may still be in its place.
	Sealed State = "sealed"
	// Quarantined: the file is gone from its place.
	Quarantined State = "quarantined"
	// Restored: it was given back; the vault keeps its copy.
	Restored State = "restored"
)

// Item is one file in the vault: its manifest.
type Item struct {
	ID     string `json:"id"` // 32 hexadecimal digits
	State  State  `json:"state"`
	Path   string `json:"path"` // where it was, as its users named it
	Size   int64  `json:"size"` // bytes
	SHA1   string `json:"sha1"`
	SHA256 string `json:"sha256"`
	MD5    string `json:"md5"`
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
	Mode   uint32 `json:"mode"` // permission bits with setuid, setgid and sticky
	// Xattrs are its extended attributes by name, capabilities and access lists included.
	Xattrs   map[string][]byte `json:"xattrs,omitempty"`
	Modified time.Time         `json:"modified"`
	Accessed time.Time         `json:"accessed"`
	// OtherLinks counts further names of the same file elsewhere. They stay, with all
	// permissions taken away.
	OtherLinks uint64    `json:"otherLinks,omitempty"`
	Taken      time.Time `json:"taken"`
	RestoredAt time.Time `json:"restoredAt,omitzero"`
	RestoredTo string    `json:"restoredTo,omitempty"`
	Why        Reason    `json:"why"`
	// File tells the file itself from others, wherever its names lead.
	File FileID `json:"file,omitzero"`
	// Taking says that this was written before the file was touched: an agent that finds it
	// was ended meanwhile. At is where it was then, for the agent, "" for Path.
	Taking bool   `json:"taking,omitempty"`
	At     string `json:"at,omitempty"`
}

// FileID tells one file from another. Numbers are given again; times of birth are not.
type FileID struct {
	Dev  uint64 `json:"dev"`
	Ino  uint64 `json:"ino"`
	Born int64  `json:"born"` // Unix nanoseconds; 0 where the file system does not say
}

// Reason says why a file was taken.
type Reason struct {
	Indicator int64  `json:"indicator,omitempty"` // id; 0 for none
	Command   string `json:"command,omitempty"`   // id of the command that asked for it
	Note      string `json:"note,omitempty"`      // for people
}

// Errors that callers tell apart.
var (
	ErrUnknown  = errors.New("quarantine: no such item")
	ErrFull     = errors.New("quarantine: the vault has no room for the file")
	ErrNotThere = errors.New("quarantine: the file is no longer in its place")
	ErrNotAFile = errors.New("quarantine: not a regular file")
)
