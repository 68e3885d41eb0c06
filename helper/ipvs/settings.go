package ipvs

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/rawnetlink"
)

// Settings is what IPVS keeps once per network namespace, beside the table. Errors carry the kernel's errno.
type Settings interface {
	// Timeouts reads the timeouts of idle connections.
	Timeouts() (Timeouts, error)
	// SetTimeouts sets those that are not 0.
	SetTimeouts(timeouts Timeouts) error
	// Daemons reads the synchronisation daemons that run.
	Daemons() ([]Daemon, error)
	// StartDaemon answers EEXIST when one of this role runs, ENODEV without the interface, EINVAL while a real server has
	// another address family than its virtual server.
	StartDaemon(daemon Daemon) error
	// StopDaemon answers ESRCH when none of this role runs.
	StopDaemon(role Role) error
}

// Timeouts of idle connections in seconds.
type Timeouts struct {
	TCP, TCPFin, UDP uint32
}

// Role of a synchronisation daemon, IP_VS_STATE_*.
type Role uint32

// The roles: a master sends the connections that it has, a backup receives them.
const (
	Master Role = 1
	Backup Role = 2
)

// String is "master" or "backup".
func (r Role) String() string {
	if r == Master {
		return "master"
	}
	return "backup"
}

// Daemon is a synchronisation daemon. Of MaxLength, Group, Port and TTL zero leaves the choice to the kernel when started;
// read back they are set.
type Daemon struct {
	Role      Role
	Interface string
	SyncID    uint32 // 0 … 255
	MaxLength uint16
	Group     netip.Addr
	Port      uint16
	TTL       uint8
}

// IPVS_CMD_*, IPVS_CMD_ATTR_* and IPVS_DAEMON_ATTR_* of ip_vs.h.
const (
	cmdNewDaemon = 9
	cmdDelDaemon = 10
	cmdGetDaemon = 11
	cmdSetConfig = 12
	cmdGetConfig = 13

	cmdAttrDaemon        = 3
	cmdAttrTimeoutTCP    = 4
	cmdAttrTimeoutTCPFin = 5
	cmdAttrTimeoutUDP    = 6

	daemonAttrState      = 1
	daemonAttrInterface  = 2
	daemonAttrSyncID     = 3
	daemonAttrMaxLength  = 4
	daemonAttrGroup      = 5
	daemonAttrGroup6     = 6
	daemonAttrPort       = 7
	daemonAttrTTL        = 8
	maxInterfaceNameSize = unix.IFNAMSIZ
)

// Timeouts implements Settings.
func (n *Netlink) Timeouts() (Timeouts, error) {
	answer, err := n.ask(cmdGetConfig, netlink.NewAttributeEncoder())
	if err != nil {
		return Timeouts{}, err
	}
	return decodeTimeouts(answer)
}

