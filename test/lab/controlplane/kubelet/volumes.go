package kubelet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// tokenRefresh is well before the shortest life the API server gives a token (10 minutes; mostly one hour).
const tokenRefresh = 8 * time.Minute

// bindMount shows source, a file or directory of this machine, at target.
type bindMount struct{ source, target string }

func (w *podWorker) volumeDir(name string) string { return filepath.Join(w.dir, "volumes", name) }

// writeVolumes fills the pod's volumes; done again, it brings tokens, ConfigMaps and Secrets up to date.
func (w *podWorker) writeVolumes(ctx context.Context, pod *corev1.Pod) error {
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		if err := w.writeVolume(ctx, pod, volume); err != nil {
			return fmt.Errorf("volume %s: %w", volume.Name, err)
		}
	}
	return nil
}

func (w *podWorker) writeVolume(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume) error {
	dir := w.volumeDir(volume.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	switch {
	case volume.EmptyDir != nil:
		return os.Chmod(dir, 0o777)
	case volume.HostPath != nil:
		if err := os.Remove(dir); err != nil {
			return err
		}
		return os.Symlink(volume.HostPath.Path, dir)
	case volume.ConfigMap != nil:
		source := volume.ConfigMap
		values, err := w.configMap(ctx, pod.Namespace, source.Name, ptr.Deref(source.Optional, false))
		return writeKeys(dir, values, source.Items, err)
	case volume.Secret != nil:
		source := volume.Secret
		values, err := w.secret(ctx, pod.Namespace, source.SecretName, ptr.Deref(source.Optional, false))
		return writeKeys(dir, values, source.Items, err)
	case volume.DownwardAPI != nil:
		return w.writeFields(pod, dir, volume.DownwardAPI.Items)
	case volume.Projected != nil:
		for i := range volume.Projected.Sources {
			if err := w.writeProjection(ctx, pod, dir, &volume.Projected.Sources[i]); err != nil {
				return err
			}
		}
		return nil
	default:
		return fmt.Errorf("the lab knows emptyDir, hostPath, configMap, secret, downwardAPI and projected volumes")
	}
}

func (w *podWorker) writeProjection(ctx context.Context, pod *corev1.Pod, dir string, source *corev1.VolumeProjection) error {
	switch {
	case source.ServiceAccountToken != nil:
		return w.writeToken(ctx, pod, dir, source.ServiceAccountToken)
	case source.ConfigMap != nil:
		values, err := w.configMap(ctx, pod.Namespace, source.ConfigMap.Name, ptr.Deref(source.ConfigMap.Optional, false))
		return writeKeys(dir, values, source.ConfigMap.Items, err)
	case source.Secret != nil:
		values, err := w.secret(ctx, pod.Namespace, source.Secret.Name, ptr.Deref(source.Secret.Optional, false))
		return writeKeys(dir, values, source.Secret.Items, err)
	case source.DownwardAPI != nil:
		return w.writeFields(pod, dir, source.DownwardAPI.Items)
	default:
		return fmt.Errorf("the lab knows serviceAccountToken, configMap, secret and downwardAPI projections")
	}
}

// writeToken asks for a token bound to the pod, as a kubelet does: it dies with the pod.
func (w *podWorker) writeToken(ctx context.Context, pod *corev1.Pod, dir string, source *corev1.ServiceAccountTokenProjection) error {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: source.ExpirationSeconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}
	answer, err := w.pods.client.CoreV1().ServiceAccounts(pod.Namespace).
		CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("token of service account %s/%s: %w", pod.Namespace, pod.Spec.ServiceAccountName, err)
	}
	return writeFile(dir, source.Path, answer.Status.Token)
}

func (w *podWorker) refreshTokens() {
	ticker := time.NewTicker(tokenRefresh)
	defer ticker.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-ticker.C:
			if err := w.writeVolumes(w.ctx, w.current()); err != nil && w.ctx.Err() == nil {
				klog.ErrorS(err, "A pod's volumes were not refreshed", "pod", klog.KObj(w.current()))
			}
		}
	}
}

func (w *podWorker) writeFields(pod *corev1.Pod, dir string, items []corev1.DownwardAPIVolumeFile) error {
	for _, item := range items {
		if item.FieldRef == nil {
			return fmt.Errorf("the lab knows fieldRef items only, not %s", item.Path)
		}
		value, err := w.field(pod, item.FieldRef.FieldPath)
		if err != nil {
			return err
		}
		if err := writeFile(dir, item.Path, value); err != nil {
			return err
		}
	}
	return nil
}

// writeKeys writes every key, or the keys that items choose under the paths they give.
func writeKeys(dir string, values map[string]string, items []corev1.KeyToPath, err error) error {
	if err != nil {
		return err
	}
	if len(items) == 0 {
		for key := range values {
			items = append(items, corev1.KeyToPath{Key: key, Path: key})
		}
	}
	for _, item := range items {
		value, found := values[item.Key]
		if !found {
			return fmt.Errorf("there is no key %q", item.Key)
		}
		if err := writeFile(dir, item.Path, value); err != nil {
			return err
		}
	}
	return nil
}

// writeFile replaces the file in one step: a reader sees the old or the new content whole.
func writeFile(dir, path, content string) error {
	file := filepath.Join(dir, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	temporary := file + ".new"
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}

func (w *podWorker) mounts(spec *corev1.Container) ([]bindMount, error) {
	mounts := make([]bindMount, 0, len(spec.VolumeMounts))
	for _, mount := range spec.VolumeMounts {
		source := filepath.Join(w.volumeDir(mount.Name), mount.SubPath)
		if _, err := os.Stat(source); err != nil {
			return nil, fmt.Errorf("mount %s: %w", mount.MountPath, err)
		}
		mounts = append(mounts, bindMount{source: source, target: mount.MountPath})
	}
	return mounts, nil
}
