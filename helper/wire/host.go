package wire

import "fmt"

// Host is the part of an apply that concerns the director as a whole. What is absent stays untouched.
type Host struct {
	// Sysctls by full name (net.ipv4.vs.…), each with the value that it shall have.
	Sysctls map[string]string `json:"sysctls,omitempty"`
	// Timeouts of connections.
	Timeouts *Timeouts `json:"timeouts,omitempty"`
	// SyncDaemons are all connection synchronisation daemons that shall run; an empty list stops them.
	SyncDaemons *[]SyncDaemon `json:"syncDaemons,omitempty"`
}

// Timeouts of idle connections, in seconds (ipvsadm --set).
type Timeouts struct {
	TCPSeconds    int64 `json:"tcpSeconds"`
	TCPFinSeconds int64 `json:"tcpFinSeconds"`
	UDPSeconds    int64 `json:"udpSeconds"`
}

// SyncDaemon is a connection synchronisation daemon (ipvsadm --start-daemon). Zero fields are the kernel's choice.
type SyncDaemon struct {
	// Role is master (sends) or backup (receives).
	Role      string `json:"role"`
	Interface string `json:"interface"`
	SyncID    int64  `json:"syncId"`
	// MaxLength of a message in bytes.
	MaxLength int64 `json:"maxLength,omitempty"`
	// Group is the multicast address, Port and TTL belong to it.
	Group string `json:"group,omitempty"`
	Port  int64  `json:"port,omitempty"`
	TTL   int64  `json:"ttl,omitempty"`
}

// Info is what IPVS in the kernel says of itself.
type Info struct {
	// Version is 1.2.1 in every kernel so far.
	Version string `json:"version"`
	// ConnectionTableSize is the number of rows of the hash table of connections; 0 where the kernel has not made it yet.
	ConnectionTableSize uint32 `json:"connectionTableSize"`
}

// ObservedHost is what a full read tells of the director as a whole.
type ObservedHost struct {
	IPVS        Info              `json:"ipvs"`
	Sysctls     map[string]string `json:"sysctls"`
	Timeouts    Timeouts          `json:"timeouts"`
	SyncDaemons []SyncDaemon      `json:"syncDaemons"`
}

const hostFieldNames = ` host sysctls timeouts tcpSeconds tcpFinSeconds udpSeconds syncDaemons role syncId maxLength group ttl `

type sentHost struct {
	Sysctls     map[string]string `json:"sysctls"`
	Timeouts    *sentTimeouts     `json:"timeouts"`
	SyncDaemons *[]sentSyncDaemon `json:"syncDaemons"`
}

type sentTimeouts struct {
	TCPSeconds    *int64 `json:"tcpSeconds"`
	TCPFinSeconds *int64 `json:"tcpFinSeconds"`
	UDPSeconds    *int64 `json:"udpSeconds"`
}

type sentSyncDaemon struct {
	Role      *string `json:"role"`
	Interface *string `json:"interface"`
	SyncID    *int64  `json:"syncId"`
	MaxLength int64   `json:"maxLength"`
	Group     string  `json:"group"`
	Port      int64   `json:"port"`
	TTL       int64   `json:"ttl"`
}

func (sent *sentHost) complete() (*Host, error) {
	if sent == nil {
		return nil, nil
	}
	host := &Host{Sysctls: sent.Sysctls}
	if sent.Timeouts != nil {
		if sent.Timeouts.TCPSeconds == nil || sent.Timeouts.TCPFinSeconds == nil || sent.Timeouts.UDPSeconds == nil {
			return nil, missing("host.timeouts.tcpSeconds, tcpFinSeconds or udpSeconds")
		}
		host.Timeouts = &Timeouts{*sent.Timeouts.TCPSeconds, *sent.Timeouts.TCPFinSeconds, *sent.Timeouts.UDPSeconds}
	}
	if sent.SyncDaemons == nil {
		return host, nil
	}
	host.SyncDaemons = &[]SyncDaemon{}
	for index, daemon := range *sent.SyncDaemons {
		if daemon.Role == nil || daemon.Interface == nil || daemon.SyncID == nil {
			return nil, fmt.Errorf("host.syncDaemons[%d]: %w", index, missing("role, interface or syncId"))
		}
		*host.SyncDaemons = append(*host.SyncDaemons, SyncDaemon{Role: *daemon.Role, Interface: *daemon.Interface, SyncID: *daemon.SyncID,
			MaxLength: daemon.MaxLength, Group: daemon.Group, Port: daemon.Port, TTL: daemon.TTL})
	}
	return host, nil
}