func decodeTimeouts(body []byte) (Timeouts, error) {
	var timeouts Timeouts
	if len(body) < 4 {
		return timeouts, fmt.Errorf("%w: configuration of %d bytes", ErrMalformed, len(body))
	}
	attributes, err := netlink.NewAttributeDecoder(body[4:])
	if err != nil {
		return timeouts, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	for attributes.Next() {
		switch attributes.Type() {
		case cmdAttrTimeoutTCP:
			timeouts.TCP = attributes.Uint32()
		case cmdAttrTimeoutTCPFin:
			timeouts.TCPFin = attributes.Uint32()
		case cmdAttrTimeoutUDP:
			timeouts.UDP = attributes.Uint32()
		}
	}
	if err := attributes.Err(); err != nil {
		return timeouts, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return timeouts, nil
}

// SetTimeouts implements Settings.
func (n *Netlink) SetTimeouts(timeouts Timeouts) error {
	attributes := netlink.NewAttributeEncoder()
	attributes.Uint32(cmdAttrTimeoutTCP, timeouts.TCP)
	attributes.Uint32(cmdAttrTimeoutTCPFin, timeouts.TCPFin)
	attributes.Uint32(cmdAttrTimeoutUDP, timeouts.UDP)
	_, err := n.ask(cmdSetConfig, attributes)
	return err
}

// Daemons implements Settings.
func (n *Netlink) Daemons() ([]Daemon, error) {
	if err := n.resolve(); err != nil {
		return nil, err
	}
	var failure error
	for range dumpTries {
		var daemons []Daemon
		failure = n.socket.Dump(n.message(genetlinkHeader(cmdGetDaemon, familyVersion)), func(data []byte) error {
			daemon, err := decodeDaemon(data)
			daemons = append(daemons, daemon)
			return err
		})
		if failure == nil {
			return daemons, nil
		}
		if !errors.Is(failure, rawnetlink.ErrInterrupted) && !errors.Is(failure, unix.EBUSY) {
			break
		}
	}
	return nil, failure
}

func decodeDaemon(body []byte) (Daemon, error) {
	var daemon Daemon
	err := decodeNested(body, cmdAttrDaemon, func(attributes *netlink.AttributeDecoder) error {
		for attributes.Next() {
			switch attributes.Type() {
			case daemonAttrState:
				daemon.Role = Role(attributes.Uint32())
			case daemonAttrInterface:
				daemon.Interface = attributes.String()
			case daemonAttrSyncID:
				daemon.SyncID = attributes.Uint32()
			case daemonAttrMaxLength:
				daemon.MaxLength = attributes.Uint16()
			case daemonAttrGroup, daemonAttrGroup6:
				daemon.Group, _ = netip.AddrFromSlice(attributes.Bytes())
			case daemonAttrPort:
				daemon.Port = attributes.Uint16()
			case daemonAttrTTL:
				daemon.TTL = attributes.Uint8()
			}
		}
		return attributes.Err()
	})
	return daemon, err
}

// StartDaemon implements Settings.
func (n *Netlink) StartDaemon(daemon Daemon) error {
	if len(daemon.Interface) >= maxInterfaceNameSize {
		return unix.ENODEV // no interface has such a name
	}
	return n.askDaemon(cmdNewDaemon, func(nested *netlink.AttributeEncoder) {
		nested.Uint32(daemonAttrState, uint32(daemon.Role))
		nested.String(daemonAttrInterface, daemon.Interface)
		nested.Uint32(daemonAttrSyncID, daemon.SyncID)
		if daemon.MaxLength != 0 {
			nested.Uint16(daemonAttrMaxLength, daemon.MaxLength)
		}
		switch {
		case daemon.Group.Is4():
			nested.Bytes(daemonAttrGroup, daemon.Group.AsSlice())
		case daemon.Group.Is6():
			nested.Bytes(daemonAttrGroup6, daemon.Group.AsSlice())
		}
		if daemon.Port != 0 {
			nested.Uint16(daemonAttrPort, daemon.Port)
		}
		if daemon.TTL != 0 {
			nested.Uint8(daemonAttrTTL, daemon.TTL)
		}
	})
}

// StopDaemon implements Settings.
func (n *Netlink) StopDaemon(role Role) error {
	return n.askDaemon(cmdDelDaemon, func(nested *netlink.AttributeEncoder) {
		nested.Uint32(daemonAttrState, uint32(role))
	})
}

func (n *Netlink) askDaemon(command uint8, encode func(*netlink.AttributeEncoder)) error {
	attributes := netlink.NewAttributeEncoder()
	attributes.Nested(cmdAttrDaemon, func(nested *netlink.AttributeEncoder) error {
		encode(nested)
		return nil
	})
	_, err := n.ask(command, attributes)
	return err
}

func (n *Netlink) ask(command uint8, attributes *netlink.AttributeEncoder) ([]byte, error) {
	if err := n.resolve(); err != nil {
		return nil, err
	}
	body, err := encodeMessage(command, attributes)
	if err != nil {
		return nil, err
	}
	return n.socket.Get(n.message(body))
}
