package nft

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/google/nftables"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/packets"
)

var errNotOurs = errors.New("an element that the helper does not write")

// elements are what the sets of the part hold for one virtual server.
func (p part) elements(key ipvs.ServiceKey, rules packets.Rules) map[string][]nftables.SetElement {
	if key.Family != p.family {
		return nil
	}
	server := encodeKey(key)
	switch {
	case p.feature == admission && rules.Restricted:
		var sources []nftables.SetElement
		for _, prefix := range rules.SourceRanges {
			sources = append(sources, nftables.SetElement{Key: append(encodeKey(key), prefix.Addr().AsSlice()...), KeyEnd: append(encodeKey(key), lastOf(prefix).AsSlice()...)})
		}
		return map[string][]nftables.SetElement{"restricted": {{Key: server}}, "sources": sources}
	case p.feature == masquerading && rules.Masquerade:
		return map[string][]nftables.SetElement{"masqueraded": {{Key: server}}}
	case p.feature == segments && rules.MSS != 0:
		return map[string][]nftables.SetElement{"mss": {{Key: server, Val: binary.BigEndian.AppendUint16(nil, rules.MSS)}}}
	}
	return nil
}

// decode adds to the rules what an element of a set says.
func decode(set string, element nftables.SetElement, family ipvs.Family, into map[ipvs.ServiceKey]packets.Rules) error {
	key, rest, err := decodeKey(element.Key, family)
	if err != nil {
		return err
	}
	rules := into[key]
	switch set {
	case "restricted":
		rules.Restricted = true
	case "sources":
		_, end, err := decodeKey(element.KeyEnd, family)
		if err != nil {
			return err
		}
		prefix, err := prefixOf(rest, end)
		if err != nil {
			return err
		}
		rules.SourceRanges = append(rules.SourceRanges, prefix)
	case "masqueraded":
		rules.Masquerade = true
	case "mss":
		if len(element.Val) < 2 {
			return errNotOurs
		}
		rules.MSS = binary.BigEndian.Uint16(element.Val)
	}
	into[key] = rules
	return nil
}

// encodeKey: protocol, address, port, each padded to 4 bytes.
func encodeKey(key ipvs.ServiceKey) []byte {
	encoded := append([]byte{byte(key.Protocol), 0, 0, 0}, key.Address.AsSlice()...)
	return append(binary.BigEndian.AppendUint16(encoded, key.Port), 0, 0)
}

func decodeKey(encoded []byte, family ipvs.Family) (key ipvs.ServiceKey, rest []byte, err error) {
	size := family.Bits() / 8
	if len(encoded) < size+8 {
		return key, nil, errNotOurs
	}
	address, _ := netip.AddrFromSlice(encoded[4 : 4+size])
	key = ipvs.ServiceKey{Family: family, Protocol: ipvs.Protocol(encoded[0]), Address: address, Port: binary.BigEndian.Uint16(encoded[4+size:])}
	return key, encoded[8+size:], nil
}

func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

// prefixOf is the prefix from the first to the last address.
func prefixOf(first, last []byte) (netip.Prefix, error) {
	start, isAddress := netip.AddrFromSlice(first)
	end, alsoAddress := netip.AddrFromSlice(last)
	if !isAddress || !alsoAddress {
		return netip.Prefix{}, errNotOurs
	}
	for bits := 0; bits <= start.BitLen(); bits++ {
		if prefix := netip.PrefixFrom(start, bits); prefix == prefix.Masked() && lastOf(prefix) == end {
			return prefix, nil
		}
	}
	return netip.Prefix{}, errNotOurs
}
