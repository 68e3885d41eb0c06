package wire

// decodePlain reads an apply in the form in which it is usually written: every field once, in any order, strings without escapes,
// numbers without sign, fraction and exponent, and nothing wrong with it. A full table is a million bytes, which encoding/json and
// its reflection take many times as long for. False for everything else, right or wrong: DecodeRequest then decodes step by step,
// and has the words for what is wrong. Whatever is answered here is what would be answered there.
func decodePlain(body []byte) (Request, bool) {
	p := &plain{text: string(body)}
	var id int64
	var op, scope string
	var apply Apply
	seen := p.object(func(name string) fields {
		switch name {
		case "id":
			id = p.number()
			return 1 << 0
		case "op":
			op = p.string()
			return 1 << 1
		case "epoch":
			apply.Fence.Epoch = uint64(p.number())
			return 1 << 2
		case "generation":
			apply.Fence.Generation = uint64(p.number())
			return 1 << 3
		case "dryRun":
			apply.DryRun = p.bool()
			return 1 << 4
		case "scope":
			scope = p.string()
			return 1 << 5
		case "interface":
			apply.Interface = p.kept()
			return 1 << 6
		case "virtualServers":
			p.array(func() { apply.VirtualServers = append(apply.VirtualServers, p.virtualServer()) })
			return 1 << 7
		case "absent":
			p.array(func() { apply.Absent = append(apply.Absent, p.key()) })
			return 1 << 8
		}
		return unknown
	})
	apply.Scope = ScopeListed
	if scope == string(ScopeAll) {
		apply.Scope = ScopeAll
	}
	if !p.ended() || seen != 1<<9-1 || op != "apply" || scope != string(apply.Scope) || apply.Scope == ScopeAll && len(apply.Absent) > 0 {
		return Request{}, false
	}
	return Request{ID: id, Apply: &apply}, true
}

// DecodeVirtualServer reads one virtual server likewise; false for what only encoding/json understands.
func DecodeVirtualServer(text []byte) (VirtualServer, bool) {
	p := &plain{text: string(text)}
	v := p.virtualServer()
	return v, p.ended()
}

// The fields of a key; those of a virtual server go on behind them.
const (
	addressField fields = 1 << iota
	portField
	protocolField
	markField
	familyField
	schedulerField
	schedulerFlagsField
	onePacketField
	realServersField
	persistenceField
	drainSecondsField
	masqueradeField
	sourceRangesField
	mssClampField
	goneField

	addressForm = addressField | portField | protocolField
	markForm    = markField | familyField
)

func (p *plain) keyField(name string, key *Key) fields {
	switch name {
	case "address":
		key.Address = p.string()
		return addressField
	case "port":
		key.Port = p.number()
		return portField
	case "protocol":
		key.Protocol = p.string()
		return protocolField
	case "firewallMark":
		key.FirewallMark = p.number()
		return markField
	case "family":
		key.Family = p.string()
		return familyField
	}
	return unknown
}

func (p *plain) key() Key {
	var key Key
	seen := p.object(func(name string) fields { return p.keyField(name, &key) })
	p.require(seen == addressForm || seen == markForm)
	return key
}

func (p *plain) virtualServer() VirtualServer {
	var v VirtualServer
	seen := p.object(func(name string) fields {
		switch name {
		case "scheduler":
			v.Scheduler = p.string()
			return schedulerField
		case "schedulerFlags":
			v.SchedulerFlags = p.strings()
			return schedulerFlagsField
		case "onePacket":
			v.OnePacket = p.bool()
			return onePacketField
		case "realServers":
			v.RealServers = p.realServers()
			return realServersField
		case "persistence":
			v.Persistence = p.persistence()
			return persistenceField
		case "drainSeconds":
			v.DrainSeconds = p.number()
			return drainSecondsField
		case "masquerade":
			v.Masquerade = p.bool()
			return masqueradeField
		case "sourceRanges":
			v.SourceRanges = p.strings()
			return sourceRangesField
		case "mssClamp":
			v.MSSClamp = p.number()
			return mssClampField
		case "gone":
			p.array(func() { v.Gone = append(v.Gone, p.endpoint()) })
			return goneField
		}
		return p.keyField(name, &v.Key)
	})
	const required = schedulerField | schedulerFlagsField | onePacketField | realServersField
	form := seen & (addressForm | markForm)
	p.require(seen&required == required && (form == addressForm || form == markForm))
	return v
}

