package kubelet

import (
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

const (
	// A kubelet waits 10 s to 5 min between restarts; whoever watches a lab would not.
	firstRestartDelay = time.Second
	lastRestartDelay  = 30 * time.Second
	healthyAfter      = 30 * time.Second
)

// container supervises one container: start, probes, restarts by the pod's restart policy, end.
type container struct {
	worker *podWorker
	spec   *corev1.Container
	isInit bool

	stopping chan struct{}
	stopOnce sync.Once
	finished chan struct{}

	mutex sync.Mutex
	containerState
}

// containerState is what the status of the container is made of.
type containerState struct {
	supervised bool
	// completed: ended and will not be started again.
	completed bool
	process   *process
	grace     time.Duration
	started   bool
	ready     bool
	restarts  int32
	waiting   *corev1.ContainerStateWaiting
	ended     *corev1.ContainerStateTerminated
	lastEnded *corev1.ContainerStateTerminated
}

func newContainer(w *podWorker, spec *corev1.Container, isInit bool) *container {
	c := &container{worker: w, spec: spec, isInit: isInit, stopping: make(chan struct{}), finished: make(chan struct{})}
	c.waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	return c
}

func (c *container) snapshot() containerState {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.containerState
}

func (c *container) change(update func(*containerState)) {
	c.mutex.Lock()
	update(&c.containerState)
	c.mutex.Unlock()
	c.worker.notify()
}

// supervise starts the container and looks after it in the background until stop, or until it need not run again.
func (c *container) supervise(pod *corev1.Pod) {
	c.change(func(s *containerState) { s.supervised = true })
	go func() {
		defer close(c.finished)
		delay := firstRestartDelay
		for {
			process, err := c.start(pod)
			if err != nil {
				klog.ErrorS(err, "A container did not start", "pod", klog.KObj(pod), "container", c.spec.Name)
			} else {
				c.watch(pod, process)
				if c.isStopping() || !c.restarts(pod.Spec.RestartPolicy, process.exitCode()) {
					c.change(func(s *containerState) { s.completed = true })
					return
				}
				if process.endedAt.Sub(process.startedAt) > healthyAfter {
					delay = firstRestartDelay
				}
				c.change(func(s *containerState) {
					s.restartsBy(delay)
				})
			}
			select {
			case <-c.stopping:
				return
			case <-time.After(delay):
				delay = min(2*delay, lastRestartDelay)
			}
		}
	}()
}

func (s *containerState) restartsBy(delay time.Duration) {
	s.restarts++
	s.lastEnded, s.ended = s.ended, nil
	s.waiting = &corev1.ContainerStateWaiting{
		Reason: "CrashLoopBackOff", Message: fmt.Sprintf("back-off %s restarting failed container", delay),
	}
}

func (c *container) restarts(policy corev1.RestartPolicy, exitCode int32) bool {
	if c.isInit {
		return exitCode != 0 && policy != corev1.RestartPolicyNever
	}
	return policy == corev1.RestartPolicyAlways || (policy == corev1.RestartPolicyOnFailure && exitCode != 0)
}

func (c *container) start(pod *corev1.Pod) (*process, error) {
	process, reason, err := c.tryStart(pod)
	if err != nil {
		c.change(func(s *containerState) {
			s.waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: err.Error()}
		})
		return nil, err
	}
	c.change(func(s *containerState) {
		s.process, s.waiting, s.ended = process, nil, nil
		s.started = c.spec.StartupProbe == nil
		s.ready = s.started && c.spec.ReadinessProbe == nil
	})
	return process, nil
}

func (c *container) tryStart(pod *corev1.Pod) (started *process, reason string, err error) {
	commandLine, err := c.worker.pods.images.commandLine(c.spec)
	if err != nil {
		return nil, "ErrImagePull", err
	}
	environment, err := c.worker.environment(pod, c.spec)
	if err != nil {
		return nil, "CreateContainerConfigError", err
	}
	mounts, err := c.worker.mounts(c.spec)
	if err != nil {
		return nil, "CreateContainerConfigError", err
	}
	started, err = processStart{
		commandLine:      environment.expandAll(commandLine),
		networkNamespace: c.worker.network.namespace,
		hostname:         c.worker.hostname(pod),
		mounts:           mounts,
		environment:      environment.list(),
		workingDir:       c.spec.WorkingDir,
		logFile:          logFile(c.worker.pods.runDir, pod.Namespace, pod.Name, c.spec.Name),
	}.run()
	if err != nil {
		return nil, "StartError", err
	}
	return started, "", nil
}

// watch probes the running process until it has ended, by itself, by stop or by a failed liveness probe.
func (c *container) watch(pod *corev1.Pod, process *process) {
	probes := c.startProbes(pod, process)
	select {
	case <-process.exited:
	case <-c.stopping:
		if err := process.stop(c.runPreStop(pod, process, c.snapshot().grace)); err != nil {
			klog.InfoS("A container was killed", "pod", klog.KObj(pod), "container", c.spec.Name, "why", err.Error())
		}
	}
	probes.stop()
	code := process.exitCode()
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	c.change(func(s *containerState) {
		s.started, s.ready, s.process = false, false, nil
		s.ended = &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason,
			StartedAt: metav1.NewTime(process.startedAt), FinishedAt: metav1.NewTime(process.endedAt),
		}
	})
}

func (c *container) isStopping() bool {
	select {
	case <-c.stopping:
		return true
	default:
		return false
	}
}

// stop ends the container for good and returns when its process is gone.
func (c *container) stop(grace time.Duration) {
	c.stopOnce.Do(func() {
		c.mutex.Lock()
		c.grace = grace
		c.mutex.Unlock()
		close(c.stopping)
	})
	state := c.snapshot()
	if !state.supervised {
		return
	}
	if grace == 0 && state.process != nil {
		state.process.kill()
	}
	<-c.finished
}
