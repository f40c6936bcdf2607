package wire

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// KindLiveSession is the kind of the command that opens a live response session.
const KindLiveSession = "livesession"

// Bounds of a live response session. The times are published.
const (
	MaxLiveLine   = 8 << 10  // bytes of a command line
	MaxLiveInput  = 64 << 10 // bytes of one LiveDown.input
	MaxLiveOutput = 32 << 10 // bytes of one LiveUp.output
	LiveIdle      = 30 * time.Minute
	LiveAlive     = 20 * time.Second // between two signs of life of either side
	LiveSilence   = 75 * time.Second // after which a side counts as gone
	liveUsual     = 10 * time.Minute // for one command
	liveLong      = 30 * time.Minute
)

// LiveLevel says which commands a session may use.
type LiveLevel string

// The published levels: an advanced one has all that a basic one has.
const (
	LiveBasic    LiveLevel = "basic"
	LiveAdvanced LiveLevel = "advanced"
)

// LiveSession is the parameters of the command livesession. They are signed: what a
// session may do is not the stream's to say.
type LiveSession struct {
	Level LiveLevel `json:"level"`
	User  string    `json:"user"` // who asked for it, for the device's own record
}

// LiveCommand is one command of the console.
type LiveCommand struct {
	Name     string
	Advanced bool          // needs the advanced level
	Usage    string        // after the name
	Help     string        // for people
	Limit    time.Duration // 0 for none
	Server   bool          // carried out by the server, and not by the device
}

// LiveCommands lists the commands of the console, in the order of help. Both sides judge a
// line by this table: the server before it passes it on, the device before it obeys.
func LiveCommands() []LiveCommand {
	basic := func(name, usage, help string, limit time.Duration) LiveCommand {
		return LiveCommand{Name: name, Usage: usage, Help: help, Limit: limit}
	}
	advanced := func(name, usage, help string, limit time.Duration) LiveCommand {
		return LiveCommand{Name: name, Usage: usage, Help: help, Limit: limit, Advanced: true}
	}
	return []LiveCommand{
		basic("cat", "PATH [-lines N]", "Show the text of a file; control characters are made visible.", liveUsual),
		basic("cd", "[DIRECTORY]", "Change the working directory.", liveUsual),
		basic("cls", "", "Clear the console; clear does the same.", liveUsual),
		basic("connect", "", "Say what this session is connected to.", liveUsual),
		basic("connections", "[-output json]", "List network connections and listeners with their processes.", liveUsual),
		basic("dir", "[PATH] [-full_path] [-output json]", "List a directory.", liveUsual),
		basic("drivers", "[-output json]", "List kernel modules.", liveUsual),
		basic("fg", "ID", "Bring a background job to the foreground.", 0),
		basic("fileinfo", "PATH [-output json]", "Show metadata and hashes of a file.", liveUsual),
		basic("findfile", "NAME [-path DIRECTORY]", "Find files by name; * and ? stand for others.", liveLong),
		basic("getfile", "PATH [-auto]", "Download a file of at most 3 GB.", liveLong),
		basic("help", "[COMMAND]", "Show commands, or one of them.", liveUsual),
		basic("jobs", "[-output json]", "List the jobs of this session.", liveUsual),
		basic("persistence", "[-output json]", "List what starts by itself.", liveUsual),
		basic("processes", "[PID | -pid PID | -name NAME] [-output json]", "List processes.", liveUsual),
		basic("pwd", "", "Show the working directory.", liveUsual),
		basic("registry", "KEY", "Windows only.", liveUsual),
		basic("scheduledtasks", "[PATH] [-output json]", "List cron jobs, at jobs and timers.", liveUsual),
		basic("services", "[NAME] [-output json]", "List services.", liveUsual),
		basic("startupfolders", "", "Windows only; see persistence.", liveUsual),
		basic("status", "ID", "Show the state of a job and its latest output.", liveUsual),
		basic("trace", "[on|off]", "Tell more of what commands do.", liveUsual),
		advanced("analyze", "file PATH | process PID [-output json]", "Judge a file, or the image of a process.", liveLong),
		advanced("collect", "", "Collect an investigation package.", liveLong),
		advanced("isolate", "", "Not here: isolate the device with the action.", liveUsual),
		{Name: "library", Advanced: true, Usage: "[delete NAME] [-output json]", Help: "List the library, or delete a file of it.", Limit: liveUsual, Server: true},
		advanced("putfile", "NAME [-overwrite] [-keep]", "Put a file of the library into the working directory; it goes at the next start of the device unless it is kept.", liveLong),
		advanced("release", "", "Not here: release the device with the action.", liveUsual),
		advanced("remediate", "file PATH | process PID | service NAME | scheduledtask PATH | list", "Put a file into quarantine, stop a process or service and quarantine its image, remove a scheduled task; list shows what was done.", liveUsual),
		advanced("run", "NAME [-parameters \"ARGUMENTS\"]", "Run a script of the library.", liveLong),
		advanced("scan", "", "Run a quick scan for malware.", liveLong),
		advanced("shell", "", "Open a shell in a terminal.", 0),
		advanced("undo", "file ID|PATH | scheduledtask ID|PATH | service NAME | list", "Take back what remediate did.", liveUsual),
	}
}

// FindLiveCommand returns the command of a name; clear is another word for cls.
func FindLiveCommand(name string) (LiveCommand, bool) {
	if name == "clear" {
		name = "cls"
	}
	for _, c := range LiveCommands() {
		if c.Name == name {
			return c, true
		}
	}
	return LiveCommand{}, false
}

// Allows reports whether a session of the level may use c.
func (l LiveLevel) Allows(c LiveCommand) bool { return !c.Advanced || l == LiveAdvanced }

// LiveWord is one word of a command line.
type LiveWord struct {
	Text   string
	Quoted bool // it is what it says: neither an operator nor the name of a parameter
}

var errQuote = errors.New("a quotation mark is not closed")

// SplitLine splits a command line into words. What stands in ' is taken as it is; in "
// there are \n, \t, \\ and \". A > or & outside of them is a word of its own.
func SplitLine(line string) ([]LiveWord, error) {
	if len(line) > MaxLiveLine {
		return nil, fmt.Errorf("the command line has %d bytes, and may have %d", len(line), MaxLiveLine)
	}
	var out []LiveWord
	var word strings.Builder
	in, quoted := false, false
	end := func() {
		if in {
			out = append(out, LiveWord{word.String(), quoted})
		}
		word.Reset()
		in, quoted = false, false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch c {
		case ' ', '\t', '\n', '\r':
			end()
		case '>', '&':
			end()
			out = append(out, LiveWord{Text: string(c)})
		case '\'', '"':
			in, quoted = true, true
			n, err := quote(&word, line[i+1:], c)
			if err != nil {
				return nil, err
			}
			i += n
		default:
			in = true
			word.WriteByte(c)
		}
	}
	end()
	return out, nil
}

// quote reads up to the closing mark and returns how many bytes that were.
func quote(word *strings.Builder, rest string, mark byte) (int, error) {
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == mark:
			return i + 1, nil
		case c == '\\' && mark == '"' && i+1 < len(rest) && strings.IndexByte(`nt\"`, rest[i+1]) >= 0:
			i++
			word.WriteByte(map[byte]byte{'n': '\n', 't': '\t', '\\': '\\', '"': '"'}[rest[i]])
		default:
			word.WriteByte(c)
		}
	}
	return 0, errQuote
}
