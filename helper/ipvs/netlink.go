package ipvs

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/rawnetlink"
)

// Netlink is the kernel's IPVS table of the network namespace in which it is first used. Not safe for concurrent use.
type Netlink struct {
	socket *rawnetlink.Socket
	family uint16 // 0 until it has been looked up
	// The messages of Execute and their bodies, used again and again.
	messages []netlink.Message
	bodies   []byte
}

// NewNetlink prepares a connection; nothing is opened before the first use.
func NewNetlink() *Netlink {
	return &Netlink{socket: rawnetlink.NewSmall(unix.NETLINK_GENERIC)}
}

// NewNetlinkWithBuffer is NewNetlink with a receive buffer of so many bytes, for tests in which answers get lost: refusals, and with
// acknowledgeEach successes, too.
func NewNetlinkWithBuffer(bytes int, acknowledgeEach bool) *Netlink {
	n := NewNetlink()
	n.socket.ReceiveBuffer, n.socket.AcknowledgeEach = bytes, acknowledgeEach
	return n
}

// dumpTries bounds how often a dump is repeated that contradicts itself.
const dumpTries = 10

// Services implements Kernel.
func (n *Netlink) Services() ([]Service, error) {
	return dump(n, genetlinkHeader(cmdGetService, familyVersion), decodeServiceMessage, func(service Service) ServiceKey { return service.ServiceKey })
}

// Destinations implements Kernel.
func (n *Netlink) Destinations(key ServiceKey) ([]Destination, error) {
	body := encodeServiceRequest(cmdGetDest, key)
	decode := func(body []byte, destination *Destination) error {
		return decodeDestinationMessage(body, key.Family, destination)
	}
	return dump(n, body, decode, func(destination Destination) DestinationKey { return destination.DestinationKey })
}

// Service implements Kernel.
func (n *Netlink) Service(key ServiceKey) (Service, error) {
	if err := n.resolve(); err != nil {
		return Service{}, err
	}
	answer, err := n.socket.Get(n.message(encodeServiceRequest(cmdGetService, key)))
	if err != nil {
		return Service{}, err
	}
	var service Service
	if err := decodeServiceMessage(answer, &service); err != nil {
		return Service{}, err
	}
	return service, nil
}

// Execute implements Kernel.
func (n *Netlink) Execute(operations []Operation) []error {
	results := make([]error, len(operations))
	if err := n.resolve(); err != nil {
		for index := range results {
			results[index] = err
		}
		return results
	}
	messages := n.messages[:0]
	origin := make([]int, 0, len(operations))
	bodies := n.bodies[:0]
	defer func() { n.bodies, n.messages = bodies, messages }()
	for index := range operations {
		start := len(bodies)
		var err error
		if bodies, err = appendOperation(bodies, &operations[index]); err != nil {
			results[index] = err
			continue
		}
		messages = append(messages, n.message(bodies[start:len(bodies):len(bodies)]))
		origin = append(origin, index)
	}
	for index, err := range n.socket.Batch(messages) {
		results[origin[index]] = err
	}
	return results
}

// Probe implements Kernel.
func (n *Netlink) Probe() error {
	_, err := n.Info()
	return err
}

// Close implements Kernel.
func (n *Netlink) Close() error { return n.socket.Close() }

func (n *Netlink) message(body []byte) netlink.Message {
	return netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(n.family)}, Data: body}
}

// dump reads a list until it is consistent: the kernel's cursor is a position, so whoever writes meanwhile makes entries
// appear twice (or be missed, which shows when a write contradicts it), and IPVS never says so.
func dump[T any, K comparable](n *Netlink, body []byte, decode func([]byte, *T) error, keyOf func(T) K) ([]T, error) {
	if err := n.resolve(); err != nil {
		return nil, err
	}
	var failure error
	for range dumpTries {
		var entries []T
		err := n.socket.Dump(n.message(body), func(data []byte) error {
			if entries == nil {
				entries = make([]T, 0, 16)
			}
			var none T
			entries = append(entries, none)
			return decode(data, &entries[len(entries)-1])
		})
		switch {
		case err == nil && !hasDuplicates(entries, keyOf):
			return entries, nil
		case err == nil:
			failure = rawnetlink.ErrInterrupted
		case errors.Is(err, rawnetlink.ErrInterrupted), errors.Is(err, rawnetlink.ErrOutcomeUnknown), errors.Is(err, unix.EBUSY):
			failure = err
		default:
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrOutcomeUnknown, failure)
}

// hasDuplicates compares each with each where that is cheaper than a map.
func hasDuplicates[T any, K comparable](entries []T, keyOf func(T) K) bool {
	const few = 16
	if len(entries) <= few {
		var keys [few]K
		for index, entry := range entries {
			keys[index] = keyOf(entry)
			if slices.Contains(keys[:index], keys[index]) {
				return true
			}
		}
		return false
	}
	seen := make(map[K]bool, len(entries))
	for _, entry := range entries {
		key := keyOf(entry)
		if seen[key] {
			return true
		}
		seen[key] = true
	}
	return false
}

// resolve asks for the number of the family once. Asking loads the module where the kernel can (from 5.16 on).
func (n *Netlink) resolve() error {
	if n.family != 0 {
		return nil
	}
	answer, err := n.socket.Get(netlink.Message{
		Header: netlink.Header{Type: unix.GENL_ID_CTRL},
		Data:   appendName(genetlinkHeader(unix.CTRL_CMD_GETFAMILY, 1), unix.CTRL_ATTR_FAMILY_NAME, familyName),
	})
	if errors.Is(err, unix.ENOENT) {
		return ErrNoFamily
	}
	if err != nil {
		return err
	}
	n.family, err = decodeFamilyID(answer)
	return err
}

func decodeFamilyID(body []byte) (uint16, error) {
	if len(body) < 4 {
		return 0, fmt.Errorf("%w: family of %d bytes", ErrMalformed, len(body))
	}
	var identifier uint16
	err := eachAttribute(body[4:], func(kind uint16, value []byte) error {
		if kind == unix.CTRL_ATTR_FAMILY_ID {
			return decodeNumber(value, &identifier)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if identifier == 0 {
		return 0, fmt.Errorf("%w: family without a number", ErrMalformed)
	}
	return identifier, nil
}
