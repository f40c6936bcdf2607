package e2e

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// stormFor is how long each measurement of the exec storm lasts.
const stormFor = 10 * time.Second

// storm is what the workload says of itself.
type storm struct {
	Execs   int64
	Failed  int64
	Seconds float64
	Rate    float64
	Micros  float64 `json:"micros_each"`
}

// BenchmarkExecStorm starts processes at 1,600 a second and as fast as the machine can,
// /bin/true and 1,000 distinct programs, which the agent sees (reads and digests) for the first
// time, or has seen in a storm before (again), with nothing watching, with the agent, and with
// auditd and an execve rule, one after the other on the same machine. It reports the
// processor time of each watcher as a share of one core, kernel parts included (BPF run
// time, kauditd), how much slower the workload became, and the events lost. Run it with
// -benchtime 1x.
func BenchmarkExecStorm(b *testing.B) {
	workload := filepath.Join(b.TempDir(), "storm")
	command(b, "go", "build", "-o", workload, "./storm")
	programs := distinct(b, 1000)
	cases := []struct {
		name  string
		args  []string
		again bool // the storm that is measured is the second one
	}{
		{"true_1600", []string{"-rate", "1600"}, false},
		{"true_max", nil, false},
		{"distinct_1600", []string{"-rate", "1600", "-dir", programs}, false},
		{"distinct_again_1600", []string{"-rate", "1600", "-dir", programs}, true},
		{"distinct_max", []string{"-dir", programs}, false},
		{"distinct_again_max", []string{"-dir", programs}, true},
		{"long_arguments_max", []string{"-pad", "30000"}, false},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			run := func() storm {
				out, err := exec.Command(workload, append([]string{"-for", stormFor.String()}, c.args...)...).Output()
				if err != nil {
					b.Fatal(err)
				}
				var s storm
				if err := json.Unmarshal(out, &s); err != nil {
					b.Fatal(err)
				}
				return s
			}
			nothing := run()
			agent := withAgent(b, run, c.again)
			audit := withAuditd(b, run)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(nothing.Rate, "alone_exec/s")
			for name, w := range map[string]watched{"agent": agent, "auditd": audit} {
				b.ReportMetric(w.core*100, name+"_core%")
				b.ReportMetric(w.Rate, name+"_exec/s")
				b.ReportMetric((w.Micros/nothing.Micros-1)*100, name+"_slower%")
				b.ReportMetric(float64(w.lost), name+"_lost")
			}
			b.ReportMetric(agent.kernel*100, "agent_bpf_core%")
			b.ReportMetric(agent.resident, "agent_MB")
		})
	}
}

// watched is a storm and what watching it cost, in cores.
type watched struct {
	storm
	core, kernel float64
	resident     float64 // MB at most, over the whole life of the process
	lost         int64
}

func withAgent(b *testing.B, run func() storm, again bool) watched {
	s := startServer(b)
	a := startAgent(b, s, "")
	s.onlyDevice(b)
	stats, err := ebpf.EnableStats(0) // BPF_STATS_RUN_TIME
	if err != nil {
		b.Fatal(err)
	}
	defer stats.Close()
	settle(b, a.cmd.Process.Pid)
	var before storm
	if again {
		before = run()
		settle(b, a.cmd.Process.Pid)
	}
	cpu0, bpf0 := cpuTime(b, a.cmd.Process.Pid), bpfTime(b)
	w := watched{storm: run()}
	cpu1, bpf1 := cpuTime(b, a.cmd.Process.Pid), bpfTime(b)
	w.kernel = inPrograms(b, bpf0, bpf1).Seconds() / w.Seconds
	w.core = (cpu1-cpu0).Seconds()/w.Seconds + w.kernel
	w.resident = peak(b, a.cmd.Process.Pid)
	var found int64
	deadline := time.Now().Add(patience)
	want := w.Execs - w.Failed + before.Execs - before.Failed
	for found < want && time.Now().Before(deadline) {
		r := s.hunt(b, `DeviceProcessEvents | where ActionType == "ProcessCreated" and ProcessCommandLine startswith "storm " | count`)
		found = int64(r.Results[0]["Count"].(float64))
	}
	w.lost = want - found
	if gaps := s.hunt(b, "VedetteTelemetryGaps | project Source, Reason, EventsLost"); len(gaps.Results) > 0 {
		b.Logf("gaps: %v", gaps.Results)
	}
	a.stop()
	s.stop()
	return w
}

// settle waits until a process that just started does next to nothing: what an agent does
// once, such as hashing the programs that run, is not the cost of a storm.
func settle(b *testing.B, pid int) {
	await(b, "the agent to settle", func() error {
		before := cpuTime(b, pid)
		time.Sleep(time.Second)
		if used := cpuTime(b, pid) - before; used > 30*time.Millisecond {
			return fmt.Errorf("it used %s in a second", used)
		}
		return nil
	})
}

