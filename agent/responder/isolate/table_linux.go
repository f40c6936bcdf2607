package isolate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/vedette-edr/vedette/agent/netlink"
)

// Table flags and attributes newer than the constants at hand (linux/netfilter/nf_tables.h).
const (
	flagOwner   = 0x2 // NFT_TABLE_F_OWNER, 5.12
	flagPersist = 0x4 // NFT_TABLE_F_PERSIST, 6.9

	tableOwner = 7 // NFTA_TABLE_OWNER
)

// priority runs before filter's 0, so that nobody's counters or logs come first, and after
// connection tracking and mangling.
const priority = -10

const (
	nftPolicyDrop = 0
	counterPkts   = 2 // NFTA_COUNTER_PACKETS
)

// ErrOwned is returned when another process owns the table of this instance.
var ErrOwned = errors.New("another process owns the isolation table")

// conn is a netlink socket of nftables.
type conn struct{ *netlink.Conn }

func dial() (*conn, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	return &conn{c}, nil
}

var native = binary.NativeEndian

func str(s string) []byte { return append([]byte(s), 0) }

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// The families of the two tables, which have one name: addresses and links.
const (
	byAddress = unix.NFPROTO_INET
	byLink    = unix.NFPROTO_NETDEV
)

func nft(family byte, typ, flags uint16, what string, body ...[]byte) netlink.Message {
	data := []byte{family, unix.NFNETLINK_V0, 0, 0}
	for _, b := range body {
		data = append(data, b...)
	}
	return netlink.Message{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | typ, Flags: unix.NLM_F_REQUEST | flags, Data: data, What: what}
}

// batch sends the messages as one transaction: all of them happen or none.
func (c *conn) batch(msgs []netlink.Message) error {
	edge := []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES}
	all := []netlink.Message{{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: unix.NLM_F_REQUEST, Data: edge, What: "begin"}}
	all = append(all, msgs...)
	all = append(all, netlink.Message{Type: unix.NFNL_MSG_BATCH_END, Flags: unix.NLM_F_REQUEST, Data: edge, What: "commit"})
	_, err := c.Do(all...)
	return err
}

// table is what the kernel says of the table.
type table struct {
	flags uint32
	owner uint32 // netlink port of the owner, 0 for none
}

// table returns nil when there is none of that name in the family.
func (c *conn) table(family byte, name string) (*table, error) {
	answers, err := c.Dump(nft(family, unix.NFT_MSG_GETTABLE, 0, "list tables"))
	if err != nil {
		return nil, err
	}
	var found *table
	for _, m := range answers {
		var t table
		var n string
		if len(m.Data) < 4 || m.Data[0] != family {
			continue
		}
		netlink.Attrs(m.Data[4:], func(typ uint16, b []byte) {
			switch {
			case typ == unix.NFTA_TABLE_NAME:
				n = text(b)
			case typ == unix.NFTA_TABLE_FLAGS && len(b) == 4:
				t.flags = binary.BigEndian.Uint32(b)
			case typ == tableOwner && len(b) == 4:
				t.owner = binary.BigEndian.Uint32(b)
			}
		})
		if n == name {
			found = &t
		}
	}
	return found, nil
}

func text(b []byte) string {
	if len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return string(b)
}

// installed says what install could make.
type installed struct {
	flags uint32 // of the tables: the wished ones, or none on a kernel that lacks them
	// linkless is why there is no table of links; nil when there is one.
	linkless error
}

// install makes the tables with exactly the rules of s, whatever was there before, in one
// transaction. Where the kernel has no hooks for what leaves by a link, which came with 5.16,
// the table of links is left out.
func (c *conn) install(name string, s ruleset, wish uint32) (installed, error) {
	made := installed{flags: wish}
	var there []byte
	for _, family := range []byte{byAddress, byLink} {
		t, err := c.table(family, name)
		if err != nil && family == byLink {
			made.linkless = err
			continue
		}
		if err != nil {
			return made, err
		}
		if t != nil && t.flags&flagOwner != 0 && t.owner != c.Port() {
			return made, ErrOwned
		}
		if t != nil {
			there = append(there, family)
		}
	}
	for {
		msgs, err := installation(name, s, made, there)
		if err != nil {
			return made, err
		}
		err = c.batch(msgs)
		unable := errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)
		switch {
		case unable && made.flags != 0:
			made.flags = 0 // before 6.9; a table that only has an owner would vanish with the agent
		case unable && made.linkless == nil:
			made.flags, made.linkless = wish, err
		default:
			return made, err
		}
	}
}

