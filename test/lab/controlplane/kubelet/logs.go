package kubelet

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"
)

// logsPort is where kubelets listen, and where the API server asks for `kubectl logs`.
const logsPort = 10250

const followInterval = 200 * time.Millisecond

// serveLogs answers the API server's requests for container logs, in the node's network namespace, until ctx ends.
// It lets everybody in: nobody but the lab reaches it.
func (n *node) serveLogs(ctx context.Context, runDir string) {
	var listener net.Listener
	err := inNetworkNamespace(n.NetworkNamespace, func() (err error) {
		listener, err = net.Listen("tcp", ":"+strconv.Itoa(logsPort))
		return err
	})
	if err != nil {
		klog.ErrorS(err, "The node serves no logs", "node", n.Name)
		return
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		file := logFile(runDir, r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
		if err := writeLog(w, r, file); err != nil && r.Context().Err() == nil {
			http.Error(w, err.Error(), http.StatusNotFound)
		}
	})
	server := &http.Server{
		Handler:     routes,
		TLSConfig:   &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate() }},
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		klog.ErrorS(err, "The node stopped serving logs", "node", n.Name)
	}
}

// certificate is one for all nodes, made when first needed: the API server of the lab does not verify it.
var certificate = sync.OnceValues(func() (*tls.Certificate, error) {
	certificatePEM, keyPEM, err := cert.GenerateSelfSignedCertKey("kubelet-standin", nil, nil)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificatePEM, keyPEM)
	return &pair, err
})

// logFile holds what all runs of a container wrote, one after the other.
func logFile(runDir, namespace, pod, container string) string {
	return filepath.Join(runDir, "logs", strings.Join([]string{namespace, pod, container}, "_")+".log")
}

// writeLog obeys the options tailLines and follow of PodLogOptions.
func writeLog(w http.ResponseWriter, r *http.Request, file string) error {
	log, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("the container has not written a log: %w", err)
	}
	defer log.Close()
	content, err := io.ReadAll(log)
	if err != nil {
		return err
	}
	if lines, err := strconv.Atoi(r.URL.Query().Get("tailLines")); err == nil {
		content = lastLines(content, lines)
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if r.URL.Query().Get("follow") != "true" {
		return nil
	}
	for {
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-time.After(followInterval):
		}
		// Reading goes on behind what was read before.
		if _, err := io.Copy(w, log); err != nil {
			return err
		}
	}
}

func lastLines(content []byte, count int) []byte {
	start := len(content)
	if bytes.HasSuffix(content, []byte("\n")) {
		start--
	}
	for ; count > 0 && start > 0; count-- {
		start = bytes.LastIndexByte(content[:start], '\n')
	}
	if count > 0 || start < 0 {
		return content
	}
	return content[min(start+1, len(content)):]
}
