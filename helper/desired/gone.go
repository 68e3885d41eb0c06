package desired

import (
	"errors"
	"fmt"
	"math"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/table"
	"ipvs-operator.io/helper/wire"
)

// parseGone: what is listed shall be there, and so is not gone.
func parseGone(listed table.VirtualServer, sent []wire.Endpoint) ([]ipvs.DestinationKey, error) {
	var gone []ipvs.DestinationKey
	for _, endpoint := range sent {
		address, err := parseAddress(endpoint.Address)
		if err == nil && (endpoint.Port < 0 || endpoint.Port > math.MaxUint16) {
			err = fmt.Errorf("port %d is outside 0 … 65535", endpoint.Port)
		}
		key := ipvs.DestinationKey{Address: address, Port: uint16(endpoint.Port)}
		if _, isListed := listed.Destination(key); err == nil && isListed {
			err = errors.New("it is listed among realServers, too")
		}
		if err != nil {
			return nil, fmt.Errorf("gone real server %s: %w", describe(endpoint.Address, endpoint.Port), err)
		}
		gone = append(gone, key)
	}
	return gone, nil
}
