package contract

import (
	"testing"

	"ipvs-operator.io/helper/ipvs"
	"ipvs-operator.io/helper/wire"
)

// tunnelOrphan is a virtual server in our range that somebody made, with one real server in this tunnel.
func tunnelOrphan(t *testing.T, w *world, tunnel ipvs.Tunnel) wire.Key {
	t.Helper()
	web, server := service("203.0.113.10", 80), destination("192.0.2.21", 80)
	server.ForwardingMethod, server.Tunnel = ipvs.Tunneling, tunnel
	w.must(t, ipvs.Operation{Kind: ipvs.NewService, Service: web}, ipvs.Operation{Kind: ipvs.NewDestination, Service: web, Destination: server})
	return wire.Key{Address: "203.0.113.10", Port: 80, Protocol: "TCP"}
}

// Adopted, told and restored after a reboot with the checksum that somebody chose.
func TestAdoptedTunnelKeepsItsChecksum(t *testing.T) {
	for words, flags := range map[string]uint16{"--tun-nocsum": 0, "--tun-csum": ipvs.TunnelChecksum, "--tun-remcsum": ipvs.TunnelRemoteChecksum} {
		t.Run(words, func(t *testing.T) {
			onEveryKernel(t, func(t *testing.T, w *world) {
				d := newDirector(t, w)
				key := tunnelOrphan(t, w, ipvs.Tunnel{Type: ipvs.TunnelGUE, Port: 6080, Flags: flags})
				saved := []string{"-A -t 203.0.113.10:80 -s rr", "-a -t 203.0.113.10:80 -r 192.0.2.21:80 -i -w 1 --tun-type gue --tun-port 6080 " + words}
				w.ipvsadmShows(t, saved...)
				clean(t, d.named(t, []wire.Key{key}, nil), "adopt virtual server TCP 203.0.113.10:80, as it stands, for owner prod")
				want := wire.Tunnel{Type: "gue", Port: 6080, Checksum: flags == ipvs.TunnelChecksum, RemoteChecksum: flags == ipvs.TunnelRemoteChecksum}
				if got := keyed(t, d.read(t), key).RealServers[0].Tunnel; got != want {
					t.Errorf("read %+v, wanted %+v", got, want)
				}
				if answer, refusal := d.engine.Read(wire.WhatDigest); refusal != nil || answer.TableHash != answer.JournalHash {
					t.Errorf("the journal has it otherwise: %+v, %+v", answer, refusal)
				}
				d.reboot(t)
				d.restore(t)
				w.ipvsadmShows(t, saved...)
			})
		})
	}
}

// What is foreign may have bits that the kernel makes nothing of, or both at once: it is told, and not adopted, because nobody could ask for it.
func TestTunnelThatNobodyCouldAskFor(t *testing.T) {
	for words, tunnel := range map[string]ipvs.Tunnel{
		"a tunnel of type gre has no remote checksum offload": {Type: ipvs.TunnelGRE, Flags: ipvs.TunnelRemoteChecksum},
		"a tunnel has checksum or remoteChecksum":             {Type: ipvs.TunnelGUE, Port: 6080, Flags: ipvs.TunnelChecksum | ipvs.TunnelRemoteChecksum},
	} {
		onEveryKernel(t, func(t *testing.T, w *world) {
			d := newDirector(t, w)
			key := tunnelOrphan(t, w, tunnel)
			refused(t, d.named(t, []wire.Key{key}, nil), wire.ClassObject, "TCP 203.0.113.10:80", words, key)
		})
	}
}
