package contract

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"ipvs-operator.io/helper/session"
	"ipvs-operator.io/helper/wire"
)

// hostTask says where a host is. Its kernel is in memory and outlives sessions, as a kernel does; a helper's own lives as long as a session.
type hostTask struct {
	// Socket is where sessions of owner prod begin, Sessions a file with the number of those that are open.
	Socket, StateDir, Sessions string
}

// hostProcess serves sessions until its standard input ends.
func hostProcess() error {
	decoder := json.NewDecoder(os.Stdin)
	var task hostTask
	if err := decoder.Decode(&task); err != nil {
		return err
	}
	listener, err := net.Listen("unix", task.Socket)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = listener.Close()
	}()
	d := &director{world: fakeWorld(task.StateDir), stateDir: task.StateDir, journalDir: task.StateDir, netns: "netns", boot: "boot", policy: defaultPolicy}
	counting := &sessionCount{path: task.Sessions}
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := counting.add(1); err != nil {
			return err
		}
		conversation := d.session()
		go func() {
			defer counting.add(-1)
			defer connection.Close()
			_ = conversation.Run(connection, connection)
		}()
	}
}

func (d *director) session() *session.Session {
	hello := wire.Hello{Type: "hello", Protocol: wire.ProtocolRange{Min: wire.ProtocolMin, Max: wire.ProtocolMax}, Version: "contract", Owner: "prod", BootID: d.boot,
		MachineID: "contract", Netns: "netns", Kernel: "fake", Problems: []string{},
		Capabilities: wire.Capabilities{IPVS: true, NetAdmin: true, Schedulers: []string{"wrr"}, ForwardingMethods: []string{"DirectRouting"}, Families: []string{"IPv4"}}}
	return &session.Session{Engine: d.newEngine("prod"), Hello: hello, Idle: time.Minute, Log: slog.New(slog.DiscardHandler)}
}

type sessionCount struct {
	path  string
	mutex sync.Mutex
	open  int
}

func (c *sessionCount) add(by int) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.open += by
	if err := os.WriteFile(c.path+".new", []byte(strconv.Itoa(c.open)), 0o600); err != nil {
		return err
	}
	return os.Rename(c.path+".new", c.path)
}

// bridgeProcess is the forced command of a key: it brings one SSH channel to the host's socket, and ends with either.
func bridgeProcess() error {
	connection, err := net.Dial("unix", os.Getenv("IPVS_CONTRACT_SOCKET"))
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(connection, os.Stdin)
		_ = connection.(*net.UnixConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, connection)
	return err
}
