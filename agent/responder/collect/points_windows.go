package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows/registry"

	"github.com/vedette-edr/vedette/agent/responder/collect/archive"
)

// The data points of Windows have the folders that are published for it. They were compiled
// and vetted, and never run.

// autorunKeys are the known places of the registry from which programs are started.
var autorunKeys = []string{
	`HKLM\Software\Microsoft\Windows\CurrentVersion\Run`, `HKLM\Software\Microsoft\Windows\CurrentVersion\RunOnce`, `HKLM\Software\Microsoft\Windows\CurrentVersion\RunOnceEx`,
	`HKLM\Software\Microsoft\Windows\CurrentVersion\RunServices`, `HKLM\Software\Microsoft\Windows\CurrentVersion\Policies\Explorer\Run`,
	`HKLM\Software\Wow6432Node\Microsoft\Windows\CurrentVersion\Run`, `HKLM\Software\Wow6432Node\Microsoft\Windows\CurrentVersion\RunOnce`,
	`HKLM\Software\Microsoft\Windows NT\CurrentVersion\Winlogon`, `HKLM\Software\Microsoft\Windows NT\CurrentVersion\Windows`, `HKLM\Software\Microsoft\Windows NT\CurrentVersion\Image File Execution Options`,
	`HKLM\Software\Microsoft\Active Setup\Installed Components`, `HKLM\Software\Microsoft\Windows\CurrentVersion\Explorer\Browser Helper Objects`,
	`HKLM\Software\Microsoft\Windows\CurrentVersion\Explorer\ShellServiceObjects`, `HKLM\Software\Microsoft\Windows\CurrentVersion\ShellServiceObjectDelayLoad`,
	`HKLM\System\CurrentControlSet\Control\Session Manager`, `HKLM\System\CurrentControlSet\Control\Lsa`, `HKLM\System\CurrentControlSet\Control\SecurityProviders`,
	`HKLM\System\CurrentControlSet\Control\Print\Monitors`, `HKLM\System\CurrentControlSet\Control\NetworkProvider\Order`, `HKLM\System\CurrentControlSet\Services\WinSock2\Parameters`,
}

// userAutorunKeys are those below the registry of each user who is loaded.
var userAutorunKeys = []string{
	`Software\Microsoft\Windows\CurrentVersion\Run`, `Software\Microsoft\Windows\CurrentVersion\RunOnce`, `Software\Microsoft\Windows\CurrentVersion\Policies\Explorer\Run`,
	`Software\Microsoft\Windows NT\CurrentVersion\Windows`, `Software\Microsoft\Windows NT\CurrentVersion\Winlogon`, `Environment`,
}

// Device is what the data points of Windows are taken from.
type Device struct {
	Agent func() any       // says how the agent itself does; nil for nothing
	Now   func() time.Time // nil for time.Now
}

