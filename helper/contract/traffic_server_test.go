package contract

import (
	"net"
	"testing"
)

// answers opens a listener at the real server, and answers each connection there beside the others, until the test ends.
func (s *site) answers(t *testing.T, open func() (net.Listener, error), answer func(net.Conn)) {
	t.Helper()
	var listener net.Listener
	var err error
	s.server.do(func() { listener, err = open() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				answer(connection)
			}()
		}
	}()
}

func tcpListener(network, address string) func() (net.Listener, error) {
	return func() (net.Listener, error) { return net.Listen(network, address) }
}
