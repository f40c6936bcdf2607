package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// FileAction is a request about a file on many devices: what the file is, and what became of
// the request for each.
type FileAction struct {
	SHA1      string    `json:"sha1"`
	SHA256    string    `json:"sha256"`
	MD5       string    `json:"md5"`
	Size      int64     `json:"size"` // bytes; -1 where it is not known
	Names     []string  `json:"fileNames"`
	Paths     []string  `json:"filePaths"`
	Seen      int       `json:"machinesThatSawIt"`
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
	Bulk
}

// AboutFile asks devices for an action about a file, by its SHA-1 or SHA-256: verb is
// quarantine or restore.
func (c *Client) AboutFile(ctx context.Context, hash, verb string, body map[string]any) (*FileAction, error) {
	out := &FileAction{}
	return out, c.Do(ctx, http.MethodPost, "/api/vedette/files/"+url.PathEscape(hash)+"/"+verb, body, out)
}