// Points are the data points of a Windows device.
func Points(d Device) []Point {
	windows := os.Getenv("SystemRoot")
	if windows == "" {
		windows = `C:\Windows`
	}
	system := filepath.Join(windows, "System32")
	run := func(file, program string, args ...string) func(*Task) error {
		return func(t *Task) error { return runWindows(t, file, filepath.Join(system, program), args...) }
	}
	shell := func(file, command string) func(*Task) error {
		return run(file, `WindowsPowerShell\v1.0\powershell.exe`, "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "AllSigned", "-Command", command)
	}
	const network = "Network connections"
	points := []Point{
		{Folder: "Processes", Name: "Processes", Source: "Win32_Process", Take: shell("Processes.csv",
			"Get-CimInstance Win32_Process | Select-Object ProcessId,ParentProcessId,Name,ExecutablePath,CommandLine,CreationDate,SessionId,HandleCount,ThreadCount,WorkingSetSize | ConvertTo-Csv -NoTypeInformation")},
		{Folder: network, Name: "Active connections", Source: "netstat -anob", Take: run("ActiveNetConnections.txt", "NETSTAT.EXE", "-anob")},
		{Folder: network, Name: "ARP", Source: "arp -a", Take: run("Arp.txt", "ARP.EXE", "-a", "-v")},
		{Folder: network, Name: "DNS cache", Source: "ipconfig /displaydns", Take: run("DnsCache.txt", "ipconfig.exe", "/displaydns")},
		{Folder: network, Name: "IP configuration", Source: "ipconfig /all", Take: run("IpConfig.txt", "ipconfig.exe", "/all")},
		{Folder: network, Name: "Firewall log", Source: "pfirewall.log", Take: func(t *Task) error {
			return errors.Join(runWindows(t, "FirewallExecutionLog.txt", filepath.Join(system, "netsh.exe"), "advfirewall", "show", "allprofiles"),
				copyWindows(t, "pfirewall.log", filepath.Join(system, `LogFiles\Firewall\pfirewall.log`), 32<<20))
		}},
		{Folder: "Autoruns", Name: "Autoruns", Source: "registry", Take: takeAutoruns},
		{Folder: "Installed programs", Name: "Installed programs", Source: "registry: Uninstall", Take: takePrograms},
		{Folder: "Services", Name: "Services", Source: "Win32_Service", Take: shell("Services.csv",
			"Get-CimInstance Win32_Service | Select-Object Name,DisplayName,State,StartMode,PathName,StartName,ProcessId | ConvertTo-Csv -NoTypeInformation")},
		{Folder: "Scheduled tasks", Name: "Scheduled tasks", Source: "schtasks /query", Take: run("ScheduledTasks.csv", "schtasks.exe", "/query", "/v", "/fo", "csv")},
		{Folder: "Prefetch files", Name: "Prefetch files", Source: filepath.Join(windows, "Prefetch"), Bytes: 128 << 20, Take: func(t *Task) error { return takePrefetch(t, filepath.Join(windows, "Prefetch")) }},
		{Folder: "Users and Groups", Name: "Users and groups", Source: "Get-LocalGroup", Take: shell("GroupMembers.csv",
			"Get-LocalGroup | ForEach-Object { $g=$_; Get-LocalGroupMember $g | Select-Object @{n='Group';e={$g.Name}},Name,ObjectClass,PrincipalSource,SID } | ConvertTo-Csv -NoTypeInformation")},
		{Folder: "System Information", Name: "System information", Source: "systeminfo", Time: 3 * time.Minute, Take: run("SystemInformation.txt", "systeminfo.exe")},
		{Folder: "Windows Server Message Block (SMB) sessions", Name: "SMB inbound sessions", Source: "net session", Take: run("SMBInboundSessions.txt", "net.exe", "session")},
		{Folder: "Windows Server Message Block (SMB) sessions", Name: "SMB outbound sessions", Source: "net use", Take: run("SMBOutboundSession.txt", "net.exe", "use")},
		{Folder: "Temp Directories", Name: "Temporary directories", Source: "%Temp% of each user", Time: 3 * time.Minute, Take: takeTemp},
		{Folder: "Security event log", Name: "Security event log", Source: "wevtutil epl Security", Time: 5 * time.Minute, Bytes: 512 << 20, Take: func(t *Task) error { return takeEvents(t, filepath.Join(system, "wevtutil.exe")) }},
	}
	if d.Agent != nil {
		points = append(points, Point{Folder: "Agent", Name: "Agent", Source: "the agent", Take: func(t *Task) error { return t.Text("Agent.txt", "the agent", fmt.Sprintf("%+v\n", d.Agent())) }})
	}
	return points
}

func runWindows(t *Task, file, program string, args ...string) error {
	out, err := t.Create(file, archive.Info{Source: program + " " + strings.Join(args, " ")})
	if err != nil {
		return err
	}
	defer out.end()
	cmd := exec.CommandContext(t.ctx, program, args...)
	var complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &complaint
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if t.ctx.Err() != nil {
			return t.ctx.Err()
		}
		out.Cut("%v", err)
		return fmt.Errorf("%s: %w: %.500s", filepath.Base(program), err, complaint.String())
	}
	return out.Close()
}

func copyWindows(t *Task, name, path string, most int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", path)
	}
	out, err := t.Create(name, archive.Info{Source: path, Modified: st.ModTime()})
	if err != nil {
		return err
	}
	defer out.end()
	if _, err := io.Copy(out, io.LimitReader(f, most)); err != nil {
		out.Cut("%v", err)
		return err
	}
	if st.Size() > most {
		out.Cut("only the first %d of %d bytes", most, st.Size())
		t.Note(nil, "%s: only the first %d of %d bytes", path, most, st.Size())
	}
	return out.Close()
}