func installation(name string, s ruleset, how installed, replace []byte) ([]netlink.Message, error) {
	var msgs []netlink.Message
	for _, family := range replace {
		msgs = append(msgs, deletion(family, name))
	}
	type chain struct {
		name, dev  string // dev of a chain of links
		hook, prio uint32
		regular    bool // entered by a jump alone
	}
	build := func(family byte, chains []chain, rules []rule) error {
		const create = unix.NLM_F_ACK | unix.NLM_F_CREATE
		msgs = append(msgs, nft(family, unix.NFT_MSG_NEWTABLE, create, "add table "+name,
			netlink.Attr(unix.NFTA_TABLE_NAME, str(name)), netlink.Attr(unix.NFTA_TABLE_FLAGS, be32(how.flags))))
		for _, ch := range chains {
			body := [][]byte{netlink.Attr(unix.NFTA_CHAIN_TABLE, str(name)), netlink.Attr(unix.NFTA_CHAIN_NAME, str(ch.name))}
			if !ch.regular {
				hook := [][]byte{netlink.Attr(unix.NFTA_HOOK_HOOKNUM, be32(ch.hook)), netlink.Attr(unix.NFTA_HOOK_PRIORITY, be32(ch.prio))}
				if ch.dev != "" {
					hook = append(hook, netlink.Attr(unix.NFTA_HOOK_DEV, str(ch.dev)))
				}
				body = append(body, netlink.Nested(unix.NFTA_CHAIN_HOOK, hook...),
					netlink.Attr(unix.NFTA_CHAIN_POLICY, be32(nftPolicyDrop)), netlink.Attr(unix.NFTA_CHAIN_TYPE, str("filter")))
			}
			msgs = append(msgs, nft(family, unix.NFT_MSG_NEWCHAIN, create, "add chain "+ch.name, body...))
		}
		for i, r := range rules {
			var list []byte
			for _, e := range r.exprs() {
				b, err := expr.Marshal(family, e)
				if err != nil {
					return fmt.Errorf("rule %d of %s: %w", i, r.chain, err)
				}
				list = append(list, netlink.Nested(unix.NFTA_LIST_ELEM, b)...)
			}
			msgs = append(msgs, nft(family, unix.NFT_MSG_NEWRULE, create|unix.NLM_F_APPEND, fmt.Sprintf("add rule %d of %s", i, r.chain),
				netlink.Attr(unix.NFTA_RULE_TABLE, str(name)), netlink.Attr(unix.NFTA_RULE_CHAIN, str(r.chain)),
				netlink.Nested(unix.NFTA_RULE_EXPRESSIONS, list)))
		}
		return nil
	}
	low := int32(priority)
	prio := uint32(low)
	err := build(byAddress, []chain{
		{name: chainIn, hook: unix.NF_INET_LOCAL_IN, prio: prio}, {name: chainOut, hook: unix.NF_INET_LOCAL_OUT, prio: prio},
		{name: chainForward, hook: unix.NF_INET_FORWARD, prio: prio},
	}, addressRules(s))
	if err != nil || how.linkless != nil {
		return msgs, err
	}
	chains := []chain{{name: chainIn, regular: true}, {name: chainOut, regular: true}}
	for _, k := range s.links {
		chains = append(chains, chain{name: k.chain(chainIn), dev: k.name, hook: hookIngress, prio: prio},
			chain{name: k.chain(chainOut), dev: k.name, hook: hookEgress, prio: prio})
	}
	return msgs, build(byLink, chains, linkRules(s))
}

// The hooks of a link (linux/netfilter.h).
const (
	hookIngress = 0 // NF_NETDEV_INGRESS
	hookEgress  = 1 // NF_NETDEV_EGRESS, 5.16
)

func deletion(family byte, name string) netlink.Message {
	return nft(family, unix.NFT_MSG_DELTABLE, unix.NLM_F_ACK, "delete table "+name, netlink.Attr(unix.NFTA_TABLE_NAME, str(name)))
}

// uninstall deletes the tables; that there is none is not an error.
func (c *conn) uninstall(name string) error {
	var msgs []netlink.Message
	for _, family := range []byte{byAddress, byLink} {
		t, err := c.table(family, name)
		if err != nil && family == byLink {
			continue // a kernel without the family has no such table
		}
		if err != nil {
			return err
		}
		if t == nil {
			continue
		}
		if t.flags&flagOwner != 0 && t.owner != c.Port() {
			return ErrOwned
		}
		msgs = append(msgs, deletion(family, name))
	}
	if len(msgs) == 0 {
		return nil
	}
	return c.batch(msgs)
}

// content is what a table holds, as far as a change to it would show.
type content struct {
	chains []string // name:hook:priority:policy, sorted; with :device of one that has one
	rules  []uint64 // handles, in the order of the dump
	drops4 uint64   // packets that left or entered or crossed and were dropped
	drops6 uint64
	out4   uint64 // of these, the ones the device sent
	out6   uint64
	frames uint64 // frames that were dropped where they left a link
}