// withAuditd runs auditd with a configuration of its own and one rule, and restores the
// kernel's audit state.
func withAuditd(b *testing.B, run func() storm) watched {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "auditd.conf"), []byte("log_file = "+dir+"/audit.log\nlog_format = RAW\nflush = INCREMENTAL_ASYNC\nfreq = 50\nmax_log_file = 500\nnum_logs = 2\nmax_log_file_action = IGNORE\nspace_left = 1\nspace_left_action = IGNORE\nadmin_space_left = 0\nadmin_space_left_action = IGNORE\ndisk_full_action = IGNORE\ndisk_error_action = IGNORE\n"), 0o640); err != nil {
		b.Fatal(err)
	}
	p := start(b, "/usr/sbin/auditd", "-n", "-c", dir)
	defer func() {
		exec.Command("auditctl", "-D").Run()
		p.stop()
		exec.Command("auditctl", "-e", "0").Run()
	}()
	await(b, "auditd to own the audit socket", func() error {
		out, err := exec.Command("auditctl", "-s").CombinedOutput()
		if err != nil || !strings.Contains(string(out), fmt.Sprintf("pid %d", p.cmd.Process.Pid)) {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
	command(b, "auditctl", "-b", "65536")
	command(b, "auditctl", "-a", "always,exit", "-F", "arch=b64", "-S", "execve", "-k", "storm")
	lost0 := auditLost(b)
	kauditd := pidOf(b, "kauditd")
	u0, k0 := cpuTime(b, p.cmd.Process.Pid), cpuTime(b, kauditd)
	w := watched{storm: run()}
	u1, k1 := cpuTime(b, p.cmd.Process.Pid), cpuTime(b, kauditd)
	w.kernel = (k1 - k0).Seconds() / w.Seconds
	w.core = (u1-u0).Seconds()/w.Seconds + w.kernel
	w.lost = auditLost(b) - lost0
	return w
}

func auditLost(b *testing.B) int64 {
	for line := range strings.Lines(command(b, "auditctl", "-s")) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "lost" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	b.Fatal("auditctl -s does not say what was lost")
	return 0
}

// distinct makes n programs that do nothing, each with a content of its own.
func distinct(b *testing.B, n int) string {
	dir := b.TempDir()
	program, err := os.ReadFile("/bin/true")
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("p%04d", i)), append(program, fmt.Sprint(i)...), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// cpuTime returns the user and system time of a process or kernel thread.
func cpuTime(b *testing.B, pid int) time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	f := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+2:]))
	u, _ := strconv.ParseInt(f[11], 10, 64)
	s, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(u+s) * 10 * time.Millisecond // the kernel counts in 1/100 s
}

// peak returns the most memory that a process ever had resident, in MB of 2^20 bytes.
func peak(b *testing.B, pid int) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			n, _ := strconv.ParseFloat(f[1], 64)
			return n / 1024
		}
	}
	b.Fatal("the kernel does not say how much memory is resident")
	return 0
}

// programTime is what one BPF program has used.
type programTime struct {
	name string
	used time.Duration
	runs uint64
}

// bpfTime returns the run time of every BPF program of the machine.
func bpfTime(b *testing.B) map[ebpf.ProgramID]programTime {
	programs := map[ebpf.ProgramID]programTime{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return programs
		}
		if err != nil {
			b.Fatal(err)
		}
		id = next
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // it went away
		}
		if st, err := p.Stats(); err == nil {
			t := programTime{used: st.Runtime, runs: st.RunCount}
			if info, err := p.Info(); err == nil {
				t.name = info.Name
			}
			programs[id] = t
		}
		p.Close()
	}
}

// inPrograms returns the time between two readings of bpfTime, and logs where it went.
func inPrograms(b *testing.B, before, after map[ebpf.ProgramID]programTime) time.Duration {
	var total time.Duration
	var all []programTime
	for id, t := range after {
		t.used -= before[id].used
		t.runs -= before[id].runs
		total += t.used
		if t.runs > 0 {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(x, y programTime) int { return cmp.Compare(y.used, x.used) })
	for _, t := range all[:min(8, len(all))] {
		b.Logf("BPF %-16s %8d runs %7s each %8s", t.name, t.runs, t.used/time.Duration(t.runs), t.used.Round(time.Millisecond))
	}
	return total
}

func pidOf(b *testing.B, comm string) int {
	for _, path := range glob("/proc/[0-9]*/comm") {
		if raw, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(raw)) == comm {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return pid
		}
	}
	b.Fatalf("no process %s", comm)
	return 0
}

func glob(pattern string) []string {
	m, _ := filepath.Glob(pattern)
	return m
}