// takeAutoruns writes a file for each place, also for those that are not there, as published.
func takeAutoruns(t *Task) error {
	for _, name := range autorunKeys {
		if err := autorunKey(t, registry.LOCAL_MACHINE, strings.TrimPrefix(name, `HKLM\`), name); err != nil {
			return err
		}
	}
	users, err := registry.OpenKey(registry.USERS, "", registry.ENUMERATE_SUB_KEYS)
	if err != nil {
		return err
	}
	defer users.Close()
	sids, err := users.ReadSubKeyNames(-1)
	if err != nil {
		return err
	}
	for _, sid := range sids {
		for _, name := range userAutorunKeys {
			if err := autorunKey(t, registry.USERS, sid+`\`+name, `HKU\`+sid+`\`+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxValues bounds what is read of one key and of those right below it.
const maxValues = 4096

func autorunKey(t *Task, root registry.Key, path, name string) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	var b strings.Builder
	key, err := registry.OpenKey(root, path, registry.READ)
	if err != nil {
		b.WriteString("ERROR: unable to find the specified registry key: " + name + "\r\n")
		return t.Text(strings.ReplaceAll(name, `\`, "_")+".txt", name, b.String())
	}
	defer key.Close()
	values(&b, key, name)
	below, err := key.ReadSubKeyNames(maxValues)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Note(err, "%s", name)
	}
	for _, n := range below {
		sub, err := registry.OpenKey(key, n, registry.READ)
		if err != nil {
			continue // gone, or another's
		}
		values(&b, sub, name+`\`+n)
		sub.Close()
	}
	return t.Text(strings.ReplaceAll(name, `\`, "_")+".txt", name, b.String())
}

func values(b *strings.Builder, key registry.Key, name string) {
	fmt.Fprintf(b, "[%s]\r\n", archive.Cell(name))
	names, err := key.ReadValueNames(maxValues)
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintf(b, "ERROR: %v\r\n", err)
	}
	for _, n := range names {
		text, kind, err := key.GetStringValue(n)
		switch {
		case errors.Is(err, registry.ErrUnexpectedType) && kind == registry.MULTI_SZ:
			list, _, _ := key.GetStringsValue(n)
			text = strings.Join(list, " | ")
		case errors.Is(err, registry.ErrUnexpectedType) && (kind == registry.DWORD || kind == registry.QWORD):
			v, _, _ := key.GetIntegerValue(n)
			text = fmt.Sprint(v)
		case errors.Is(err, registry.ErrUnexpectedType):
			v, _, _ := key.GetBinaryValue(n)
			text = fmt.Sprintf("%x", v[:min(len(v), 1024)])
		case err != nil:
			text = "ERROR: " + err.Error()
		}
		fmt.Fprintf(b, "%s = %s\r\n", archive.Cell(n), archive.Cell(text))
	}
}

func takePrograms(t *Task) error {
	tab, err := t.Table("InstalledPrograms.csv", "Name", "Version", "Publisher", "InstallDate", "InstallLocation", "UninstallString", "Key")
	if err != nil {
		return err
	}
	defer tab.end()
	for _, path := range []string{`Software\Microsoft\Windows\CurrentVersion\Uninstall`, `Software\Wow6432Node\Microsoft\Windows\CurrentVersion\Uninstall`} {
		key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.READ)
		if err != nil {
			continue // a system without 32-bit programs
		}
		names, err := key.ReadSubKeyNames(-1)
		if err != nil && !errors.Is(err, io.EOF) {
			t.Note(err, "%s", path)
		}
		for _, n := range names {
			sub, err := registry.OpenKey(key, n, registry.READ)
			if err != nil {
				continue
			}
			get := func(v string) string { s, _, _ := sub.GetStringValue(v); return s }
			if get("DisplayName") != "" {
				err = tab.Row(get("DisplayName"), get("DisplayVersion"), get("Publisher"), get("InstallDate"), get("InstallLocation"), get("UninstallString"), path+`\`+n)
			}
			sub.Close()
			if err != nil {
				key.Close()
				return err
			}
		}
		key.Close()
	}
	return tab.Close()
}

func takePrefetch(t *Task, dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrAbsent
	}
	if err != nil {
		return err
	}
	tab, err := t.Table("PrefetchFilesList.csv", "Name", "Size", "Modified")
	if err != nil {
		return err
	}
	defer tab.end()
	for _, e := range list {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if err := tab.Row(e.Name(), fmt.Sprint(info.Size()), info.ModTime().UTC().Format(time.RFC3339)); err != nil {
			return err
		}
		if err := copyWindows(t, e.Name(), filepath.Join(dir, e.Name()), 4<<20); err != nil {
			if errors.Is(err, errPointFull) || errors.Is(err, archive.ErrFull) || errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			t.Note(err, "%s", e.Name())
		}
	}
	return tab.Close()
}

// maxTemp bounds the files that are listed of one directory.
const maxTemp = 50_000

func takeTemp(t *Task) error {
	drive := os.Getenv("SystemDrive")
	if drive == "" {
		drive = "C:"
	}
	dirs, err := filepath.Glob(drive + `\Users\*\AppData\Local\Temp`)
	if err != nil {
		return err
	}
	dirs = append(dirs, filepath.Join(os.Getenv("SystemRoot"), "Temp"))
	for _, dir := range dirs {
		name := "Windows"
		if f := strings.Split(dir, `\`); len(f) > 2 && strings.EqualFold(f[1], "Users") {
			name = f[2]
		}
		tab, err := t.Table(name+".csv", "Path", "Size", "Mode", "Modified")
		if err != nil {
			return err
		}
		err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if t.ctx.Err() != nil {
				return t.ctx.Err()
			}
			if tab.Rows() >= maxTemp {
				tab.Cut("%s: only the first %d files", dir, maxTemp)
				return fs.SkipAll
			}
			if err != nil {
				return nil // another's: the rest is told
			}
			info, err := e.Info()
			if err != nil {
				return nil // gone
			}
			return tab.Row(path, fmt.Sprint(info.Size()), info.Mode().String(), info.ModTime().UTC().Format(time.RFC3339))
		})
		if err = errors.Join(err, tab.Close()); err != nil {
			return err
		}
	}
	return nil
}

// takeEvents has the log exported into a directory of its own, which it removes.
func takeEvents(t *Task, wevtutil string) error {
	dir, err := os.MkdirTemp("", "collect-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "security.evtx")
	if out, err := exec.CommandContext(t.ctx, wevtutil, "epl", "Security", file).CombinedOutput(); err != nil {
		return fmt.Errorf("wevtutil: %w: %.500s", err, out)
	}
	return copyWindows(t, "security.evtx", file, 512<<20)
}
