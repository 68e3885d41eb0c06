package ipvs

import (
	"errors"
	"fmt"
)

// Info is what IPVS says of itself, as the first line of `ipvsadm -Ln` does.
type Info struct {
	// Version of IPVS: "1.2.1" in every kernel so far, so it tells nothing about what a kernel can do.
	Version string
	// ConnectionTableSize is the number of rows of the hash table of connections, a power of two. It is set when the module is loaded
	// (ip_vs.conn_tab_bits); from Linux 7.1 on the table grows by itself, and is 0 as long as there is none.
	ConnectionTableSize uint32
}

// IPVS_INFO_ATTR_* of ip_vs.h.
const (
	infoAttrVersion      = 1
	infoAttrConnTabSize  = 2
	infoAttributesWanted = 1<<infoAttrVersion | 1<<infoAttrConnTabSize
)

// Info implements Settings.
func (n *Netlink) Info() (Info, error) {
	answer, err := n.ask(genetlinkHeader(cmdGetInfo, familyVersion))
	if err != nil {
		return Info{}, err
	}
	return decodeInfo(answer)
}

func decodeInfo(body []byte) (Info, error) {
	if len(body) < 4 {
		return Info{}, fmt.Errorf("%w: information of %d bytes", ErrMalformed, len(body))
	}
	var version, size uint32
	var seen uint
	err := eachAttribute(body[4:], func(kind uint16, value []byte) error {
		seen |= 1 << kind
		switch kind {
		case infoAttrVersion:
			return decodeNumber(value, &version)
		case infoAttrConnTabSize:
			return decodeNumber(value, &size)
		}
		return nil
	})
	if err == nil && seen&infoAttributesWanted != infoAttributesWanted {
		err = errors.New("information without a version or the size of the connection table")
	}
	if err != nil {
		return Info{}, malformed(err)
	}
	return Info{Version: versionText(version), ConnectionTableSize: size}, nil
}

// versionText spells a version code, one byte for each part (IP_VS_VERSION_CODE): 0x010201 is "1.2.1".
func versionText(code uint32) string {
	return fmt.Sprintf("%d.%d.%d", code>>16, code>>8&0xff, code&0xff)
}
