//go:build linux

package address

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkConnect measures connect(2) of a datagram socket: without the programs, and with
// them beside rules of other addresses.
func BenchmarkConnect(b *testing.B) {
	to := &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 9}}
	run := func(b *testing.B) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer unix.Close(fd)
		b.ResetTimer()
		for range b.N {
			if err := unix.Connect(fd, to); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("none", run)
	for _, c := range []struct{ hosts, ranges int }{{0, 0}, {50_000, 0}, {50_000, 10_000}} {
		b.Run(fmt.Sprintf("hosts-%d-ranges-%d", c.hosts, c.ranges), func(b *testing.B) {
			s := newStage(b, Config{})
			join(b, s.path)
			rules := make([]Rule, 0, c.hosts+c.ranges)
			a := netip.MustParseAddr("11.0.0.0")
			for i := range c.hosts {
				rules = append(rules, single(a, Block, int64(i)))
				a = a.Next()
			}
			for i := range c.ranges {
				p := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(64 + i>>12), byte(i >> 4), byte(i << 4)}), 28)
				rules = append(rules, Rule{p, Block, int64(i)})
			}
			s.replace(rules...)
			run(b)
		})
	}
}
