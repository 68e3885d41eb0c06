package kubelet

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/klog/v2"
)

// quickProbe is the period until a readiness or startup probe first succeeds: a pod is seen ready soon after it is.
const quickProbe = 200 * time.Millisecond

// runningProbes are the probes of one run of a container.
type runningProbes struct {
	cancel context.CancelFunc
	group  sync.WaitGroup
}

func (p *runningProbes) stop() {
	p.cancel()
	p.group.Wait()
}

func (c *container) startProbes(pod *corev1.Pod, process *process) *runningProbes {
	ctx, cancel := context.WithCancel(context.Background())
	probes := &runningProbes{cancel: cancel}
	isStarted := make(chan struct{})
	if probe := c.spec.StartupProbe; probe != nil {
		var once sync.Once
		probes.group.Go(func() {
			c.probeLoop(ctx, pod, probe, func(success bool) {
				if !success {
					process.kill()
					return
				}
				c.change(func(s *containerState) { s.started, s.ready = true, c.spec.ReadinessProbe == nil })
				once.Do(func() { close(isStarted) })
			}, isStarted)
		})
	} else {
		close(isStarted)
	}
	afterStart := func(probe *corev1.Probe, act func(success bool)) {
		if probe == nil {
			return
		}
		probes.group.Go(func() {
			select {
			case <-ctx.Done():
			case <-isStarted:
				c.probeLoop(ctx, pod, probe, act, nil)
			}
		})
	}
	afterStart(c.spec.ReadinessProbe, func(success bool) { c.change(func(s *containerState) { s.ready = success }) })
	afterStart(c.spec.LivenessProbe, func(success bool) {
		if !success {
			klog.InfoS("A container failed its liveness probe and is killed", "pod", klog.KObj(pod), "container", c.spec.Name)
			process.kill()
		}
	})
	return probes
}

// probeLoop calls act each time the probe passes its success or failure threshold, until ctx or until ends.
func (c *container) probeLoop(ctx context.Context, pod *corev1.Pod, probe *corev1.Probe, act func(bool), until <-chan struct{}) {
	period := time.Duration(max(probe.PeriodSeconds, 1)) * time.Second
	wait := time.Duration(probe.InitialDelaySeconds) * time.Second
	var successes, failures int32
	decided, everSucceeded := false, false
	state := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-until:
			return
		case <-time.After(wait):
		}
		if err := c.probeOnce(ctx, pod, probe); err == nil {
			successes, failures, everSucceeded = successes+1, 0, true
		} else {
			if ctx.Err() != nil {
				return
			}
			successes, failures = 0, failures+1
		}
		if successes >= max(probe.SuccessThreshold, 1) && !(decided && state) {
			decided, state = true, true
			act(true)
		}
		if failures >= max(probe.FailureThreshold, 1) && !(decided && !state) {
			decided, state = true, false
			act(false)
		}
		wait = period
		if !everSucceeded && probe != c.spec.LivenessProbe && probe != c.spec.StartupProbe {
			wait = quickProbe
		}
	}
}

func (c *container) probeOnce(ctx context.Context, pod *corev1.Pod, probe *corev1.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(probe.TimeoutSeconds, 1))*time.Second)
	defer cancel()
	switch {
	case probe.HTTPGet != nil:
		return c.probeHTTP(ctx, probe.HTTPGet)
	case probe.TCPSocket != nil:
		return c.probeTCP(ctx, probe.TCPSocket)
	case probe.Exec != nil:
		return c.probeExec(ctx, pod, probe.Exec)
	default:
		return fmt.Errorf("the lab knows the probes httpGet, tcpSocket and exec")
	}
}

func (c *container) probeHTTP(ctx context.Context, action *corev1.HTTPGetAction) error {
	address, err := c.probeAddress(action.Host, action.Port)
	if err != nil {
		return err
	}
	scheme := "http"
	if action.Scheme == corev1.URISchemeHTTPS {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+"/", nil)
	if err != nil {
		return err
	}
	if request.URL, err = request.URL.Parse(action.Path); err != nil {
		return err
	}
	for _, header := range action.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
	}
	// As a kubelet: certificates are not verified, connections are not kept.
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return fmt.Errorf("HTTP probe failed with status code %d", response.StatusCode)
	}
	return nil
}

func (c *container) probeTCP(ctx context.Context, action *corev1.TCPSocketAction) error {
	address, err := c.probeAddress(action.Host, action.Port)
	if err != nil {
		return err
	}
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return connection.Close()
}

func (c *container) probeExec(ctx context.Context, pod *corev1.Pod, action *corev1.ExecAction) error {
	code, err := c.execute(ctx, pod, action, "probe")
	if err == nil && code != 0 {
		err = fmt.Errorf("exec probe ended with %d", code)
	}
	return err
}

func (c *container) probeAddress(host string, port intstr.IntOrString) (string, error) {
	if host == "" {
		host = c.worker.network.addresses[0].String()
	}
	if port.Type == intstr.Int {
		return net.JoinHostPort(host, strconv.Itoa(port.IntValue())), nil
	}
	for _, declared := range c.spec.Ports {
		if declared.Name == port.StrVal {
			return net.JoinHostPort(host, strconv.Itoa(int(declared.ContainerPort))), nil
		}
	}
	if number, err := strconv.Atoi(port.StrVal); err == nil {
		return net.JoinHostPort(host, strconv.Itoa(number)), nil
	}
	return "", fmt.Errorf("the container has no port named %q", port.StrVal)
}
