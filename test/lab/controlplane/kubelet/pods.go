package kubelet

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// pods runs one worker for each pod bound to a lab node.
type pods struct {
	client kubernetes.Interface
	images images
	runDir string

	mutex   sync.Mutex
	nodes   map[string]*node
	workers map[types.UID]*podWorker
	// done holds pods whose worker has ended: events that still arrive for them start nothing.
	done map[types.UID]bool
}

func newPods(client kubernetes.Interface, table images, runDir string) *pods {
	return &pods{
		client: client, images: table, runDir: runDir,
		nodes: map[string]*node{}, workers: map[types.UID]*podWorker{}, done: map[types.UID]bool{},
	}
}

func (p *pods) addNode(n *node) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.nodes[n.Name] = n
}

// removeNode kills the node's pods as a power cut would: nothing is reported, and should the node come back, those that
// are still bound to it run again.
func (p *pods) removeNode(name string) {
	p.mutex.Lock()
	delete(p.nodes, name)
	stopped := p.workersOf(func(w *podWorker) bool { return w.node.Name == name })
	for _, worker := range stopped {
		delete(p.workers, worker.current().UID)
	}
	p.mutex.Unlock()
	stopWorkers(stopped)
}

func (p *pods) stopAll() {
	p.mutex.Lock()
	stopped := p.workersOf(func(*podWorker) bool { return true })
	p.mutex.Unlock()
	stopWorkers(stopped)
}

func (p *pods) workersOf(belongs func(*podWorker) bool) []*podWorker {
	var found []*podWorker
	for _, worker := range p.workers {
		if belongs(worker) {
			found = append(found, worker)
		}
	}
	return found
}

func stopWorkers(workers []*podWorker) {
	for _, worker := range workers {
		worker.stop()
	}
	for _, worker := range workers {
		<-worker.ended
	}
}

// observe hands a pod's newest state to its worker, and makes the worker when the pod has just been bound.
func (p *pods) observe(pod *corev1.Pod) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	n := p.nodes[pod.Spec.NodeName]
	if n == nil || p.done[pod.UID] {
		return
	}
	worker := p.workers[pod.UID]
	if worker == nil {
		if isFinished(pod) && pod.DeletionTimestamp == nil {
			return
		}
		worker = newPodWorker(p, n, pod)
		p.workers[pod.UID] = worker
		go func() {
			worker.run()
			p.mutex.Lock()
			defer p.mutex.Unlock()
			if p.workers[pod.UID] == worker { // Else the node was removed under it.
				delete(p.workers, pod.UID)
				p.done[pod.UID] = true
			}
		}()
		return
	}
	worker.update(pod)
}

// observeAll looks again at every pod: some may be bound to a node that has come just now.
func (p *pods) observeAll(store cache.Store) {
	for _, object := range store.List() {
		p.observe(object.(*corev1.Pod))
	}
}

// vanished stops the worker of a pod whose object is gone: deleted by force, or deleted by us after it ended.
func (p *pods) vanished(pod *corev1.Pod) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.done, pod.UID)
	if worker := p.workers[pod.UID]; worker != nil {
		worker.stop()
	}
}

func isFinished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