// content reads a table. A kernel hands out each rule handle once: equal handles mean
// that no rule was replaced.
func (c *conn) content(family byte, name string) (content, error) {
	var ct content
	answers, err := c.Dump(nft(family, unix.NFT_MSG_GETCHAIN, 0, "list chains"))
	if err != nil {
		return ct, err
	}
	for _, m := range answers {
		if len(m.Data) < 4 || m.Data[0] != family {
			continue
		}
		if in, text := chainText(m.Data[4:]); in == name {
			ct.chains = append(ct.chains, text)
		}
	}
	slices.Sort(ct.chains)
	answers, err = c.Dump(nft(family, unix.NFT_MSG_GETRULE, 0, "list rules", netlink.Attr(unix.NFTA_RULE_TABLE, str(name))))
	if err != nil {
		return ct, err
	}
	packets := map[string][]uint64{}
	for _, m := range answers {
		if len(m.Data) < 4 || m.Data[0] != family {
			continue
		}
		var in, chain string
		var handle, n uint64
		netlink.Attrs(m.Data[4:], func(typ uint16, b []byte) {
			switch {
			case typ == unix.NFTA_RULE_TABLE:
				in = text(b)
			case typ == unix.NFTA_RULE_CHAIN:
				chain = text(b)
			case typ == unix.NFTA_RULE_HANDLE && len(b) == 8:
				handle = binary.BigEndian.Uint64(b)
			case typ == unix.NFTA_RULE_EXPRESSIONS:
				n = counter(b)
			}
		})
		if in == name {
			ct.rules = append(ct.rules, handle)
			packets[chain] = append(packets[chain], n)
		}
	}
	for chain, p := range packets {
		switch {
		case family == byLink && chain == chainOut:
			ct.frames = p[len(p)-1]
		case family == byLink || len(p) < 2:
		default:
			four, six := p[len(p)-2], p[len(p)-1]
			ct.drops4 += four
			ct.drops6 += six
			if chain == chainOut {
				ct.out4, ct.out6 = four, six
			}
		}
	}
	return ct, nil
}

// chainText returns a chain's table, and the chain as expectedChains writes it.
func chainText(attrs []byte) (table, chain string) {
	var hook, prio, policy uint32
	var dev string
	based := false
	netlink.Attrs(attrs, func(typ uint16, b []byte) {
		switch {
		case typ == unix.NFTA_CHAIN_TABLE:
			table = text(b)
		case typ == unix.NFTA_CHAIN_NAME:
			chain = text(b)
		case typ == unix.NFTA_CHAIN_POLICY && len(b) == 4:
			policy = binary.BigEndian.Uint32(b)
		case typ == unix.NFTA_CHAIN_HOOK:
			based = true
			netlink.Attrs(b, func(typ uint16, b []byte) {
				switch {
				case typ == unix.NFTA_HOOK_HOOKNUM && len(b) == 4:
					hook = binary.BigEndian.Uint32(b)
				case typ == unix.NFTA_HOOK_PRIORITY && len(b) == 4:
					prio = binary.BigEndian.Uint32(b)
				case typ == unix.NFTA_HOOK_DEV:
					dev = text(b)
				}
			})
		}
	})
	if !based {
		return table, chain
	}
	return table, baseChain(chain, hook, policy, int32(prio), dev)
}

func baseChain(name string, hook, policy uint32, prio int32, dev string) string {
	s := fmt.Sprintf("%s:%d:%d:%d", name, hook, prio, policy)
	if dev != "" {
		s += ":" + dev
	}
	return s
}

// counter returns the packets of the counter among the expressions of a rule.
func counter(list []byte) (packets uint64) {
	netlink.Attrs(list, func(_ uint16, elem []byte) {
		var name string
		var data []byte
		netlink.Attrs(elem, func(typ uint16, b []byte) {
			switch typ {
			case unix.NFTA_EXPR_NAME:
				name = text(b)
			case unix.NFTA_EXPR_DATA:
				data = b
			}
		})
		if name != "counter" {
			return
		}
		netlink.Attrs(data, func(typ uint16, b []byte) {
			if typ == counterPkts && len(b) == 8 {
				packets = binary.BigEndian.Uint64(b)
			}
		})
	})
	return packets
}

// expectedChains is what content.chains of the table of addresses must be.
func expectedChains() []string {
	return []string{
		baseChain(chainForward, unix.NF_INET_FORWARD, nftPolicyDrop, priority, ""),
		baseChain(chainIn, unix.NF_INET_LOCAL_IN, nftPolicyDrop, priority, ""),
		baseChain(chainOut, unix.NF_INET_LOCAL_OUT, nftPolicyDrop, priority, ""),
	}
}

// expectedLinkChains is what content.chains of the table of links must be.
func expectedLinkChains(links []link) []string {
	out := []string{chainIn, chainOut}
	for _, k := range links {
		out = append(out, baseChain(k.chain(chainIn), hookIngress, nftPolicyDrop, priority, k.name),
			baseChain(k.chain(chainOut), hookEgress, nftPolicyDrop, priority, k.name))
	}
	slices.Sort(out)
	return out
}
