// Answering is a real server for tests of the data plane. It tells every client its name:
//
//	answering NAME tcp/[::]:1000-1040 udp/203.0.113.40:80 ...
//
// Over TCP it sends the name as a line when a connection opens, and then sends back what it receives until the client closes. Over UDP each
// datagram is answered with the name, from the address it was sent to: listen on the very address, not on all. It prints "ready" when it listens
// everywhere, and ends with its first error.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: answering NAME PROTOCOL/ADDRESS:PORT[-PORT]..."))
	}
	name := os.Args[1]
	for _, endpoint := range os.Args[2:] {
		protocol, address, _ := strings.Cut(endpoint, "/")
		host, ports, err := net.SplitHostPort(address)
		if err != nil {
			fail(err)
		}
		first, last, isRange := strings.Cut(ports, "-")
		if !isRange {
			last = first
		}
		low, errLow := strconv.Atoi(first)
		high, errHigh := strconv.Atoi(last)
		if errLow != nil || errHigh != nil {
			fail(fmt.Errorf("%q is no range of ports", ports))
		}
		for port := low; port <= high; port++ {
			listen(protocol, net.JoinHostPort(host, strconv.Itoa(port)), name)
		}
	}
	fmt.Println("ready")
	select {}
}

func listen(protocol, address, name string) {
	switch protocol {
	case "tcp":
		listener, err := net.Listen("tcp", address)
		if err != nil {
			fail(err)
		}
		go answerConnections(listener, name)
	case "udp":
		socket, err := net.ListenPacket("udp", address)
		if err != nil {
			fail(err)
		}
		go answerDatagrams(socket, name)
	default:
		fail(fmt.Errorf("protocol %q is neither tcp nor udp", protocol))
	}
}

func answerConnections(listener net.Listener, name string) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			fail(err)
		}
		go func() {
			defer connection.Close()
			if _, err := fmt.Fprintln(connection, name); err == nil {
				_, _ = io.Copy(connection, connection) // until the client closes, or is gone
			}
		}()
	}
}

func answerDatagrams(socket net.PacketConn, name string) {
	buffer := make([]byte, 65535)
	for {
		_, client, err := socket.ReadFrom(buffer)
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		_, _ = socket.WriteTo([]byte(name), client)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "answering:", err)
	os.Exit(1)
}
