package kubelet

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// status is the whole PodStatus but for conditions that others own.
func (w *podWorker) status(pod *corev1.Pod) corev1.PodStatus {
	status := corev1.PodStatus{
		Phase:              w.phase(),
		StartTime:          &w.startedAt,
		HostIP:             w.node.Addresses[0],
		QOSClass:           pod.Status.QOSClass,
		Message:            w.problem,
		ObservedGeneration: pod.Generation,
	}
	for _, address := range w.node.Addresses {
		status.HostIPs = append(status.HostIPs, corev1.HostIP{IP: address})
	}
	if w.network != nil {
		for _, address := range w.network.addresses {
			status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: address.String()})
		}
		status.PodIP = status.PodIPs[0].IP
	}
	for _, c := range w.init {
		status.InitContainerStatuses = append(status.InitContainerStatuses, c.status())
	}
	for _, c := range w.containers {
		status.ContainerStatuses = append(status.ContainerStatuses, c.status())
	}
	status.Conditions = w.conditions(pod)
	return status
}

func (c *container) status() corev1.ContainerStatus {
	state := c.snapshot()
	status := corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image, ImageID: c.spec.Image,
		ContainerID:  "lab://" + string(c.worker.pod.UID) + "/" + c.spec.Name,
		Ready:        state.ready || (c.isInit && state.completed && state.ended != nil && state.ended.ExitCode == 0),
		Started:      &state.started,
		RestartCount: state.restarts,
	}
	switch {
	case state.ended != nil:
		status.State.Terminated = state.ended
	case state.process != nil:
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(state.process.startedAt)}
	default:
		status.State.Waiting = state.waiting
	}
	if state.lastEnded != nil {
		status.LastTerminationState.Terminated = state.lastEnded
	}
	return status
}

// phase follows the rules of the Pod life cycle: Pending until every init container completed and a container ran.
func (w *podWorker) phase() corev1.PodPhase {
	for _, c := range w.init {
		state := c.snapshot()
		if !state.completed {
			return corev1.PodPending
		}
		if state.ended != nil && state.ended.ExitCode != 0 {
			return corev1.PodFailed
		}
	}
	everRan, allEnded, allWell := false, len(w.containers) > 0, true
	for _, c := range w.containers {
		state := c.snapshot()
		everRan = everRan || state.process != nil || state.ended != nil || state.lastEnded != nil
		allEnded = allEnded && state.completed
		allWell = allWell && state.ended != nil && state.ended.ExitCode == 0
	}
	switch {
	case allEnded && allWell:
		return corev1.PodSucceeded
	case allEnded:
		return corev1.PodFailed
	case everRan:
		return corev1.PodRunning
	default:
		return corev1.PodPending
	}
}

func (w *podWorker) conditions(pod *corev1.Pod) []corev1.PodCondition {
	initialized := !slices.ContainsFunc(w.init, func(c *container) bool { return !c.snapshot().completed }) &&
		len(w.containers) > 0
	containersReady := len(w.containers) > 0 &&
		!slices.ContainsFunc(w.containers, func(c *container) bool { return !c.snapshot().ready })
	ready := containersReady
	for _, gate := range pod.Spec.ReadinessGates {
		ready = ready && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == gate.ConditionType && c.Status == corev1.ConditionTrue
		})
	}
	return []corev1.PodCondition{
		w.condition(corev1.PodReadyToStartContainers, w.network != nil, ""),
		w.condition(corev1.PodInitialized, initialized, "ContainersNotInitialized"),
		w.condition(corev1.ContainersReady, containersReady, "ContainersNotReady"),
		w.condition(corev1.PodReady, ready, "ContainersNotReady"),
	}
}

// condition keeps the transition time of the last report while the value stays.
func (w *podWorker) condition(kind corev1.PodConditionType, holds bool, reasonIfNot string) corev1.PodCondition {
	condition := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
	if !holds {
		condition.Status, condition.Reason = corev1.ConditionFalse, reasonIfNot
	}
	if w.reported != nil {
		for _, reported := range w.reported.Conditions {
			if reported.Type == kind && reported.Status == condition.Status {
				condition.LastTransitionTime = reported.LastTransitionTime
			}
		}
	}
	return condition
}