func (p *plain) endpoint() Endpoint {
	var key Key
	seen := p.object(func(name string) fields { return p.keyField(name, &key) })
	p.require(seen == addressField|portField)
	return Endpoint{Address: key.Address, Port: key.Port}
}

func (p *plain) persistence() *Persistence {
	var persistence Persistence
	seen := p.object(func(name string) fields {
		switch name {
		case "timeoutSeconds":
			persistence.TimeoutSeconds = p.number()
			return 1 << 0
		case "prefixLength":
			persistence.PrefixLength = p.number()
			return 1 << 1
		case "engine":
			persistence.Engine = p.string()
			return 1 << 2
		}
		return unknown
	})
	p.require(seen&3 == 3)
	return &persistence
}

func (p *plain) realServers() []RealServer {
	p.servers = p.servers[:0]
	p.array(func() { p.servers = append(p.servers, p.realServer()) })
	if len(p.servers) == 0 {
		return nil
	}
	return append(make([]RealServer, 0, len(p.servers)), p.servers...)
}

// usualRealServer reads one in the form in which the operator writes it, to the letter; false, and nothing read, for every other form. A full
// table has tens of thousands, and a name that is expected costs a fraction of one that is looked for. Most of them say the same as the one
// before, but for the address.
func (p *plain) usualRealServer(server *RealServer) bool {
	start := p.at
	if p.textMember(`{"address":`, &server.Address) {
		if p.lastContents != "" && p.exactly(p.lastContents) {
			address := server.Address
			*server = p.last
			server.Address = address
			return true
		}
		contents := p.at
		if p.numberMember(`,"port":`, &server.Port) && p.numberMember(`,"weight":`, &server.Weight) &&
			p.textMember(`,"forwardingMethod":`, &server.ForwardingMethod) && p.numberMember(`,"upperThreshold":`, &server.UpperThreshold) &&
			p.numberMember(`,"lowerThreshold":`, &server.LowerThreshold) && p.exactly(`}`) {
			p.last, p.lastContents = *server, p.text[contents:p.at]
			return true
		}
	}
	p.at = start
	return false
}

func (p *plain) realServer() RealServer {
	var server RealServer
	if p.usualRealServer(&server) {
		return server
	}
	server = RealServer{}
	seen := p.object(func(name string) fields {
		switch name {
		case "address":
			server.Address = p.string()
			return 1 << 0
		case "port":
			server.Port = p.number()
			return 1 << 1
		case "weight":
			server.Weight = p.number()
			return 1 << 2
		case "forwardingMethod":
			server.ForwardingMethod = p.string()
			return 1 << 3
		case "upperThreshold":
			server.UpperThreshold = p.number()
			return 1 << 4
		case "lowerThreshold":
			server.LowerThreshold = p.number()
			return 1 << 5
		case "tunnel":
			server.Tunnel = p.tunnel()
			return 1 << 6
		}
		return unknown
	})
	p.require(seen&63 == 63)
	return server
}

func (p *plain) tunnel() Tunnel {
	var tunnel Tunnel
	seen := p.object(func(name string) fields {
		switch name {
		case "type":
			tunnel.Type = p.string()
			return 1 << 0
		case "checksum":
			tunnel.Checksum = p.bool()
			return 1 << 1
		case "port":
			tunnel.Port = p.number()
			return 1 << 2
		case "remoteChecksum":
			tunnel.RemoteChecksum = p.bool()
			return 1 << 3
		}
		return unknown
	})
	p.require(seen&3 == 3)
	return tunnel
}
