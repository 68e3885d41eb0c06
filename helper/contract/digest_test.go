package contract

import (
	"testing"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// A digest says the same as a full read, in as many bytes whatever the table.
func TestDigest(t *testing.T) {
	onEveryKernel(t, func(t *testing.T, w *world) {
		d := newDirector(t, w)
		applied := d.all(t, virtualServer("203.0.113.10", 80, "192.0.2.21", "192.0.2.22"), virtualServer("203.0.113.11", 80, "192.0.2.21"))
		digest, refusal := d.newEngine("prod").Read(wire.WhatDigest)
		if refusal != nil {
			t.Fatal(refusal)
		}
		if digest.TableHash != applied.TableHash || digest.Counts != applied.Counts || digest.TotalWrites != applied.TotalWrites {
			t.Errorf("digest %+v, applied %+v", digest, applied)
		}
		if digest.VirtualServers != nil || digest.Keys != nil || digest.Foreign != nil || digest.Orphans != nil || digest.Addresses != nil || digest.Host != nil {
			t.Errorf("a digest tells more than it has to: %+v", digest)
		}
		w.must(t, deleteOf("203.0.113.10", 80, "192.0.2.22"))
		drifted, refusal := d.engine.Read(wire.WhatDigest)
		if refusal != nil || drifted.TableHash == digest.TableHash {
			t.Errorf("drift does not show: %+v, %v", drifted, refusal)
		}
	})
}

func deleteOf(vip string, port uint16, host string) ipvs.Operation {
	return ipvs.Operation{Kind: ipvs.DeleteDestination, Service: service(vip, port), Destination: destination(host, port)}
}
