//go:build linux

package ebpf

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/vedette-edr/vedette/agent/hash"
	"github.com/vedette-edr/vedette/agent/process"
	"github.com/vedette-edr/vedette/schema/event"
)

// raw is the record that the kernel would write for e and what follows it.
func raw[T any](e T, parts ...string) []byte {
	b := append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&e)), unsafe.Sizeof(e))...)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

type keep struct{ events []*event.Event }

func (k *keep) Emit(e *event.Event) { k.events = append(k.events[:0], e) }
func (*keep) Lost(event.Gap)        {}

// BenchmarkNormalise measures the lives of processes that are known already: fork, exec
// of a program whose digests are remembered, exit.
func BenchmarkNormalise(b *testing.B) {
	pool := hash.NewPool(hash.Config{})
	b.Cleanup(pool.Close)
	id, err := hash.Stat("/bin/true")
	if err != nil {
		b.Fatal(err)
	}
	known := make(chan error, 1)
	if err := pool.Submit(id, []string{"/bin/true"}, func(_ hash.Sums, err error) { known <- err }); err != nil {
		b.Fatal(err)
	}
	if err := <-known; err != nil {
		b.Fatal(err)
	}
	cfg := Config{Now: time.Now, Pool: pool, Table: process.New(process.Config{})}
	n := newNormaliser(cfg, newClock(time.Now), &keep{})
	const millisecond = uint64(time.Millisecond)
	shell := bpfWho{Start: 1000 * millisecond, ParentStart: 1, Pid: 1 << 21, Tid: 1 << 21, Ppid: 1, Loginuid: ^uint32(0), Session: ^uint32(0), Comm: [16]int8{'s', 'h'}}
	b.ReportAllocs()
	i := uint64(0)
	for b.Loop() {
		i++
		at := 2000*millisecond + i*millisecond
		child := shell
		child.Pid = 1<<21 + 1 + uint32(i%30000)
		child.Tid, child.Ppid, child.Start, child.ParentStart = child.Pid, shell.Pid, at, shell.Start
		head := func(t bpfEventType, w bpfWho, at uint64) bpfHeader {
			return bpfHeader{Time: at, Type: uint32(t), Who: w}
		}
		args := fmt.Sprintf("storm\x00%d\x00", i)
		exe, cwd, file := "true\x00bin\x00usr\x00", "root\x00", "/bin/true\x00"
		n.record(raw(bpfForkEvent{Header: head(bpfEventTypeEVENT_FORK, shell, at), Child: child.Pid, ChildStart: at, Parent: shell.Pid, ParentStart: shell.Start}))
		n.record(raw(bpfExecEvent{Header: head(bpfEventTypeEVENT_EXEC, child, at+1000), Ino: id.Ino, Mtime: uint64(id.MTime), Ctime: uint64(id.CTime),
			Size: id.Size, Dev: uint32(id.Dev>>8&0xfff)<<20 | uint32(id.Dev&0xff), Nlink: 1, Mode: 0o100755, Argc: 2, ArgsTotal: uint32(len(args)),
			ExeLen: uint32(len(exe)), CwdLen: uint32(len(cwd)), FileLen: uint32(len(file)), ArgsLen: uint32(len(args))}, exe, cwd, file, args))
		n.record(raw(bpfExitEvent{Header: head(bpfEventTypeEVENT_EXIT, child, at+2000)}))
	}
	if s := pool.Stats(); s.Hits < i {
		b.Fatalf("%d hits for %d programs", s.Hits, i)
	}
	if m := n.malformed.Load(); m != 0 {
		b.Fatalf("%d malformed", m)
	}
}
