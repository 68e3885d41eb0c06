package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"ipvs-operator.io/helper/session"
)

// defaultIdle is generous: an idle session holds no lock, and the operator pings far more often.
const defaultIdle = 5 * time.Minute

// serve speaks with an operator. What the SSH client asked to run (SSH_ORIGINAL_COMMAND) is of no interest: the forced
// command is the only one.
func serve(arguments []string, on terminal) int {
	var idle time.Duration
	chosen, ok := parseOptions("serve", arguments, on, func(flags *flag.FlagSet) {
		flags.DurationVar(&idle, "idle", defaultIdle, "end the session after so long without a request")
	})
	if !ok || !requireOwner("serve", chosen, on) {
		return exitUsage
	}
	// A client that goes away must not kill us between two writes to the kernel: writing to a closed stream and the
	// hang-up of the connection become errors instead, and the request in hand is finished.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)
	stop := make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	go func() {
		<-signals
		close(stop)
	}()
	environment := newEnvironment(chosen)
	conversation := &session.Session{
		Engine:    environment.engine,
		Hello:     environment.hello(),
		Preflight: environment.preflight,
		Idle:      idle,
		Stop:      stop,
		Log:       slog.New(slog.NewJSONHandler(on.errors, nil)).With("owner", chosen.owner),
	}
	defer environment.engine.Addresses.Wait()
	if err := conversation.Run(on.input, on.output); err != nil {
		fmt.Fprintf(on.errors, "serve: %s\n", err)
		return exitFailed
	}
	return exitDone
}
