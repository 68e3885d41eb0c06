/** Every name of ours that a user can meet: API group, class, annotations, finalizers, conditions. */
export const API_GROUP = 'ipvs-operator.io';
export const API_VERSION = 'v1alpha1';
export const LOAD_BALANCER_CLASS = `${API_GROUP}/ipvs`;

export const ANNOTATION = {
  loadBalancerIPs: `${API_GROUP}/loadBalancerIPs`,
  addressPool: `${API_GROUP}/address-pool`,
  allowSharedIP: `${API_GROUP}/allow-shared-ip`,
  reallocate: `${API_GROUP}/reallocate`,
  scheduler: `${API_GROUP}/scheduler`,
  schedulerFlags: `${API_GROUP}/scheduler-flags`,
  forwardingMethod: `${API_GROUP}/forwarding-method`,
  backends: `${API_GROUP}/backends`,
  weights: `${API_GROUP}/weights`,
  upperThreshold: `${API_GROUP}/upper-threshold`,
  lowerThreshold: `${API_GROUP}/lower-threshold`,
  udpOnePacket: `${API_GROUP}/udp-one-packet`,
  drainTimeout: `${API_GROUP}/drain-timeout`,
  // Written by us: the allocation record.
  allocatedFromPool: `${API_GROUP}/ip-allocated-from-pool`,
  allocatedAddresses: `${API_GROUP}/allocated-addresses`,
  allocatedTo: `${API_GROUP}/allocated-to`,
  allocatedSharing: `${API_GROUP}/allocated-sharing-key`,
  allocatedPorts: `${API_GROUP}/allocated-ports`,
  reallocated: `${API_GROUP}/reallocated`,
} as const;

/** The form of spec.loadBalancerSourceRanges before it was a field (core/v1 AnnotationLoadBalancerSourceRangesKey); the field wins. */
export const SOURCE_RANGES_ANNOTATION = 'service.beta.kubernetes.io/load-balancer-source-ranges';

/** Ours is the one we rely on; the other is what the API documents and what conformance tests look for. */
export const FINALIZER = `${API_GROUP}/load-balancer-cleanup`;
/** On a pool that Services have addresses of. */
export const POOL_FINALIZER = `${API_GROUP}/pool-in-use`;
export const CORE_FINALIZER = 'service.kubernetes.io/load-balancer-cleanup';

export const SERVICE_CONDITION = {
  addressAssigned: `${API_GROUP}/AddressAssigned`,
  programmed: `${API_GROUP}/Programmed`,
} as const;

/** Node label that takes a node out of every external load balancer (well-known label, value parsed as bool). */
export const EXCLUDE_NODE_LABEL = 'node.kubernetes.io/exclude-from-external-load-balancers';
export const AUTOSCALER_DELETION_TAINT = 'ToBeDeletedByClusterAutoscaler';
/** Set by a person who has made sure that the machine is off (KEP-2268, non-graceful node shutdown). */
export const OUT_OF_SERVICE_TAINT = 'node.kubernetes.io/out-of-service';

/** Field manager of every server-side apply of ours. */
export const FIELD_MANAGER = 'ipvs-operator';
