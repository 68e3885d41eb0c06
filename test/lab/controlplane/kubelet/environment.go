package kubelet

import (
	"context"
	"fmt"
	"net"
	"sort"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
	"k8s.io/utils/ptr"
)

// variables are a container's environment.
type variables map[string]string

func (v variables) list() []string {
	list := make([]string, 0, len(v))
	for name, value := range v {
		list = append(list, name+"="+value)
	}
	sort.Strings(list)
	return list
}

// expandAll replaces $(NAME) as the Pod API defines for command and args.
func (v variables) expandAll(words []string) []string {
	expanded := make([]string, 0, len(words))
	for _, word := range words {
		expanded = append(expanded, expansion.Expand(word, expansion.MappingFuncFor(v)))
	}
	return expanded
}

const environmentTimeout = 10 * time.Second

func (w *podWorker) environment(pod *corev1.Pod, spec *corev1.Container) (variables, error) {
	ctx, cancel := context.WithTimeout(w.ctx, environmentTimeout)
	defer cancel()
	result := variables{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME": w.hostname(pod), "HOME": "/",
	}
	if err := w.addAPIServer(ctx, result); err != nil {
		return nil, err
	}
	for _, source := range spec.EnvFrom {
		values, err := w.allValuesOf(ctx, pod.Namespace, source)
		if err != nil {
			return nil, err
		}
		for name, value := range values {
			result[source.Prefix+name] = value
		}
	}
	for _, variable := range spec.Env {
		value := expansion.Expand(variable.Value, expansion.MappingFuncFor(result))
		if variable.ValueFrom != nil {
			var err error
			if value, err = w.valueFrom(ctx, pod, variable.ValueFrom); err != nil {
				return nil, fmt.Errorf("environment variable %s: %w", variable.Name, err)
			}
		}
		result[variable.Name] = value
	}
	return result, nil
}

// addAPIServer sets the two variables by which a client in a pod finds the API server: the Service's cluster IP.
func (w *podWorker) addAPIServer(ctx context.Context, result variables) error {
	service, err := w.pods.client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("the API server's Service: %w", err)
	}
	port := strconv.Itoa(int(service.Spec.Ports[0].Port))
	result["KUBERNETES_SERVICE_HOST"], result["KUBERNETES_SERVICE_PORT"] = service.Spec.ClusterIP, port
	result["KUBERNETES_SERVICE_PORT_HTTPS"] = port
	result["KUBERNETES_PORT"] = "tcp://" + net.JoinHostPort(service.Spec.ClusterIP, port)
	return nil
}

func (w *podWorker) allValuesOf(ctx context.Context, namespace string, source corev1.EnvFromSource) (map[string]string, error) {
	switch {
	case source.ConfigMapRef != nil:
		return w.configMap(ctx, namespace, source.ConfigMapRef.Name, ptr.Deref(source.ConfigMapRef.Optional, false))
	case source.SecretRef != nil:
		return w.secret(ctx, namespace, source.SecretRef.Name, ptr.Deref(source.SecretRef.Optional, false))
	default:
		return nil, nil
	}
}

func (w *podWorker) valueFrom(ctx context.Context, pod *corev1.Pod, source *corev1.EnvVarSource) (string, error) {
	switch {
	case source.FieldRef != nil:
		return w.field(pod, source.FieldRef.FieldPath)
	case source.ConfigMapKeyRef != nil:
		ref := source.ConfigMapKeyRef
		values, err := w.configMap(ctx, pod.Namespace, ref.Name, ptr.Deref(ref.Optional, false))
		return pick(values, ref.Key, ptr.Deref(ref.Optional, false), "ConfigMap "+ref.Name, err)
	case source.SecretKeyRef != nil:
		ref := source.SecretKeyRef
		values, err := w.secret(ctx, pod.Namespace, ref.Name, ptr.Deref(ref.Optional, false))
		return pick(values, ref.Key, ptr.Deref(ref.Optional, false), "Secret "+ref.Name, err)
	default:
		return "", fmt.Errorf("the lab knows fieldRef, configMapKeyRef and secretKeyRef")
	}
}

func pick(values map[string]string, key string, optional bool, where string, err error) (string, error) {
	if err != nil {
		return "", err
	}
	value, found := values[key]
	if !found && !optional {
		return "", fmt.Errorf("%s has no key %q", where, key)
	}
	return value, nil
}

func (w *podWorker) field(pod *corev1.Pod, path string) (string, error) {
	switch path {
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return w.node.Addresses[0], nil
	case "status.podIP":
		return w.network.addresses[0].String(), nil
	default:
		return fieldpath.ExtractFieldPathAsString(pod, path)
	}
}

func (w *podWorker) configMap(ctx context.Context, namespace, name string, optional bool) (map[string]string, error) {
	object, err := w.pods.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for key, value := range object.Data {
		values[key] = value
	}
	for key, value := range object.BinaryData {
		values[key] = string(value)
	}
	return values, nil
}

func (w *podWorker) secret(ctx context.Context, namespace, name string, optional bool) (map[string]string, error) {
	object, err := w.pods.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for key, value := range object.Data {
		values[key] = string(value)
	}
	return values, nil
}

func (w *podWorker) hostname(pod *corev1.Pod) string {
	switch {
	case pod.Spec.HostNetwork:
		return w.node.Name
	case pod.Spec.Hostname != "":
		return pod.Spec.Hostname
	default:
		// Longer names are cut as a kubelet cuts them: a host name has at most 63 characters.
		return pod.Name[:min(len(pod.Name), 63)]
	}
}
