/* SPDX-License-Identifier: Apache-2.0 */
/* Who a process belongs to, as its control group tells: the systemd unit, and the container or VM. The layouts are those of systemd, Docker,
 * Podman, containerd and CRI-O under the kubelet, LXC, systemd-nspawn, libvirt and Proxmox VE, with control groups version 1 and 2. */
#pragma once

struct cgroup_owner {
    char unit[96];              /* "nvidia-persistenced.service", "session-4.scope"; empty when none */
    char runtime[16];           /* "docker", "podman", "containerd", "cri-o", "kubernetes", "lxc", "nspawn", "libvirt", "proxmox"; empty outside */
    char container[72];         /* the first 12 digits of its id, or its name */
    char pod[40];               /* the pod's uid under the kubelet; empty else */
};

/* From the text of /proc/PID/cgroup. What is not understood is left empty. */
void cgroup_identify(const char *text, struct cgroup_owner *ret);
