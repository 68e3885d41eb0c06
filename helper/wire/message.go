package wire

// ProtocolMin and ProtocolMax are the versions of the protocol that this helper speaks.
const (
	ProtocolMin = 1
	ProtocolMax = 1
)

// Hello is the helper's first frame: who it is, where it runs, what this host can do, and what makes it unfit.
type Hello struct {
	Type         string        `json:"type"`
	Protocol     ProtocolRange `json:"protocol"`
	Version      string        `json:"version"`
	Owner        string        `json:"owner"`
	BootID       string        `json:"bootId"`
	MachineID    string        `json:"machineId"`
	Netns        string        `json:"netns"`
	Kernel       string        `json:"kernel"`
	Epoch        uint64        `json:"epoch"`
	Generation   uint64        `json:"generation"`
	Capabilities Capabilities  `json:"capabilities"`
	Problems     []string      `json:"problems"`
}

// ProtocolRange is a closed range of protocol versions.
type ProtocolRange struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

// Capabilities says what the host's kernel and this process can do.
type Capabilities struct {
	IPVS              bool     `json:"ipvs"`
	NetAdmin          bool     `json:"netAdmin"`
	Schedulers        []string `json:"schedulers"`
	ForwardingMethods []string `json:"forwardingMethods"`
	// TunnelTypes that this kernel keeps; an older one makes plain ipip of the others without a word.
	TunnelTypes []string `json:"tunnelTypes,omitempty"`
	Families    []string `json:"families"`
	// Features are what requests may use beyond the first form of this version of the protocol; see Features.
	Features []string `json:"features,omitempty"`
}

// Features are those of this helper: "gone", a virtual server may name real servers that are gone; "remoteChecksum", a tunnel may have
// remote checksum offload.
var Features = []string{"gone", "remoteChecksum"}

// Fence is the pair that orders writers: the operator's Lease transition count, then its own counter.
type Fence struct {
	Epoch      uint64 `json:"epoch"`
	Generation uint64 `json:"generation"`
}

// Less reports whether f is older than other.
func (f Fence) Less(other Fence) bool {
	return f.Epoch < other.Epoch || f.Epoch == other.Epoch && f.Generation < other.Generation
}

