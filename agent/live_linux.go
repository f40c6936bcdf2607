package agent

import (
	"context"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/enforce/file"
	"github.com/vedette-edr/vedette/agent/responder"
	"github.com/vedette-edr/vedette/agent/responder/live"
	"github.com/vedette-edr/vedette/agent/responder/remediate"
	"github.com/vedette-edr/vedette/agent/scan"
)

// newLive makes live response, which uses what other commands use.
func (p *platform) newLive(r *remediate.Remediator) (*live.Live, error) {
	return live.New(live.Config{
		Server: p.server, StateDir: p.conf.StateDir, Instance: p.conf.Instance, Log: p.conf.Log, Vault: p.vault, Remediator: r, Judge: p.judge,
		Open: func(ctx context.Context, session string) (live.Stream, error) { return p.server.Live(ctx, session) },
		Owned: func(ctx context.Context, path string) (string, error) {
			owners, err := p.software.Owners(ctx, []string{path})
			return owners[path].Package, err
		},
		Do: func(ctx context.Context, c responder.Command) responder.Result { return p.responder.Do(ctx, c) },
	})
}

// judge says what indicators and the engines of the antivirus say of a file.
func (p *platform) judge(ctx context.Context, f *os.File) (live.Verdict, error) {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return live.Verdict{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return live.Verdict{}, err
	}
	v := live.Verdict{Verdict: "Clean"}
	looked := false
	scanner := scan.New(scan.Config{Pool: p.hashes, Decide: p.decide, Indicators: func() bool { return true }, Roots: []string{path},
		Processes: func() []uint32 { return nil }})
	report, err := scanner.Run(ctx, scan.Job{Kind: scan.Quick, Percent: 100, Found: func(s scan.Seen) {
		if s.Object.Stat.Dev != st.Dev || s.Object.Stat.Ino != st.Ino {
			return // another file by now
		}
		for _, n := range s.Findings {
			if n.Engine == scan.EngineIndicator && n.Action < file.Audit {
				continue
			}
			v.Verdict = "Malicious"
			if n.Action == file.Audit {
				v.Verdict = "Suspicious"
			}
			v.Reasons = append(v.Reasons, n.Engine+": "+n.Threat)
		}
	}})
	if err != nil {
		return live.Verdict{}, err
	}
	looked = report.Files > 0
	if v.Verdict == "Clean" && (!looked || !report.Complete) {
		v.Verdict, v.Reasons = "Unknown", append(report.Problems, "it was not looked at wholly")
	}
	for _, e := range report.Engines {
		if e.Used && v.Verdict == "Clean" {
			v.Reasons = append(v.Reasons, e.Name+" found nothing")
		}
	}
	return v, nil
}
