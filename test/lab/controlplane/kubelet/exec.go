package kubelet

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// minimumAfterPreStop is what a kubelet grants the process when the hook has used up the whole grace period.
const minimumAfterPreStop = 2 * time.Second

// execute runs a command beside the container, in the same namespaces and with the same volumes, until it ends or ctx does.
func (c *container) execute(ctx context.Context, pod *corev1.Pod, action *corev1.ExecAction, purpose string) (exitCode int32, err error) {
	environment, err := c.worker.environment(pod, c.spec)
	if err != nil {
		return 0, err
	}
	mounts, err := c.worker.mounts(c.spec)
	if err != nil {
		return 0, err
	}
	process, err := processStart{
		commandLine:      action.Command,
		networkNamespace: c.worker.network.namespace,
		hostname:         c.worker.hostname(pod),
		mounts:           mounts,
		environment:      environment.list(),
		logFile:          filepath.Join(c.worker.dir, purpose+"-"+c.spec.Name+".log"),
	}.run()
	if err != nil {
		return 0, err
	}
	select {
	case <-process.exited:
		return process.exitCode(), nil
	case <-ctx.Done():
		process.kill()
		<-process.exited
		return 0, ctx.Err()
	}
}

// runPreStop runs the container's preStop hook, if it has one, within the grace period, and returns what is left of that.
func (c *container) runPreStop(pod *corev1.Pod, main *process, grace time.Duration) time.Duration {
	if c.spec.Lifecycle == nil || c.spec.Lifecycle.PreStop == nil || grace == 0 {
		return grace
	}
	ctx, cancel := context.WithTimeout(c.worker.ctx, grace)
	defer cancel()
	start := time.Now()
	if err := c.preStop(ctx, pod, main, c.spec.Lifecycle.PreStop); err != nil {
		klog.ErrorS(err, "A preStop hook failed", "pod", klog.KObj(pod), "container", c.spec.Name)
	}
	return max(grace-time.Since(start), minimumAfterPreStop)
}

func (c *container) preStop(ctx context.Context, pod *corev1.Pod, main *process, hook *corev1.LifecycleHandler) error {
	switch {
	case hook.Sleep != nil:
		select {
		case <-time.After(time.Duration(hook.Sleep.Seconds) * time.Second):
		case <-main.exited:
		case <-ctx.Done():
		}
		return nil
	case hook.HTTPGet != nil:
		return c.probeHTTP(ctx, hook.HTTPGet)
	case hook.Exec != nil:
		code, err := c.execute(ctx, pod, hook.Exec, "pre-stop")
		if err == nil && code != 0 {
			err = fmt.Errorf("the command ended with %d", code)
		}
		return err
	default:
		return fmt.Errorf("the lab knows the hooks sleep, httpGet and exec")
	}
}
