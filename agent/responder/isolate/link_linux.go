package isolate

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/netlink"
)

// link is a network device of a namespace.
type link struct {
	index   int32
	name    string
	kind    string // veth, bridge, vlan, …; "" for hardware
	address string // its hardware address as bytes, the permanent one where it has one
	peer    int32  // the index of what it leads to, 0 for nothing
}

// chain names the chain of one direction at the link.
func (l link) chain(side string) string { return fmt.Sprintf("%s-%d", side, l.index) }

// same reports whether two are one device, by what stays with it in another namespace.
func (l link) same(o link) bool {
	if l.kind != o.kind {
		return false
	}
	if l.address == "" {
		return l.name == o.name
	}
	return l.address == o.address
}

// linksOf lists the devices of a socket's namespace but for loopback, in order. A device
// that a driver gave no way out is listed too: which has one cannot be told from outside.
func linksOf(route *netlink.Conn) ([]link, error) {
	answers, err := route.Dump(netlink.Message{Type: unix.RTM_GETLINK, Flags: unix.NLM_F_REQUEST, Data: make([]byte, unix.SizeofIfInfomsg), What: "list links"})
	if err != nil {
		return nil, err
	}
	var out []link
	for _, m := range answers {
		if m.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg || native.Uint32(m.Data[8:])&unix.IFF_LOOPBACK != 0 {
			continue
		}
		l := link{index: int32(native.Uint32(m.Data[4:]))}
		var now, permanent []byte
		netlink.Attrs(m.Data[unix.SizeofIfInfomsg:], func(typ uint16, b []byte) {
			switch typ {
			case unix.IFLA_IFNAME:
				l.name = text(b)
			case unix.IFLA_ADDRESS:
				now = b
			case unix.IFLA_PERM_ADDRESS:
				permanent = b
			case unix.IFLA_LINK:
				if len(b) == 4 {
					l.peer = int32(native.Uint32(b))
				}
			case unix.IFLA_LINKINFO:
				netlink.Attrs(b, func(typ uint16, b []byte) {
					if typ == unix.IFLA_INFO_KIND {
						l.kind = text(b)
					}
				})
			}
		})
		if len(permanent) > 0 {
			now = permanent
		}
		if len(bytes.Trim(now, "\x00")) > 0 {
			l.address = string(now)
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b link) int { return cmp.Compare(a.index, b.index) })
	return out, nil
}

// site is what is installed in one network namespace.
type site struct {
	nft   *conn // the owner's socket
	route *netlink.Conn
	made  *made // what install left; nil when not known
}

// made is what install left in a namespace.
type made struct {
	installed
	links           []link
	address, linked content
}

// open opens a site in the network namespace of the calling thread.
func openSite() (*site, error) {
	c, err := dial()
	if err != nil {
		return nil, err
	}
	r, err := netlink.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &site{nft: c, route: r}, nil
}

func (s *site) close() error {
	s.route.Close()
	return s.nft.Close()
}

// attempts is how often install begins again because a device came or went meanwhile.
const attempts = 10

func (s *site) install(name string, r ruleset, wish uint32) error {
	var err error
	for range attempts {
		if r.links, err = linksOf(s.route); err != nil {
			return err
		}
		var how installed
		how, err = s.nft.install(name, r, wish)
		if err != nil {
			if isGone(err) {
				continue
			}
			return err
		}
		m := &made{installed: how, links: r.links}
		if m.address, err = s.nft.content(byAddress, name); err != nil {
			return err
		}
		if how.linkless == nil {
			if m.linked, err = s.nft.content(byLink, name); err != nil {
				return err
			}
		}
		s.made = m
		return nil
	}
	return err
}

// damage says what of the tables is not as install left it, "" for nothing.
func (s *site) damage(name string) string {
	if s.made == nil {
		return "the table is not of this run"
	}
	check := func(family byte, chains []string, was content) string {
		t, err := s.nft.table(family, name)
		switch {
		case err != nil:
			return err.Error()
		case t == nil:
			return "the table is gone"
		case t.flags != s.made.flags:
			return fmt.Sprintf("the table's flags are %#x, not %#x", t.flags, s.made.flags)
		case t.flags&flagOwner != 0 && t.owner != s.nft.Port():
			return "another process owns the table"
		}
		ct, err := s.nft.content(family, name)
		switch {
		case err != nil:
			return err.Error()
		case !slices.Equal(ct.chains, chains):
			return fmt.Sprintf("the chains are %v", ct.chains)
		case !slices.Equal(ct.rules, was.rules):
			return fmt.Sprintf("the rules were changed: %d of %d", len(ct.rules), len(was.rules))
		}
		return ""
	}
	if d := check(byAddress, expectedChains(), s.made.address); d != "" || s.made.linkless != nil {
		return d
	}
	// A device that goes takes its chains along: that is judged by the devices.
	if moved, _, err := s.moved(); err != nil || moved {
		return ""
	}
	if d := check(byLink, expectedLinkChains(s.made.links), s.made.linked); d != "" {
		if moved, _, err := s.moved(); err == nil && moved {
			return "" // it went just now
		}
		return "links: " + d
	}
	return ""
}

// moved reports whether the devices are others than install found, and which of those went.
func (s *site) moved() (bool, []link, error) {
	now, err := linksOf(s.route)
	if err != nil || s.made == nil || s.made.linkless != nil || slices.Equal(now, s.made.links) {
		return false, nil, err
	}
	var gone []link
	for _, l := range s.made.links {
		if !slices.ContainsFunc(now, l.same) {
			gone = append(gone, l)
		}
	}
	return true, gone, nil
}
