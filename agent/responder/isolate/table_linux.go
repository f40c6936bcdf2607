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

func nft(typ, flags uint16, what string, body ...[]byte) netlink.Message {
	data := []byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}
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

// table returns nil when there is none of that name.
func (c *conn) table(name string) (*table, error) {
	answers, err := c.Dump(nft(unix.NFT_MSG_GETTABLE, 0, "list tables"))
	if err != nil {
		return nil, err
	}
	var found *table
	for _, m := range answers {
		var t table
		var n string
		if len(m.Data) < 4 || m.Data[0] != unix.NFPROTO_INET {
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

// install makes the table with exactly the rules of p, whatever was there before, in one
// transaction. It returns the flags the table got: the wished ones, or none on a kernel
// that lacks them.
func (c *conn) install(name string, p Policy, wish uint32) (uint32, error) {
	t, err := c.table(name)
	if err != nil {
		return 0, err
	}
	if t != nil && t.flags&flagOwner != 0 && t.owner != c.Port() {
		return 0, ErrOwned
	}
	for {
		msgs, err := installation(name, p, wish, t != nil)
		if err != nil {
			return 0, err
		}
		err = c.batch(msgs)
		if wish != 0 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)) {
			wish = 0 // before 6.9; a table that only has an owner would vanish with the agent
			continue
		}
		return wish, err
	}
}

func installation(name string, p Policy, flags uint32, replace bool) ([]netlink.Message, error) {
	const create = unix.NLM_F_ACK | unix.NLM_F_CREATE
	var msgs []netlink.Message
	if replace {
		msgs = append(msgs, deletion(name))
	}
	msgs = append(msgs, nft(unix.NFT_MSG_NEWTABLE, create, "add table "+name,
		netlink.Attr(unix.NFTA_TABLE_NAME, str(name)), netlink.Attr(unix.NFTA_TABLE_FLAGS, be32(flags))))
	for _, ch := range []struct {
		name string
		hook uint32
	}{{chainIn, unix.NF_INET_LOCAL_IN}, {chainOut, unix.NF_INET_LOCAL_OUT}, {chainForward, unix.NF_INET_FORWARD}} {
		prio := int32(priority)
		msgs = append(msgs, nft(unix.NFT_MSG_NEWCHAIN, create, "add chain "+ch.name,
			netlink.Attr(unix.NFTA_CHAIN_TABLE, str(name)),
			netlink.Attr(unix.NFTA_CHAIN_NAME, str(ch.name)),
			netlink.Nested(unix.NFTA_CHAIN_HOOK,
				netlink.Attr(unix.NFTA_HOOK_HOOKNUM, be32(ch.hook)),
				netlink.Attr(unix.NFTA_HOOK_PRIORITY, be32(uint32(prio)))),
			netlink.Attr(unix.NFTA_CHAIN_POLICY, be32(nftPolicyDrop)),
			netlink.Attr(unix.NFTA_CHAIN_TYPE, str("filter"))))
	}
	for i, r := range rules(p) {
		var list []byte
		for _, e := range r.exprs() {
			b, err := expr.Marshal(unix.NFPROTO_INET, e)
			if err != nil {
				return nil, fmt.Errorf("rule %d of %s: %w", i, r.chain, err)
			}
			list = append(list, netlink.Nested(unix.NFTA_LIST_ELEM, b)...)
		}
		msgs = append(msgs, nft(unix.NFT_MSG_NEWRULE, create|unix.NLM_F_APPEND, fmt.Sprintf("add rule %d of %s", i, r.chain),
			netlink.Attr(unix.NFTA_RULE_TABLE, str(name)),
			netlink.Attr(unix.NFTA_RULE_CHAIN, str(r.chain)),
			netlink.Nested(unix.NFTA_RULE_EXPRESSIONS, list)))
	}
	return msgs, nil
}

func deletion(name string) netlink.Message {
	return nft(unix.NFT_MSG_DELTABLE, unix.NLM_F_ACK, "delete table "+name, netlink.Attr(unix.NFTA_TABLE_NAME, str(name)))
}

// uninstall deletes the table; that there is none is not an error.
func (c *conn) uninstall(name string) error {
	t, err := c.table(name)
	if err != nil || t == nil {
		return err
	}
	if t.flags&flagOwner != 0 && t.owner != c.Port() {
		return ErrOwned
	}
	return c.batch([]netlink.Message{deletion(name)})
}

// content is what the table holds, as far as a change to it would show.
type content struct {
	chains []string // name:hook:priority:policy, sorted
	rules  []uint64 // handles, in the order of the dump
	drops4 uint64   // packets that left or entered or crossed and were dropped
	drops6 uint64
	out4   uint64 // of these, the ones the device sent
	out6   uint64
}

// content reads the table. A kernel hands out each rule handle once: equal handles mean
// that no rule was replaced.
func (c *conn) content(name string) (content, error) {
	var ct content
	answers, err := c.Dump(nft(unix.NFT_MSG_GETCHAIN, 0, "list chains"))
	if err != nil {
		return ct, err
	}
	for _, m := range answers {
		if len(m.Data) < 4 || m.Data[0] != unix.NFPROTO_INET {
			continue
		}
		var in, chain string
		var hook, prio, policy uint32
		netlink.Attrs(m.Data[4:], func(typ uint16, b []byte) {
			switch {
			case typ == unix.NFTA_CHAIN_TABLE:
				in = text(b)
			case typ == unix.NFTA_CHAIN_NAME:
				chain = text(b)
			case typ == unix.NFTA_CHAIN_POLICY && len(b) == 4:
				policy = binary.BigEndian.Uint32(b)
			case typ == unix.NFTA_CHAIN_HOOK:
				netlink.Attrs(b, func(typ uint16, b []byte) {
					switch {
					case typ == unix.NFTA_HOOK_HOOKNUM && len(b) == 4:
						hook = binary.BigEndian.Uint32(b)
					case typ == unix.NFTA_HOOK_PRIORITY && len(b) == 4:
						prio = binary.BigEndian.Uint32(b)
					}
				})
			}
		})
		if in == name {
			ct.chains = append(ct.chains, fmt.Sprintf("%s:%d:%d:%d", chain, hook, int32(prio), policy))
		}
	}
	slices.Sort(ct.chains)
	answers, err = c.Dump(nft(unix.NFT_MSG_GETRULE, 0, "list rules", netlink.Attr(unix.NFTA_RULE_TABLE, str(name))))
	if err != nil {
		return ct, err
	}
	packets := map[string][]uint64{}
	for _, m := range answers {
		if len(m.Data) < 4 || m.Data[0] != unix.NFPROTO_INET {
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
		if len(p) < 2 {
			continue
		}
		four, six := p[len(p)-2], p[len(p)-1]
		ct.drops4 += four
		ct.drops6 += six
		if chain == chainOut {
			ct.out4, ct.out6 = four, six
		}
	}
	return ct, nil
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

// expectedChains is what content.chains must be.
var expectedChains = []string{
	fmt.Sprintf("%s:%d:%d:%d", chainForward, unix.NF_INET_FORWARD, priority, nftPolicyDrop),
	fmt.Sprintf("%s:%d:%d:%d", chainIn, unix.NF_INET_LOCAL_IN, priority, nftPolicyDrop),
	fmt.Sprintf("%s:%d:%d:%d", chainOut, unix.NF_INET_LOCAL_OUT, priority, nftPolicyDrop),
}
