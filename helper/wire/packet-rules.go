package wire

// PacketRules is what shall happen to a virtual server's packets beside IPVS, in an nftables table of our own.
type PacketRules struct {
	// Masquerade gives packets to real servers the director's own address as source, so that their answers come back.
	Masquerade bool `json:"masquerade,omitempty"`
	// SourceRanges are the client ranges that are let in; empty means everyone.
	SourceRanges []string `json:"sourceRanges,omitempty"`
	// MSSClamp is the greatest TCP segment that either side is let to announce, in bytes; 0 leaves it alone.
	MSSClamp int64 `json:"mssClamp,omitempty"`
}

const packetRulesFieldNames = ` masquerade sourceRanges mssClamp `

type sentPacketRules struct {
	Masquerade   bool     `json:"masquerade"`
	SourceRanges []string `json:"sourceRanges"`
	MSSClamp     int64    `json:"mssClamp"`
}
