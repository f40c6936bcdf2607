package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/vedette-edr/vedette/wire/wirepb"
)

// Every signature covers one of these texts before the body, so that what was signed as
// one thing is never taken for another.
const (
	CommandContext   = "vedette command 1\x00"
	IndicatorContext = "vedette indicators 1\x00"
	KeyContext       = "vedette command key 1\x00"
	ReenrolContext   = "vedette enrol again 1\x00"
)

// MaxLife is the longest time from a command's issue to its expiry. Ids of commands are
// remembered until they expire, so it bounds that memory too.
const MaxLife = 30 * 24 * time.Hour

// Command tells one incarnation of one device to do something.
type Command struct {
	ID          string // GUID in lower case: the action's id
	Device      string
	Incarnation uint64
	Kind        string // isolate, unisolate, …
	Params      []byte // JSON object, "" for none
	Issued      time.Time
	Expires     time.Time
}

// Errors of Verify, told apart with errors.Is.
var (
	ErrSignature = errors.New("wire: the signatures do not suffice")
	ErrForeign   = errors.New("wire: the command is for another device or incarnation")
	ErrExpired   = errors.New("wire: the command has expired")
	ErrCommand   = errors.New("wire: the command is malformed")
)

var (
	commandID   = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	commandKind = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
)

func (c *Command) check() error {
	switch {
	case !commandID.MatchString(c.ID):
		return fmt.Errorf("%w: its id is no GUID", ErrCommand)
	case !commandKind.MatchString(c.Kind):
		return fmt.Errorf("%w: its kind is no word", ErrCommand)
	case len(c.Params) > MaxParams:
		return fmt.Errorf("%w: its parameters are %d bytes, more than %d", ErrCommand, len(c.Params), MaxParams)
	case len(c.Params) > 0 && (!json.Valid(c.Params) || !bytes.HasPrefix(bytes.TrimSpace(c.Params), []byte("{"))):
		return fmt.Errorf("%w: its parameters are no JSON object", ErrCommand)
	case !c.Expires.After(c.Issued) || c.Expires.Sub(c.Issued) > MaxLife:
		return fmt.Errorf("%w: its lifetime is not between 0 and %v", ErrCommand, MaxLife)
	}
	return nil
}

// Body serialises a command: the bytes that the server and approvers sign.
func Body(c *Command) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(&wirepb.Command{
		Id: c.ID, Device: c.Device, Incarnation: c.Incarnation, Kind: c.Kind, Params: c.Params,
		Issued: c.Issued.UnixNano(), Expires: c.Expires.UnixNano(),
	})
}

// ParseBody reads the bytes of Body, for whoever is about to sign them.
func ParseBody(body []byte) (*Command, error) {
	var m wirepb.Command
	if err := proto.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCommand, err)
	}
	c := &Command{ID: m.Id, Device: m.Device, Incarnation: m.Incarnation, Kind: m.Kind, Params: m.Params,
		Issued: time.Unix(0, m.Issued).UTC(), Expires: time.Unix(0, m.Expires).UTC()}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// Sign serialises a command once and signs those bytes with each key.
func Sign(c *Command, keys ...ed25519.PrivateKey) (*wirepb.Envelope, error) {
	body, err := Body(c)
	if err != nil {
		return nil, err
	}
	return &wirepb.Envelope{Body: body, Signatures: SignBody(CommandContext, body, keys...)}, nil
}

// SignBody signs a body for one context with each key.
func SignBody(context string, body []byte, keys ...ed25519.PrivateKey) []*wirepb.Signature {
	var out []*wirepb.Signature
	for _, k := range keys {
		out = append(out, &wirepb.Signature{
			Key:       k.Public().(ed25519.PublicKey),
			Signature: ed25519.Sign(k, append([]byte(context), body...)),
		})
	}
	return out
}

// Policy says what a device demands of a command. The zero Threshold demands the server's
// signature alone.
type Policy struct {
	Device      string
	Incarnation uint64
	Server      ed25519.PublicKey
	Approvers   []ed25519.PublicKey
	// Threshold is how many different approvers must sign a kind besides the server.
	Threshold map[string]int
	// Refused are kinds that no signature makes the device do.
	Refused []string
}

// Verify returns the command of an envelope if it is signed as the policy demands, meant
// for this device and incarnation, and alive at now, which is the server's time as the
// device knows it. Whether it was seen before is for the caller to know.
func Verify(e *wirepb.Envelope, p Policy, now time.Time) (*Command, error) {
	if !VerifyBody(CommandContext, e.GetBody(), e.GetSignatures(), p.Server) {
		return nil, fmt.Errorf("%w: the server's is missing", ErrSignature)
	}
	c, err := ParseBody(e.GetBody())
	if err != nil {
		return nil, err
	}
	if c.Device != p.Device || c.Incarnation != p.Incarnation {
		return c, ErrForeign
	}
	if !now.Before(c.Expires) {
		return c, ErrExpired
	}
	if slices.Contains(p.Refused, c.Kind) {
		return c, fmt.Errorf("%w: this device's policy refuses %s", ErrSignature, c.Kind)
	}
	signed := 0
	for i, a := range p.Approvers {
		repeated := slices.ContainsFunc(p.Approvers[:i], func(b ed25519.PublicKey) bool { return b.Equal(a) })
		if !repeated && VerifyBody(CommandContext, e.GetBody(), e.GetSignatures(), a) {
			signed++
		}
	}
	if need := p.Threshold[c.Kind]; signed < need {
		return c, fmt.Errorf("%w: %d of %d approvers signed %s", ErrSignature, signed, need, c.Kind)
	}
	return c, nil
}

// maxSignatures bounds the work that one envelope can cause.
const maxSignatures = 16

// VerifyBody reports whether key signed the body for the context.
func VerifyBody(context string, body []byte, signatures []*wirepb.Signature, key ed25519.PublicKey) bool {
	if len(key) != ed25519.PublicKeySize || len(signatures) > maxSignatures {
		return false
	}
	for _, s := range signatures {
		if key.Equal(ed25519.PublicKey(s.GetKey())) && ed25519.Verify(key, append([]byte(context), body...), s.GetSignature()) {
			return true
		}
	}
	return false
}

// Succeed follows the hand-overs of the command key from the one that is pinned and
// returns the newest that can be trusted; keys that do not follow are passed over.
func Succeed(pinned ed25519.PublicKey, chain []*wirepb.KeySuccession) ed25519.PublicKey {
	for _, s := range chain {
		if len(s.GetKey()) != ed25519.PublicKeySize || len(pinned) != ed25519.PublicKeySize {
			continue
		}
		if ed25519.Verify(pinned, successionBody(pinned, s.GetKey()), s.GetSignature()) {
			pinned = ed25519.PublicKey(s.GetKey())
		}
	}
	return pinned
}

// HandOver signs the next command key with the present one.
func HandOver(present ed25519.PrivateKey, next ed25519.PublicKey) *wirepb.KeySuccession {
	body := successionBody(present.Public().(ed25519.PublicKey), next)
	return &wirepb.KeySuccession{Key: next, Signature: ed25519.Sign(present, body)}
}

func successionBody(from, to ed25519.PublicKey) []byte {
	return slices.Concat([]byte(KeyContext), from, to)
}
