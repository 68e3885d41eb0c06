package ipvs

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"ipvs-operator.io/helper/rawnetlink"
)

// Settings is what IPVS keeps once per network namespace, beside the table. Errors carry the kernel's errno.
type Settings interface {
	// Info reads the version of IPVS and the size of its table of connections.
	Info() (Info, error)
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
	answer, err := n.ask(genetlinkHeader(cmdGetConfig, familyVersion))
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
	err := eachAttribute(body[4:], func(kind uint16, value []byte) error {
		switch kind {
		case cmdAttrTimeoutTCP:
			return decodeNumber(value, &timeouts.TCP)
		case cmdAttrTimeoutTCPFin:
			return decodeNumber(value, &timeouts.TCPFin)
		case cmdAttrTimeoutUDP:
			return decodeNumber(value, &timeouts.UDP)
		}
		return nil
	})
	if err != nil {
		return timeouts, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return timeouts, nil
}

// SetTimeouts implements Settings.
func (n *Netlink) SetTimeouts(timeouts Timeouts) error {
	body := genetlinkHeader(cmdSetConfig, familyVersion)
	body = appendUint32(body, cmdAttrTimeoutTCP, timeouts.TCP)
	body = appendUint32(body, cmdAttrTimeoutTCPFin, timeouts.TCPFin)
	body = appendUint32(body, cmdAttrTimeoutUDP, timeouts.UDP)
	_, err := n.ask(body)
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
	attributes, err := findNested(body, cmdAttrDaemon)
	if err != nil {
		return Daemon{}, err
	}
	err = eachAttribute(attributes, func(kind uint16, value []byte) error {
		switch kind {
		case daemonAttrState:
			return decodeNumber(value, &daemon.Role)
		case daemonAttrInterface:
			daemon.Interface = decodeName(value)
		case daemonAttrSyncID:
			return decodeNumber(value, &daemon.SyncID)
		case daemonAttrMaxLength:
			return decodeNumber(value, &daemon.MaxLength)
		case daemonAttrGroup, daemonAttrGroup6:
			daemon.Group, _ = netip.AddrFromSlice(value)
		case daemonAttrPort:
			return decodeNumber(value, &daemon.Port)
		case daemonAttrTTL:
			return decodeNumber(value, &daemon.TTL)
		}
		return nil
	})
	return daemon, malformed(err)
}

// StartDaemon implements Settings.
func (n *Netlink) StartDaemon(daemon Daemon) error {
	if len(daemon.Interface) >= maxInterfaceNameSize {
		return unix.ENODEV // no interface has such a name
	}
	body, start := appendNested(genetlinkHeader(cmdNewDaemon, familyVersion), cmdAttrDaemon)
	body = appendUint32(body, daemonAttrState, uint32(daemon.Role))
	body = appendName(body, daemonAttrInterface, daemon.Interface)
	body = appendUint32(body, daemonAttrSyncID, daemon.SyncID)
	if daemon.MaxLength != 0 {
		body = appendUint16(body, daemonAttrMaxLength, daemon.MaxLength)
	}
	switch {
	case daemon.Group.Is4():
		body = appendAddress(body, daemonAttrGroup, daemon.Group)
	case daemon.Group.Is6():
		body = appendAddress(body, daemonAttrGroup6, daemon.Group)
	}
	if daemon.Port != 0 {
		body = appendUint16(body, daemonAttrPort, daemon.Port)
	}
	if daemon.TTL != 0 {
		body = appendUint8(body, daemonAttrTTL, daemon.TTL)
	}
	_, err := n.ask(endNested(body, start))
	return err
}

// StopDaemon implements Settings.
func (n *Netlink) StopDaemon(role Role) error {
	body, start := appendNested(genetlinkHeader(cmdDelDaemon, familyVersion), cmdAttrDaemon)
	_, err := n.ask(endNested(appendUint32(body, daemonAttrState, uint32(role)), start))
	return err
}

func (n *Netlink) ask(body []byte) ([]byte, error) {
	if err := n.resolve(); err != nil {
		return nil, err
	}
	return n.socket.Get(n.message(body))
}
