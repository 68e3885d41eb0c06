package kubelet

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// podWorker runs one pod from its binding to its end. All methods but update and stop belong to its own goroutine.
type podWorker struct {
	pods *pods
	node *node
	dir  string

	ctx     context.Context
	stop    context.CancelFunc
	ended   chan struct{}
	changed chan struct{}

	mutex sync.Mutex
	pod   *corev1.Pod

	network    *podNetwork
	init       []*container
	containers []*container
	startedAt  metav1.Time
	problem    string
	reported   *corev1.PodStatus
}

func newPodWorker(p *pods, n *node, pod *corev1.Pod) *podWorker {
	ctx, stop := context.WithCancel(context.Background())
	return &podWorker{
		pods: p, node: n, pod: pod,
		dir: filepath.Join(p.runDir, "pods", string(pod.UID)),
		ctx: ctx, stop: stop, ended: make(chan struct{}), changed: make(chan struct{}, 1),
		startedAt: metav1.Now(),
	}
}

func (w *podWorker) update(pod *corev1.Pod) {
	w.mutex.Lock()
	w.pod = pod
	w.mutex.Unlock()
	w.notify()
}

// notify makes the worker look at everything again; it never blocks.
func (w *podWorker) notify() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *podWorker) current() *corev1.Pod {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.pod
}

func (w *podWorker) run() {
	defer close(w.ended)
	defer w.stop()
	defer w.cleanUp()
	if w.current().DeletionTimestamp == nil {
		w.prepare()
		w.writeStatus()
		go w.refreshTokens()
	}
	for {
		pod := w.current()
		if pod.DeletionTimestamp != nil {
			w.terminate(pod)
			return
		}
		w.startDueContainers(pod)
		w.writeStatus()
		if w.phase() == corev1.PodSucceeded || w.phase() == corev1.PodFailed {
			w.waitForDeletion()
			return
		}
		select {
		case <-w.ctx.Done():
			return
		case <-w.changed:
		}
	}
}

// prepare makes the pod's network and volumes; what fails is tried again, as a kubelet does, and shown in the status.
func (w *podWorker) prepare() {
	for {
		pod := w.current()
		if pod.DeletionTimestamp != nil || w.ctx.Err() != nil {
			return
		}
		err := w.prepareOnce(pod)
		if err == nil {
			w.problem = ""
			return
		}
		klog.ErrorS(err, "A pod could not be prepared; trying again", "pod", klog.KObj(pod))
		w.problem = err.Error()
		w.writeStatus()
		select {
		case <-w.ctx.Done():
		case <-w.changed:
		case <-time.After(time.Second):
		}
	}
}

func (w *podWorker) prepareOnce(pod *corev1.Pod) error {
	if w.network == nil {
		network, err := newPodNetwork(w.node, pod)
		if err != nil {
			return err
		}
		w.network = network
	}
	if err := w.writeVolumes(w.ctx, pod); err != nil {
		return err
	}
	if len(w.containers) == 0 {
		for i := range pod.Spec.InitContainers {
			w.init = append(w.init, newContainer(w, &pod.Spec.InitContainers[i], true))
		}
		for i := range pod.Spec.Containers {
			w.containers = append(w.containers, newContainer(w, &pod.Spec.Containers[i], false))
		}
	}
	return nil
}

// startDueContainers starts init containers one after the other, then all others at once. A container that has been
// started looks after its own restarts.
func (w *podWorker) startDueContainers(pod *corev1.Pod) {
	for _, c := range w.init {
		state := c.snapshot()
		if !state.supervised {
			c.supervise(pod)
			return
		}
		if !state.completed {
			return
		}
	}
	for _, c := range w.containers {
		if !c.snapshot().supervised {
			c.supervise(pod)
		}
	}
}

// terminate gives the containers the grace period of the deletion, reports how they ended, and deletes the object.
func (w *podWorker) terminate(pod *corev1.Pod) {
	grace := time.Duration(ptr.Deref(pod.DeletionGracePeriodSeconds, 30)) * time.Second
	var group sync.WaitGroup
	for _, c := range slices.Concat(w.init, w.containers) {
		group.Go(func() { c.stop(grace) })
	}
	// Probes go on meanwhile: a pod that shuts down serves for as long as it says so.
	stopped := make(chan struct{})
	go func() { group.Wait(); close(stopped) }()
	for running := true; running; {
		select {
		case <-stopped:
			running = false
		case <-w.ctx.Done():
			return
		case <-w.changed:
			w.writeStatus()
		}
	}
	w.writeStatus()
	w.deleteObject(pod)
}

func (w *podWorker) deleteObject(pod *corev1.Pod) {
	for w.ctx.Err() == nil {
		err := w.pods.client.CoreV1().Pods(pod.Namespace).Delete(w.ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: ptr.To(int64(0)), Preconditions: &metav1.Preconditions{UID: &pod.UID},
		})
		// The event of the deletion may overtake the answer and end this worker.
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || w.ctx.Err() != nil {
			return
		}
		klog.ErrorS(err, "A pod that ended could not be deleted; trying again", "pod", klog.KObj(pod))
		w.pause(time.Second)
	}
}

// waitForDeletion keeps a finished pod's object until somebody deletes it.
func (w *podWorker) waitForDeletion() {
	for w.ctx.Err() == nil {
		if pod := w.current(); pod.DeletionTimestamp != nil {
			w.deleteObject(pod)
			return
		}
		select {
		case <-w.ctx.Done():
		case <-w.changed:
		}
	}
}

// writeStatus patches the status when it differs from what was written last. Conditions of others stay.
func (w *podWorker) writeStatus() {
	pod := w.current()
	status := w.status(pod)
	if w.reported != nil && apiequality.Semantic.DeepEqual(*w.reported, status) {
		return
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		klog.ErrorS(err, "A pod status cannot be written as JSON", "pod", klog.KObj(pod))
		return
	}
	for w.ctx.Err() == nil {
		_, err = w.pods.client.CoreV1().Pods(pod.Namespace).
			Patch(w.ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err == nil {
			w.reported = &status
			return
		}
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || errors.Is(err, context.Canceled) {
			return // The object is gone or a new one has the name: an event says so.
		}
		klog.ErrorS(err, "A pod status was not written; trying again", "pod", klog.KObj(pod))
		w.pause(500 * time.Millisecond)
	}
}

func (w *podWorker) pause(duration time.Duration) {
	select {
	case <-w.ctx.Done():
	case <-time.After(duration):
	}
}

// cleanUp leaves nothing of the pod on the machine but its logs.
func (w *podWorker) cleanUp() {
	for _, c := range slices.Concat(w.init, w.containers) {
		c.stop(0)
	}
	if w.network != nil {
		if err := w.network.remove(); err != nil {
			klog.ErrorS(err, "A pod's network was not removed", "pod", klog.KObj(w.current()))
		}
	}
	if err := os.RemoveAll(w.dir); err != nil {
		klog.ErrorS(err, "A pod's volumes were not removed", "pod", klog.KObj(w.current()))
	}
}
