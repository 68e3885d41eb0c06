package wire

import "strconv"

// Append writes the virtual server as json.Marshal does.
func (v VirtualServer) Append(buffer []byte) []byte {
	buffer = v.Key.append(append(buffer, '{'))
	buffer = v.PacketRules.append(buffer)
	buffer = appendTextMember(buffer, "scheduler", v.Scheduler)
	buffer = appendTexts(appendMember(buffer, "schedulerFlags"), v.SchedulerFlags)
	if v.Persistence != nil {
		buffer = v.Persistence.append(appendMember(buffer, "persistence"))
	}
	buffer = appendBoolMember(buffer, "onePacket", v.OnePacket)
	if v.DrainSeconds != 0 {
		buffer = appendNumberMember(buffer, "drainSeconds", v.DrainSeconds)
	}
	buffer = appendRealServers(appendMember(buffer, "realServers"), v.RealServers)
	if len(v.Gone) > 0 {
		buffer = append(appendMember(buffer, "gone"), '[')
		for index, endpoint := range v.Gone {
			if index > 0 {
				buffer = append(buffer, ',')
			}
			buffer = append(appendNumberMember(appendTextMember(append(buffer, '{'), "address", endpoint.Address), "port", endpoint.Port), '}')
		}
		buffer = append(buffer, ']')
	}
	return append(buffer, '}')
}

// append writes the members.
func (k Key) append(buffer []byte) []byte {
	if k.Address != "" {
		buffer = appendTextMember(buffer, "address", k.Address)
	}
	if k.Port != 0 {
		buffer = appendNumberMember(buffer, "port", k.Port)
	}
	if k.Protocol != "" {
		buffer = appendTextMember(buffer, "protocol", k.Protocol)
	}
	if k.FirewallMark != 0 {
		buffer = appendNumberMember(buffer, "firewallMark", k.FirewallMark)
	}
	if k.Family != "" {
		buffer = appendTextMember(buffer, "family", k.Family)
	}
	return buffer
}

// append writes the members.
func (r PacketRules) append(buffer []byte) []byte {
	if r.Masquerade {
		buffer = appendBoolMember(buffer, "masquerade", true)
	}
	if len(r.SourceRanges) > 0 {
		buffer = appendTexts(appendMember(buffer, "sourceRanges"), r.SourceRanges)
	}
	if r.MSSClamp != 0 {
		buffer = appendNumberMember(buffer, "mssClamp", r.MSSClamp)
	}
	return buffer
}

func (p Persistence) append(buffer []byte) []byte {
	buffer = appendNumberMember(append(buffer, '{'), "timeoutSeconds", p.TimeoutSeconds)
	buffer = appendNumberMember(buffer, "prefixLength", p.PrefixLength)
	if p.Engine != "" {
		buffer = appendTextMember(buffer, "engine", p.Engine)
	}
	return append(buffer, '}')
}

func appendRealServers(buffer []byte, servers []RealServer) []byte {
	if servers == nil {
		return append(buffer, "null"...)
	}
	buffer = append(buffer, '[')
	start, end := 0, 0 // of what was written about the one before
	for index := range servers {
		server := &servers[index]
		if index > 0 {
			buffer = append(buffer, ',')
		}
		buffer = appendInner(append(buffer, `{"address":"`...), server.Address)
		if index == 0 || !server.sameContents(&servers[index-1]) {
			start = len(buffer)
			buffer = server.appendContents(buffer)
			end = len(buffer)
			continue
		}
		buffer = append(buffer, buffer[start:end]...) // as most of them
	}
	return append(buffer, ']')
}

// sameContents: everything but the address.
func (r *RealServer) sameContents(other *RealServer) bool {
	return r.Port == other.Port && r.Weight == other.Weight && r.ForwardingMethod == other.ForwardingMethod &&
		r.UpperThreshold == other.UpperThreshold && r.LowerThreshold == other.LowerThreshold && r.Tunnel == other.Tunnel
}

// appendContents writes all that stands behind the address.
func (r *RealServer) appendContents(buffer []byte) []byte {
	buffer = strconv.AppendInt(append(buffer, `","port":`...), r.Port, 10)
	buffer = strconv.AppendInt(append(buffer, `,"weight":`...), r.Weight, 10)
	buffer = appendInner(append(buffer, `,"forwardingMethod":"`...), r.ForwardingMethod)
	buffer = strconv.AppendInt(append(buffer, `","upperThreshold":`...), r.UpperThreshold, 10)
	buffer = strconv.AppendInt(append(buffer, `,"lowerThreshold":`...), r.LowerThreshold, 10)
	if r.Tunnel != (Tunnel{}) {
		buffer = appendTextMember(append(appendMember(buffer, "tunnel"), '{'), "type", r.Tunnel.Type)
		if r.Tunnel.Port != 0 {
			buffer = appendNumberMember(buffer, "port", r.Tunnel.Port)
		}
		buffer = appendBoolMember(buffer, "checksum", r.Tunnel.Checksum)
		if r.Tunnel.RemoteChecksum {
			buffer = appendBoolMember(buffer, "remoteChecksum", true)
		}
		buffer = append(buffer, '}')
	}
	return append(buffer, '}')
}