// Key names a virtual server as the operator wrote it; nothing about it is known to be valid. It is either address, port and
// protocol, or firewall mark and family; the fields of the other form are zero, and not on the wire.
type Key struct {
	Address  string `json:"address,omitempty"`
	Port     int64  `json:"port,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	// FirewallMark is the packet mark that a firewall of the host sets, and Family IPv4 or IPv6.
	FirewallMark int64  `json:"firewallMark,omitempty"`
	Family       string `json:"family,omitempty"`
}

// Persistence is IPVS persistence: seconds, and the prefix under which clients count as one.
type Persistence struct {
	TimeoutSeconds int64 `json:"timeoutSeconds"`
	PrefixLength   int64 `json:"prefixLength"`
	// Engine is the name of a persistence engine ("sip": one call, one real server); empty for none.
	Engine string `json:"engine,omitempty"`
}

// Tunnel says how packets are wrapped on the way to a real server of forwarding method Tunneling.
type Tunnel struct {
	// Type is ipip, gue or gre.
	Type string `json:"type"`
	// Port on which the real server unwraps; gue only.
	Port int64 `json:"port,omitempty"`
	// Checksum of the outer header; gue and gre only.
	Checksum bool `json:"checksum"`
	// RemoteChecksum offload: the real server makes the inner checksum, and the outer header always has one; gue only, and not beside
	// Checksum.
	RemoteChecksum bool `json:"remoteChecksum,omitempty"`
}

// VirtualServer is one virtual server, whole, as the operator wants it. Values are not validated yet.
type VirtualServer struct {
	Key
	PacketRules
	Scheduler      string       `json:"scheduler"`
	SchedulerFlags []string     `json:"schedulerFlags"`
	Persistence    *Persistence `json:"persistence,omitempty"`
	OnePacket      bool         `json:"onePacket"`
	// DrainSeconds is how long a real server that is no longer listed may stay at weight 0; 0 removes it at once.
	DrainSeconds int64        `json:"drainSeconds,omitempty"`
	RealServers  []RealServer `json:"realServers"`
	// Gone are real servers that nobody answers at any more: they do not drain. It is news, not state: the journal never has it.
	Gone []Endpoint `json:"gone,omitempty"`
}

// Endpoint names a real server of a virtual server. Values are not validated yet.
type Endpoint struct {
	Address string `json:"address"`
	Port    int64  `json:"port"`
}

// RealServer is one destination as the operator wants it. Values are not validated yet.
type RealServer struct {
	Address          string `json:"address"`
	Port             int64  `json:"port"`
	Weight           int64  `json:"weight"`
	ForwardingMethod string `json:"forwardingMethod"`
	UpperThreshold   int64  `json:"upperThreshold"`
	LowerThreshold   int64  `json:"lowerThreshold"`
	// Tunnel is set with forwarding method Tunneling, and only then.
	Tunnel Tunnel `json:"tunnel,omitzero"`
}

// Class says what an error means to the caller; see docs/wire-protocol.md.
type Class string

// The classes of docs/wire-protocol.md.
const (
	ClassRetry     Class = "retry"
	ClassPermanent Class = "permanent"
	ClassObject    Class = "object"
	ClassPolicy    Class = "policy"
	ClassFenced    Class = "fenced"
	ClassCollision Class = "collision"
	ClassProtocol  Class = "protocol"
)

// Error is a refusal: a sentence with object, cause and remedy, and the kernel's errno where there was one.
type Error struct {
	Class   Class  `json:"class"`
	Message string `json:"message"`
	Errno   string `json:"errno,omitempty"`
	Object  string `json:"object,omitempty"`
	Highest *Fence `json:"highest,omitempty"`
}

// Error makes a refusal usable as a Go error.
func (e *Error) Error() string { return e.Message }

// Response answers one request: exactly one of Result and Error is set.
type Response struct {
	ID     int64  `json:"id"`
	OK     bool   `json:"ok"`
	Result any    `json:"result,omitempty"`
	Error  *Error `json:"error,omitempty"`
}

// Change is one thing that was done, or with dryRun would be done.
type Change struct {
	Kind     string `json:"kind"`
	Object   string `json:"object"`
	Sentence string `json:"sentence"`
}

// Counts sums up the owner's table; Foreign counts what is outside the owner's ranges. Draining real servers are not among
// RealServers; their connections are among the connections.
type Counts struct {
	VirtualServers      int    `json:"virtualServers"`
	RealServers         int    `json:"realServers"`
	Draining            int    `json:"draining"`
	Foreign             int    `json:"foreign"`
	Orphans             int    `json:"orphans"`
	ActiveConnections   uint64 `json:"activeConnections"`
	InactiveConnections uint64 `json:"inactiveConnections"`
}

// ApplyResult answers an apply. Every list is present, even when empty.
type ApplyResult struct {
	Changes     []Change `json:"changes"`
	Errors      []Error  `json:"errors"`
	Failed      []Key    `json:"failed"`
	Writes      int      `json:"writes"`
	TotalWrites uint64   `json:"totalWrites"`
	TableHash   string   `json:"tableHash"`
	Counts      Counts   `json:"counts"`
}

// ReadResult answers a read. VirtualServers is nil unless the whole table or counters were asked for, Keys unless keys were.
type ReadResult struct {
	VirtualServers       *[]ObservedVirtualServer `json:"virtualServers,omitempty"`
	Keys                 *[]Key                   `json:"keys,omitempty"`
	Foreign              []Key                    `json:"foreign,omitzero"`
	ForeignFirewallMarks []uint32                 `json:"foreignFirewallMarks,omitempty"`
	Orphans              []Key                    `json:"orphans,omitzero"`
	Addresses            []string                 `json:"addresses,omitzero"`
	// LocalRoutes are ranges of VIPs that one route of ours makes local; what of them has a virtual server is among Addresses.
	LocalRoutes []string      `json:"localRoutes,omitempty"`
	Host        *ObservedHost `json:"host,omitempty"`
	// Drift is what would make the kernel as the journal says; nil unless drift was asked for.
	Drift     *[]Change `json:"drift,omitempty"`
	TableHash string    `json:"tableHash"`
	// JournalHash is the hash that the table would have if it were as the journal says, and Agrees whether it is, VIPs and settings
	// included; both with digest and drift only, and not without a journal that can be read.
	JournalHash string `json:"journalHash,omitempty"`
	Agrees      *bool  `json:"agrees,omitempty"`
	TotalWrites uint64 `json:"totalWrites"`
	Counts      Counts `json:"counts"`
}

// Stats are the kernel's 64-bit counters, and its own moving estimate of what they grow by in a second: made every two seconds, and
// only while net.ipv4.vs.run_estimation is 1.
type Stats struct {
	Connections uint64 `json:"connections"`
	InPackets   uint64 `json:"inPackets"`
	OutPackets  uint64 `json:"outPackets"`
	InBytes     uint64 `json:"inBytes"`
	OutBytes    uint64 `json:"outBytes"`

	ConnectionsPerSecond uint64 `json:"connectionsPerSecond"`
	InPacketsPerSecond   uint64 `json:"inPacketsPerSecond"`
	OutPacketsPerSecond  uint64 `json:"outPacketsPerSecond"`
	InBytesPerSecond     uint64 `json:"inBytesPerSecond"`
	OutBytesPerSecond    uint64 `json:"outBytesPerSecond"`
}

// ObservedVirtualServer is a virtual server as read from the kernel.
type ObservedVirtualServer struct {
	Key
	PacketRules
	Scheduler      string               `json:"scheduler"`
	SchedulerFlags []string             `json:"schedulerFlags"`
	Persistence    *Persistence         `json:"persistence,omitempty"`
	OnePacket      bool                 `json:"onePacket"`
	RealServers    []ObservedRealServer `json:"realServers"`
	Stats          *Stats               `json:"stats,omitempty"`
}

// ObservedRealServer is a destination as read from the kernel, with its connections.
type ObservedRealServer struct {
	RealServer
	ActiveConnections     uint32 `json:"activeConnections"`
	InactiveConnections   uint32 `json:"inactiveConnections"`
	PersistentConnections uint32 `json:"persistentConnections"`
	// Draining is set for one that is on its way out, and DrainDeadline then says until when at most (RFC 3339).
	Draining      bool   `json:"draining,omitempty"`
	DrainDeadline string `json:"drainDeadline,omitempty"`
	Stats         *Stats `json:"stats,omitempty"`
}
