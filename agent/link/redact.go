package link

import "strings"

// TakeToken returns a copy of a token that was given on the command line, and wipes it
// from the process's arguments, where every user of the device could read it.
func TakeToken(token string) string {
	if token == "" {
		return ""
	}
	own := strings.Clone(token)
	wipe(own)
	return own
}
